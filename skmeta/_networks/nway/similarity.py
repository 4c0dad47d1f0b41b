"""Relations between tasks with task-specific labels: similarity of task embeddings.

The labels of other tasks carry no information about the classes of a new one, so other
tasks do not enter its predictions. The relation of a task with the embedding e to the
meta-training task j with the embedding e_j is

    p_j = exp(s_j) / (exp(s_0) + sum_k exp(s_k)),    s_j = -|e - e_j|^2 / (2 h^2),  (1)

a softmax over squared distances (Snell et al. 2017, eq. 2, for tasks in place of
classes) with a null option. Over the meta-training tasks, h is the median distance to
the nearest other one, and s_0 the median of log sum_k exp(s_k). So the relations of a
typical meta-training task sum to 1/2, and those of a task unlike all to about 0. To a
single meta-training task the relation is always 1/2.
"""

from typing import NamedTuple

import numpy as np
import torch

MAX_WAY, MAX_SHOTS = 16, 4
"""Maximum number of classes of a task, and of rows of each, for its embedding."""

MAX_RELATED = 8
"""Tasks of non-zero relation."""

MAX_TYPICAL = 512
"""Meta-training tasks that h and s_0 are medians over."""

TASKS_AT_ONCE = 256


class SimilarTasks(NamedTuple):
    """Relations of B tasks to the T meta-training tasks that are most similar."""

    log_relation: torch.Tensor  # (B, T + 1), the last to no task
    index: torch.Tensor  # (B, T)


def similar_tasks(embeddings, memory):
    """Relations of tasks by their embeddings.

    Parameters
    ----------
    embeddings : tensor of shape (B, embed_dim)
    memory : ndarray of shape (n_tasks, embed_dim)
        Embeddings of the meta-training tasks.

    Returns
    -------
    relations : SimilarTasks
        Relations of the most similar tasks, rescaled to the total over all tasks.
    """
    memory = torch.tensor(memory).to(embeddings)
    step = -(-len(memory) // MAX_TYPICAL)
    index = torch.arange(0, len(memory), step, device=memory.device)
    distance = torch.cdist(memory[index], memory) ** 2
    to_others = distance.scatter(1, index[:, None], torch.inf)
    bandwidth = to_others.amin(1).median().clamp(min=1e-12)  # h^2
    null = (-distance / (2 * bandwidth)).logsumexp(1).median()
    # eq. 1
    similarity = -(torch.cdist(embeddings, memory) ** 2) / (2 * bandwidth)
    total = similarity.logsumexp(1, keepdim=True)
    similarity, index = similarity.topk(min(MAX_RELATED, len(memory)), 1)
    logits = similarity.log_softmax(1) + total
    logits = torch.cat([logits, null.expand(len(logits), 1)], 1)
    return SimilarTasks(logits.log_softmax(1), index)


@torch.no_grad()
def embed_tasks(learner, read, tasks, seed=0):
    """Embeddings (n_tasks, embed_dim) of tasks, each from some rows of some classes.

    Parameters
    ----------
    learner : NWayLearner
    read : callable
        ``read(X)`` gives rows ``X`` (n_rows, ...) of a task as `Rows`.
    tasks : TaskCollection or LazyTasks
    seed : int
        Draws the rows.

    Returns
    -------
    embeddings : ndarray of shape (n_tasks, embed_dim)
    names : list
    """
    embeddings, names = [], []
    for start in range(0, len(tasks), TASKS_AT_ONCE):
        rng = np.random.default_rng(seed)
        chunk = tasks.take(np.arange(start, min(start + TASKS_AT_ONCE, len(tasks))))
        names += chunk.names
        for task in chunk:
            X, y = draw_memory_rows(task, rng)
            x = read(X).x
            y, weight = torch.from_numpy(y)[None].to(x.device), x.new_ones(x.shape[:2])
            encoding = learner.adapt(x, y, weight).encoding
            embeddings.append(encoding.task[0].float().cpu().numpy())
    return np.stack(embeddings), names


def draw_memory_rows(task, rng):
    """Rows (n, ...) of some classes of a task, and their class codes (n,)."""
    _, code = np.unique(task.y, return_inverse=True)
    chosen = rng.permutation(code.max() + 1)[:MAX_WAY]
    rows = [rng.permutation(np.flatnonzero(code == c))[:MAX_SHOTS] for c in chosen]
    y = np.repeat(np.arange(len(rows)), [*map(len, rows)])
    return task.X[np.concatenate(rows)], y
