"""Agreement of predictions between the CPU and a GPU, and the cost on each.

    python benchmarks/devices.py [KIND ...] [--only NAME] [--device cuda]
        [--max-epochs 2]

Every learner is meta-fitted on the CPU and predicts a new task's rows there and on the
GPU, after `fit` and after `partial_fit`: printed is the largest difference of any
number, for regression in standard deviations of the targets. Then it is meta-fitted on
the GPU and predicts there and, pickled, on the CPU. Last are meta-training steps a
second and milliseconds of one `fit` and `predict`, on each. KIND is one of regression,
shared (classification), own and drawings (N-way classification). One thread on the
CPU.
"""

import pickle
import time

import numpy as np
import torch
from _results import argument_parser, open_results
from _shared import CLASSIFIERS, REGRESSORS, Conv4, Timer
from sklearn.base import clone
from sklearn.linear_model import Ridge

from skmeta import AttentionMetaRegressor, TaskCollection
from skmeta._utils.threads import single_thread
from skmeta.datasets import make_classification_tasks, make_linear_tasks

KINDS = ("regression", "shared", "own", "drawings")
HEADER = (
    "difference | of one learned there | steps a second, CPU | GPU | "
    "ms to fit and predict, CPU | GPU"
)
N_REPEATS = 20


def drawings(n_tasks, random_state):
    """Tasks of ten classes each, of images that are noise about one of the class."""
    rng = np.random.default_rng(random_state)
    y = np.repeat(np.arange(10), 12)
    tasks = []
    for _ in range(n_tasks):
        patterns = rng.normal(size=(10, 28, 28)).astype(np.float32)
        noise = rng.normal(size=(len(y), 28, 28)).astype(np.float32)
        tasks.append((patterns[y] + noise, y))
    return TaskCollection(tasks)


def learners(kind, max_epochs):
    """Name, learner and tasks."""
    few = {
        "pooled_estimator": None, "task_attention": False, "max_epochs": max_epochs,
        "steps_per_epoch": 50, "random_state": 0,
    }  # fmt: skip
    if kind == "regression":
        tasks = make_linear_tasks(30, 40, 5, within=0.5, random_state=0)
        for name, system in REGRESSORS.items():
            yield name, system(**few), tasks
        for base in ("linear", "mlp", Ridge()):
            yield str(base), AttentionMetaRegressor(base, **few), tasks
        return
    if kind == "drawings":
        few |= {"embedding": Conv4}
        tasks = drawings(20, 0)
    else:
        tasks = make_classification_tasks(30, 40, 5, n_classes=3, random_state=0)
    for name, system in CLASSIFIERS.items():
        yield name, system(shared_classes=kind == "shared", **few), tasks


def meta_fitted(learner, device, tasks):
    """It, meta-fitted there, and meta-training steps a second."""
    timer = Timer()
    learner = clone(learner).set_params(device=device, callbacks=[timer])
    learner.meta_fit(tasks).set_params(callbacks=None)
    return learner, learner.max_epochs * learner.steps_per_epoch / timer.seconds


def predicted(learner, task, more):
    """All that it says of the odd rows, from ten even ones, and ``more`` rows."""
    X, support, query = task.X, slice(0, None, len(task) // 10), slice(1, None, 2)
    learner.fit(X[support], task.y[support])
    if more:
        learner.partial_fit(X[query][:5], task.y[query][:5])
    if hasattr(learner, "predict_proba"):
        return learner.predict_proba(X[query])
    mean, std = learner.predict(X[query], return_std=True)
    return np.stack([mean, std]) / task.y.std()


def compare(results, kind, name, learner, tasks, device):
    train, new = tasks[:-1], tasks[-1]
    rates, fitted = {}, {}
    for where in ("cpu", device):
        fitted[where], rates[where] = meta_fitted(learner, where, train)
    there = clone(fitted["cpu"]).set_params(device=device)
    difference = max(
        abs(predicted(fitted["cpu"], new, more) - predicted(there, new, more)).max()
        for more in (False, True)
    )
    back = pickle.loads(pickle.dumps(fitted[device])).set_params(device="cpu")
    returned = abs(predicted(fitted[device], new, 0) - predicted(back, new, 0)).max()
    seconds = {}
    for where, one in fitted.items():
        predicted(one, new, False)
        start = time.perf_counter()
        for _ in range(N_REPEATS):
            predicted(one, new, False)
        seconds[where] = (time.perf_counter() - start) / N_REPEATS
    ms = {where: 1e3 * each for where, each in seconds.items()}
    results.add(
        f"| {name} | {difference:.1e} | {returned:.1e} | {rates['cpu']:.0f} | "
        f"{rates[device]:.0f} | {ms['cpu']:.0f} | {ms[device]:.0f} |",
        kind=kind, learner=name, difference=difference,
        difference_trained_there=returned, cpu_steps_per_second=rates["cpu"],
        gpu_steps_per_second=rates[device], cpu_ms=ms["cpu"], gpu_ms=ms[device],
    )  # fmt: skip


def main():
    parser = argument_parser(__doc__)
    parser.add_argument("kinds", nargs="*", default=KINDS)
    parser.add_argument("--only", help="the name of one learner")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--max-epochs", type=int, default=2)
    options, results = open_results(
        parser, key=("kind", "learner"), free=("kinds", "only")
    )
    results.heading(f"torch {torch.__version__}, {options.max_epochs} epochs")
    with single_thread():
        for kind in options.kinds:
            results.print(f"| {kind} | {HEADER} |")
            for name, learner, tasks in learners(kind, options.max_epochs):
                if options.only in (None, name):
                    compare(results, kind, name, learner, tasks, options.device)


if __name__ == "__main__":
    main()
