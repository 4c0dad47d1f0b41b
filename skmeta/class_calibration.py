"""What held-out tasks set of a trained `ClassLearner`: steps, and temperature."""

import torch
from torch.nn import functional as F

from .gaussian_classes import ABSENT, one_hot
from .held_out import held_out_loss
from .pools import in_role

N_STEPS = 50


def choose_steps(network, held_out, device):
    """Choose how the support trains the means, by the loss of held-out tasks."""

    def loss(choice):
        network.learner.configure(*choice)
        return held_out_loss(network, held_out, device)

    network.learner.configure(*min(network.learner.choices, key=loss))


def calibrate(network, batches, device):
    """Set the temperature, and how it goes with the numbers of shots and of classes.

    All are fitted to the query rows of held-out episodes, and kept where these then
    have the lower loss.
    """
    learner, training = network.learner, network.training
    before = learner.temper.detach().clone()
    parts = []
    with torch.no_grad():
        learner.temper.zero_()
        network.eval()
        for batch in batches:
            batch = batch.to(device)
            logits, (y, weight) = network(**batch.inputs()), batch.target()
            support, of_class = in_role(batch.support, batch.y)
            sizes = learner.sizes(one_hot(of_class, support))
            at = weight > 0
            sizes = sizes[:, None].expand(*weight.shape, -1)[at].double()
            parts.append((logits[at].double(), y[at], sizes))
    fitted = torch.zeros_like(before, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [fitted], max_iter=N_STEPS, line_search_fn="strong_wolfe"
    )

    def closure():
        optimizer.zero_grad()
        total = 0.0
        for logits, y, sizes in parts:
            scaled = logits * (sizes @ fitted).exp()[:, None]
            scaled = scaled.masked_fill(logits <= ABSENT / 2, ABSENT)
            total = total + F.cross_entropy(scaled, y)
        total.backward()
        return total

    optimizer.step(closure)
    losses = []
    for value in (before, fitted.detach()):
        learner.temper.data.copy_(value)
        losses.append(held_out_loss(network, batches, device))
    if not losses[1] < losses[0]:
        learner.temper.data.copy_(before)
    network.train(training)
