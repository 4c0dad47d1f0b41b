"""What held-out tasks set of a trained `ClassLearner`: steps, and how sure to be."""

import torch
from torch.nn import functional as F

from ..._episodes.shared_rows import select_role
from ..._networks.nway.plda import ABSENT, one_hot
from ..validation import validation_loss

N_STEPS = 50
ALL = 1e3
"""A logit of a share of 1, and below zero of 0."""


def choose_steps(network, validation, device):
    """Choose how the support trains the means, by the loss of held-out tasks."""

    def loss(choice):
        network.learner.set_adaptation(*choice)
        return validation_loss(network, validation, device)

    network.learner.set_adaptation(*min(network.learner.adaptation_grid, key=loss))


def calibrate(network, batches, device):
    """Set the temperature and what rows say, and how both go with shots and classes.

    All are fitted to the query rows of held-out episodes, and kept where these then
    have the lower loss. What the rows say has a standard normal prior, since of one row
    a class the episodes know nothing about it.
    """
    by_size, training = network.learner.by_size, network.training
    before = by_size.detach().clone().double()
    network.eval()
    with torch.no_grad():
        parts = [_said(network, batch.to(device)) for batch in batches]
    network.train(training)
    n_rows = sum(len(y) for _, _, y, _ in parts)
    fitted = torch.zeros_like(before, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [fitted], max_iter=N_STEPS, line_search_fn="strong_wolfe"
    )

    def loss(by_size):
        total = 0.0
        for by_class, by_row, y, sizes in parts:
            share, log_scale = (sizes @ by_size.T)[..., None].unbind(1)
            mixed = torch.lerp(by_class, by_row, share.sigmoid()) * log_scale.exp()
            mixed = mixed.masked_fill(by_class <= ABSENT / 2, ABSENT)
            total = total + F.cross_entropy(mixed, y, reduction="sum")
        return total / n_rows

    def closure():
        optimizer.zero_grad()
        total = loss(fitted) + 0.5 * fitted[0].square().sum() / n_rows
        total.backward()
        return total

    optimizer.step(closure)
    with torch.no_grad():
        better = loss(fitted) < loss(before)
        by_size.copy_(fitted if better else before)


def _said(network, batch):
    """Of the query rows: logits by means, by rows, classes and `ClassLearner.sizes`."""
    by_size = network.learner.by_size
    y, weight = batch.target()
    at = weight > 0
    said = []
    for share in (-ALL, ALL):
        by_size.zero_()
        by_size[0, 0] = share
        said.append(network(**batch.inputs()).logits[at].double())
    support, of_class = select_role(batch.support, batch.y)
    sizes = network.learner.sizes(one_hot(of_class, support))
    sizes = sizes[:, None].expand(*weight.shape, -1)[at].double()
    return *said, y[at], sizes
