"""The few scalars that weigh relations, fitted to the loss of held-out tasks."""

import numpy as np
import torch

N_SCALAR_STEPS, SCALAR_RATE = 30, 0.2
SCALAR_SPREAD = 2.0
"""Sd of the normal prior of each scalar, around where it starts."""

UNRELATED = 1e9
"""Logit that lets no task be related."""


def fit_scalars(relations, episodes, query_loss, n_rows, n_steps=None):
    """Fit the scalars of relations; where nothing is gained, let no task be related.

    Each has a normal prior around where it starts, since a few held-out tasks leave
    much open.

    Parameters
    ----------
    relations : module
        Its ``scalars()`` are fitted; its logit ``none`` may let go of all relations.
    episodes : list
        Of what ``query_loss`` takes.
    query_loss : callable
        ``query_loss(*one)`` gives what one of the episodes adds to the mean loss.
    n_rows : int
        Query rows that the episodes tell of, at most, each counted once.
    n_steps : int, optional
        By default `N_SCALAR_STEPS`.

    Returns
    -------
    loss : float
        The least.
    """
    parameters = relations.scalars()
    for p in parameters:
        p.requires_grad_(True)
    optimizer = torch.optim.Adam(parameters, lr=SCALAR_RATE)
    first = best = values(parameters)
    lowest = np.inf
    for _ in range(n_steps or N_SCALAR_STEPS):
        optimizer.zero_grad()
        moved = zip(parameters, first, strict=True)
        penalty = sum(((p - q) ** 2).sum() for p, q in moved) / 2 / SCALAR_SPREAD**2
        (penalty / n_rows).backward()
        total = float(penalty.detach()) / n_rows
        for one in episodes:
            loss = query_loss(*one)
            loss.backward()
            total += float(loss.detach())
        if total < lowest:
            lowest, best = total, values(parameters)
        optimizer.step()
    settle(parameters, best)
    related = relations.none.clone()
    with torch.no_grad():
        relations.none.fill_(UNRELATED)
        alone = sum(float(query_loss(*one)) for one in episodes)
        if lowest < alone:
            relations.none.copy_(related)
    return min(lowest, alone)


def values(parameters):
    """Copies of the values that parameters have."""
    return [p.detach().clone() for p in parameters]


def settle(parameters, best):
    """Leave the best values in parameters that are not trained any more."""
    with torch.no_grad():
        for p, q in zip(parameters, best, strict=True):
            p.copy_(q)
            p.requires_grad_(False)
