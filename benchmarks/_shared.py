"""Shared by benchmarks: systems, collections of tasks, an embedding, timing."""

import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from _results import argument_parser, one_thread
from joblib import Parallel, delayed
from skorch.callbacks import Callback
from torch import nn
from torch.nn import functional as F
from tqdm import tqdm

from skmeta import (
    AttentionMetaClassifier,
    AttentionMetaRegressor,
    SelfAttentionMetaClassifier,
    SelfAttentionMetaRegressor,
    TaskCollection,
    TransformerMetaClassifier,
    TransformerMetaRegressor,
)

REGRESSORS = {
    "attention": AttentionMetaRegressor,
    "self-attention": SelfAttentionMetaRegressor,
    "transformer": TransformerMetaRegressor,
}
CLASSIFIERS = {
    "attention": AttentionMetaClassifier,
    "self-attention": SelfAttentionMetaClassifier,
    "transformer": TransformerMetaClassifier,
}
SHOTS = (3, 5, 10, 20)
N_EPISODES, MAX_TASKS, MAX_QUERY = 5, 40, 100


def collections_parser(description, names=()):
    """A parser of a folder of collections and of names, those given by default."""
    parser = argument_parser(description)
    parser.add_argument("data", type=Path, help="folder of NAME.npz")
    parser.add_argument("names", nargs="*", default=names)
    return parser


def load(path):
    """A collection of tasks and whether it is one of regression."""
    data = np.load(path)
    regression = str(data["kind"]) == "reg"
    y = data["y"].astype(float) if regression else data["y"].astype(int)
    X = data["X"].astype(float)
    return TaskCollection.from_arrays(X, y, data["groups"]), regression


def split(tasks, seed):
    """Meta-training, validation and test tasks, and the positions of the last."""
    order = np.random.RandomState(1000 + seed).permutation(len(tasks))
    a, b = int(0.6 * len(tasks)), int(0.8 * len(tasks))
    test = order[b:][:MAX_TASKS]
    return tasks[order[:a]], tasks[order[a:b]], tasks[test], test


def draw_episodes(tasks, positions, seed):
    """(K, position, X_support, y_support, X_query, y_query) of all test episodes."""
    for i, task in zip(positions, tasks, strict=True):
        for k in SHOTS:
            if len(task) < k + 3:
                continue
            for e in range(N_EPISODES):
                state = (seed * 7919 + i * 104729 + k * 31 + e) % 2**31
                p = np.random.RandomState(state).permutation(len(task))
                s, q = p[:k], p[k : k + MAX_QUERY]
                yield k, int(i), task.X[s], task.y[s], task.X[q], task.y[q]


def log_loss(p, y, classes):
    """Mean log loss of class probabilities (n_rows, n_classes)."""
    chosen = p[np.arange(len(y)), np.searchsorted(classes, y)]
    return -np.log(np.clip(chosen, 1e-6, 1)).mean()


def losses_of_rival(estimator, episodes, regression):
    """Yield K, task and loss of each episode, which a rival is fitted to in turn."""
    for k, task, X, y, X_query, y_query in episodes:
        estimator.fit(X, y)
        if regression:
            loss = np.mean((estimator.predict(X_query) - y_query) ** 2)
        else:
            p = estimator.predict_proba(X_query)
            loss = log_loss(p, y_query, estimator.classes_)
        yield {"K": k, "task": task, "loss": loss}


def losses_of_ours(estimator, episodes, regression):
    """Yield K, task, loss and reliability of each episode of a meta-learner."""
    adapted = [(X, y, X_query) for _, _, X, y, X_query, _ in episodes]
    if regression:
        predictions = estimator.predict_episodes(adapted, return_std=True)
    else:
        predictions = estimator.predict_episodes(adapted, return_proba=True)
    for (k, task, *_, y), prediction in zip(episodes, predictions, strict=True):
        row = {"K": k, "task": task}
        if regression:
            mean, std = prediction
            row["loss"] = np.mean((mean - y) ** 2)
            row["covered"] = np.mean(np.abs(mean - y) <= 1.6449 * std)
        else:
            row["loss"] = log_loss(prediction, y, estimator.classes_)
            p = prediction[:, 1]
            row["p"], row["hit"] = p.tolist(), (y == estimator.classes_[1]).tolist()
        yield row


