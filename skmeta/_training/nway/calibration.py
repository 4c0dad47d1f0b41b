"""Calibration on validation tasks: gradient steps, temperature and kernel weight."""

import torch
from torch.nn import functional as F

from ..._episodes.shared_rows import select_role
from ..._networks.nway.learner import size_covariates
from ..._networks.nway.plda import ABSENT, mask_absent, one_hot
from ..validation import validation_loss

N_STEPS = 50


def select_adaptation(network, validation, device):
    """Set the number of gradient steps on the support by validation loss."""

    def loss(choice):
        network.learner.set_adaptation(*choice)
        return validation_loss(network, validation, device)

    network.learner.set_adaptation(*min(network.learner.adaptation_grid, key=loss))


def calibrate(network, validation, device):
    """Fit temperature and kernel weight as functions of the sizes of the support.

    Both have a linear predictor in `size_covariates`. Its coefficients are fitted by
    L-BFGS to the query rows of validation episodes (temperature scaling, Guo et al.
    2017, sec. 4.2), and kept if the loss is then lower. The intercept of the kernel
    weight and its slopes have a standard normal prior, since episodes of one row per
    class do not determine them.
    """
    coef, training = network.learner.calibration_coef, network.training
    before = coef.detach().clone().double()
    network.eval()
    with torch.no_grad():
        coef.zero_()  # the logits are then at temperature 1
        parts = [_query_logits(network, groups.to(device)) for groups in validation]
    network.train(training)
    n_rows = sum(len(y) for *_, y in parts)
    fitted = torch.zeros_like(before, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [fitted], max_iter=N_STEPS, line_search_fn="strong_wolfe"
    )

    def loss(coef):
        total = 0.0
        for prototype_logits, kernel_logits, covariates, y in parts:
            weight_logit, log_scale = (covariates @ coef.T)[..., None].unbind(1)
            kernel_weight = weight_logit.sigmoid()
            logits = torch.lerp(prototype_logits, kernel_logits, kernel_weight)
            logits = logits * log_scale.exp()
            logits = logits.masked_fill(prototype_logits <= ABSENT / 2, ABSENT)
            total = total + F.cross_entropy(logits, y, reduction="sum")
        return total / n_rows

    def closure():
        optimizer.zero_grad()
        total = loss(fitted) + 0.5 * fitted[0].square().sum() / n_rows
        total.backward()
        return total

    optimizer.step(closure)
    with torch.no_grad():
        better = loss(fitted) < loss(before)
        coef.copy_(fitted if better else before)


def _query_logits(network, groups):
    """Prototype and kernel logits, size covariates and classes of the query rows."""
    y, weight = groups.target()
    at = weight > 0
    columns = network.embed(groups.x[groups.present])
    adapted, z = network.adapt(
        columns, groups.present, groups.y, groups.support, groups.query
    )
    prototype_logits, kernel_logits = (
        mask_absent(adapted.temperature * logits, adapted.means)[at].double()
        for logits in network.learner.component_logits(adapted, z)
    )
    support, y_support = select_role(groups.support, groups.y)
    covariates = size_covariates(one_hot(y_support, support))
    covariates = covariates[:, None].expand(*weight.shape, -1)[at].double()
    return prototype_logits, kernel_logits, covariates, y[at]
