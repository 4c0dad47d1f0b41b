"""Do predictions agree between the CPU and a GPU, and what does each cost there?

    python benchmarks/devices.py [KIND ...] [--only NAME] [--device cuda]
        [--max-epochs 2]

Every learner is meta-fitted on the CPU and predicts a new task's rows there and on the
GPU, after `fit` and after `partial_fit`: printed is the largest difference of any
number, of regression in standard deviations of the targets. Then it is meta-fitted on
the GPU and predicts there and, pickled, on the CPU. Then come meta-training steps a
second and milliseconds of one `fit` and `predict`, on each. KIND is one of regression,
shared, own and drawings (classes), and compile: meta-training on the GPU by
`torch.compile`, or not. One thread on the CPU.
"""

import argparse
import pickle
import platform
import time

import numpy as np
import torch
from classes_cost import Timer
from glyphs import Conv4
from real_collections import SYSTEMS
from sklearn.base import clone
from sklearn.linear_model import Ridge

from skmeta import AttentionMetaRegressor, TaskCollection
from skmeta._utils.threads import single_thread
from skmeta.datasets import make_classification_tasks, make_linear_tasks

KINDS = ("regression", "shared", "own", "drawings", "compile")
HEADER = (
    "difference | of one learned there | steps a second, CPU | GPU | "
    "ms to fit and predict, CPU | GPU"
)
N_REPEATS = 20


def drawings(n_tasks, random_state):
    """Tasks of ten classes each, of pictures that are noise about one of the class."""
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
        "random_state": 0,
    }  # fmt: skip
    if kind in ("regression", "compile"):
        tasks = make_linear_tasks(30, 40, 5, within=0.5, random_state=0)
        for name, (system, _) in SYSTEMS.items():
            yield name, system(**few), tasks
        for base in ("linear", "mlp", Ridge()):
            yield str(base), AttentionMetaRegressor(base, **few), tasks
        return
    if kind == "drawings":
        few |= {"embedding": Conv4}
        tasks = drawings(20, 0)
    else:
        tasks = make_classification_tasks(30, 40, 5, n_classes=3, random_state=0)
    for name, (_, system) in SYSTEMS.items():
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


def compare(name, learner, tasks, device):
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
    print(
        f"| {name} | {difference:.1e} | {returned:.1e} | {rates['cpu']:.0f} | "
        f"{rates[device]:.0f} | {1e3 * seconds['cpu']:.0f} | "
        f"{1e3 * seconds[device]:.0f} |",
        flush=True,
    )


def compare_compiled(name, learner, tasks, device):
    rates = [
        meta_fitted(clone(learner).set_params(compile=compile), device, tasks)[1]
        for compile in (False, True)
    ]
    print("| {} | {:.0f} | {:.0f} |".format(name, *rates), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("kinds", nargs="*", default=KINDS)
    parser.add_argument("--only", help="the name of one learner")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--max-epochs", type=int, default=2)
    options = parser.parse_args()
    gpu = torch.cuda.get_device_name() if options.device == "cuda" else options.device
    print(
        f"{platform.processor() or platform.machine()}, {gpu}, torch "
        f"{torch.__version__}, {options.max_epochs} epochs"
    )
    with single_thread():
        for kind in options.kinds:
            cells, run = HEADER, compare
            if kind == "compile":
                cells, run = "steps a second, without | with", compare_compiled
            print(f"| {kind} | {cells} |")
            for name, learner, tasks in learners(kind, options.max_epochs):
                if options.only in (None, name):
                    run(name, learner, tasks, options.device)


if __name__ == "__main__":
    main()