def losses_of_mean(mean, episodes):
    """Yield K, task and squared loss of each episode of a constant prediction."""
    for k, task, *_, y in episodes:
        yield {"K": k, "task": task, "loss": np.mean((mean - y) ** 2)}


def add_run_options(parser):
    """Options of benchmarks whose runs `run_all` makes."""
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--jobs", type=int, default=1, help="methods side by side")
    parser.add_argument(
        "--out", type=Path, help="json lines; runs in it are not redone"
    )


def run_all(run, runs, columns, options, commit):
    """Make all runs, side by side, but for those in the file ``--out``.

    Parameters
    ----------
    run : callable
        Returns the rows of a run as a DataFrame with ``columns``.
    runs : list of tuple
        Arguments of each: the path of a collection, and others.
    columns : list of str
        The columns that the arguments are values of, the path by its stem.
    options : Namespace
        With those of `add_run_options`.
    commit : str
        Written to the rows.

    Returns
    -------
    frame : DataFrame
        The rows of all runs, and of others in ``--out``.
    """
    frames, done = [], set()
    if options.out and options.out.exists():
        frames = [pd.read_json(options.out, lines=True)]
        done = set(frames[0].groupby(columns).groups)
    missing = [r for r in runs if (r[0].stem, *r[1:]) not in done]
    side_by_side = Parallel(options.jobs, return_as="generator_unordered")
    calls = (delayed(_run_on_one_thread)(run, r) for r in missing)
    for frame in tqdm(side_by_side(calls), total=len(missing)):
        frame["commit"] = commit
        frames.append(frame)
        if options.out:
            frame.to_json(options.out, orient="records", lines=True, mode="a")
    return pd.concat(frames, ignore_index=True)


def _run_on_one_thread(run, arguments):
    one_thread()
    return run(*arguments)


def commits(rows, results):
    """The commits of rows that an earlier run left in ``--out``."""
    found = sorted(set(rows.get("commit", pd.Series([None])).fillna("unknown")))
    return {} if found == [results.run["commit"]] else {"commit": ", ".join(found)}


def split_fifths(tasks, seed):
    """Meta-training, validation and test tasks, three to one to one."""
    order = np.random.default_rng(seed).permutation(len(tasks))
    n = len(tasks) // 5
    test = order[4 * n :][:MAX_TASKS]
    return tasks[order[: 3 * n]], tasks[order[3 * n : 4 * n]], tasks[test]


def r2_after_eight(model, tasks):
    """Mean R2 of the rows after the first eight, which the model is fitted to."""
    errors = [
        ((model.fit(X[:8], y[:8]).predict(X[8:]) - y[8:]) ** 2).mean() / y[8:].var()
        for X, y in tasks
    ]
    return 1 - np.mean(errors)


class Conv4(nn.Module):
    """Four blocks of convolution, batch normalisation, ReLU and pooling."""

    def __init__(self, width=32):
        super().__init__()
        blocks, n = [], 1
        for _ in range(4):
            blocks += [
                nn.Conv2d(n, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(),
                nn.MaxPool2d(2),
            ]  # fmt: skip
            n = width
        self.blocks = nn.Sequential(*blocks, nn.Flatten())

    def forward(self, rows):
        return self.blocks(rows[:, None])


def random_affine(rows, generator):
    """Rotate, shear, scale and shift each drawing (n, 28, 28) at random."""
    n = len(rows)

    def uniform(low, high):
        return low + (high - low) * torch.rand(
            n, generator=generator, device=rows.device
        )

    angle, shear = uniform(-0.35, 0.35), uniform(-0.3, 0.3)
    cos, sin, scale = angle.cos(), angle.sin(), uniform(0.8, 1.2)
    linear = torch.stack([cos, shear * cos - sin, sin, shear * sin + cos], -1)
    shift = torch.stack([uniform(-0.15, 0.15), uniform(-0.15, 0.15)], -1)
    matrix = torch.cat(
        [linear.view(n, 2, 2) / scale[:, None, None], shift[..., None]], -1
    )
    grid = F.affine_grid(matrix, (n, 1, 28, 28), align_corners=False)
    return F.grid_sample(rows[:, None], grid, align_corners=False)[:, 0]


class Timer(Callback):
    """Seconds of meta-training, from the first step to the end."""

    def on_train_begin(self, net, **kwargs):
        self.start = time.perf_counter()

    def on_train_end(self, net, **kwargs):
        self.seconds = time.perf_counter() - self.start
