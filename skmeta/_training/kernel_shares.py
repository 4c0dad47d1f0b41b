"""Prior probabilities of kernels other than the learned one."""

import numpy as np
import torch

from .._networks.learners.kernel_averaging import (
    N_TASK_ROWS,
    N_TASKS,
    TASKS_AT_ONCE,
    KernelAveragingLearner,
)
from .._networks.learners.losses import row_losses
from .._networks.learners.network import MetaNetwork

SHARES = (0.9, 0.5, 0.05, 0.0005)
"""Candidate prior probabilities that a task has another kernel."""


def fit_kernel_shares(network, episodes, validation, seed, device):
    """Average a meta-trained regression network with GPs of other kernels.

    Parameters
    ----------
    network : MetaNetwork
        On ``device``. Returned unchanged if its base learner does not support kernel
        averaging.
    episodes : Episodes
        Episodes of the meta-training tasks, for fitting the probability of each kernel.
    validation : list of TaskBatch
        For selecting the total probability of other kernels.
    seed : int
    device : torch.device

    Returns
    -------
    network : MetaNetwork
    """
    core = network.core()
    if not core.supports_kernel_averaging:
        return network
    learner = KernelAveragingLearner(network.learner).to(device)
    rng = np.random.default_rng(seed)
    some = rng.permutation(len(episodes))[:N_TASKS]
    evidence = []
    with torch.no_grad():
        for i in range(0, len(some), TASKS_AT_ONCE):
            tasks = some[i : i + TASKS_AT_ONCE]
            batch = episodes.draw(tasks, N_TASK_ROWS, 1, rng).to(device)
            rows, y = batch.rows()
            adapted = network.adapt(rows, y)
            evidence.append(learner.evidence_of_kernels(adapted, rows))
    learner.fit_shares(torch.cat(evidence))
    network = MetaNetwork(network.encoder, learner)
    losses = [_losses_by_share(network, batch.to(device)) for batch in validation]
    learner.share.fill_(SHARES[int(sum(losses).argmin())])
    return network


@torch.no_grad()
def _losses_by_share(network, batch):
    """Sum of the query losses of a batch at each of SHARES, (n_shares,)."""
    learner, query = network.learner, batch.query()
    adapted = network.adapt(batch.support(), batch.y_support)
    losses = []
    for share in SHARES:
        prediction = learner.predict(learner.with_share(adapted, share), query)
        loss = row_losses(prediction, batch.y_query) * batch.weight_query
        losses.append(loss.sum())
    return torch.stack(losses)
