"""Cost of meta-training and adaptation relative to the embedding alone.

    python benchmarks/classes_cost.py [--epochs 10]

The data are random images of 28 x 28 pixels; the embedding is the Conv-4 of
``glyphs.py``. Printed are, for each system, meta-training steps a second relative to
those of a plain PyTorch loop of Prototypical Networks on the same episodes, where only
ours includes the evaluation on validation episodes; and the time of one `fit` and
`predict`, 20 classes of 5 rows and 100 query rows, relative to one forward pass of the
embedding over the same 200 rows, all at once or 64 at a time, whichever is faster. One
thread.
"""

import time

import numpy as np
import torch
from _results import argument_parser, open_results
from _shared import CLASSIFIERS, Conv4, Timer, random_affine
from torch.nn import functional as F

from skmeta import TaskCollection
from skmeta._episodes.shared_rows import NWaySampler

N_CLASSES, N_ROWS, N_REPEATS = 200, 20, 100


def plain_loop(tasks, n_steps):
    """Steps a second of Prototypical Networks, eight episodes of a group at once."""
    sampler = NWaySampler(tasks, torch.tensor(tasks.X), (2, 20), (1, 5), 32)
    rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    net = Conv4()
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
    start = time.perf_counter()
    for _ in range(n_steps):
        batch = sampler.draw(8, rng)
        z = net(random_affine(batch.x[0][batch.present[0]], generator))
        y, support, query = batch.y[0], batch.support[0], batch.query[0]
        share = F.one_hot(y).float() * support[..., None]
        count = share.sum(1)
        means = share.transpose(1, 2) @ z / count.clamp(min=1)[..., None]
        logits = -(torch.cdist(z.expand(len(means), -1, -1), means) ** 2)
        logits = logits.masked_fill((count == 0)[:, None], -1e30)
        losses = F.cross_entropy(
            logits.flatten(0, 1), y.repeat(len(means)), reduction="none"
        )
        loss = (losses * query.flatten()).sum() / query.sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return n_steps / (time.perf_counter() - start)


def median_times(*calls):
    """Median seconds of each call; they take turns."""
    times = np.zeros((N_REPEATS, len(calls)))
    for row in times:
        for i, call in enumerate(calls):
            start = time.perf_counter()
            call()
            row[i] = time.perf_counter() - start
    return np.median(times, 0)


def main():
    parser = argument_parser(__doc__)
    parser.add_argument("--epochs", type=int, default=10)
    options, results = open_results(parser, key=("system",))
    n_epochs = options.epochs
    rng = np.random.default_rng(0)
    patterns = rng.random((N_CLASSES, 28, 28), dtype=np.float32)
    y = np.repeat(np.arange(N_CLASSES), N_ROWS)
    X = patterns[y] + rng.random((len(y), 28, 28), dtype=np.float32)
    tasks = TaskCollection({"all": (X, y)})
    validation = {"validation": (X[: 20 * N_ROWS], y[: 20 * N_ROWS])}
    results.heading(f"{n_epochs} epochs")
    rows = np.arange(200)
    support, query = X[rows // 10 * N_ROWS + rows % 10][::2], X[1::2][:100]
    labels = np.repeat(np.arange(20), 5)
    both = torch.tensor(np.concatenate([support, query]))
    for name, system in CLASSIFIERS.items():
        timer = Timer()
        model = system(
            shared_classes=False, embedding=Conv4, augmentation=random_affine,
            n_support=(1, 5), max_epochs=n_epochs, patience=n_epochs,
            steps_per_epoch=50, callbacks=[timer], device="cpu", random_state=0,
        ).meta_fit(tasks, validation_tasks=validation)  # fmt: skip
        n_steps = n_epochs * model.steps_per_epoch
        ours, plain = n_steps / timer.seconds, plain_loop(tasks, n_steps)
        module = model.meta_state_.embedding.module
        with torch.no_grad():
            *forward, adapt = median_times(
                lambda module=module: module(both),
                lambda module=module: [module(some) for some in both.split(64)],
                lambda model=model: model.fit(support, labels).predict(query),
            )
        forward = min(forward)
        results.add(
            f"{name}: {ours:.2f} steps a second, plain {plain:.2f}, ratio "
            f"{ours / plain:.2f}; fit and predict {1e3 * adapt:.1f} ms, embedding "
            f"alone {1e3 * forward:.1f} ms, ratio {adapt / forward:.2f}",
            system=name, steps_per_second=ours, plain_steps_per_second=plain,
            steps_ratio=ours / plain, fit_predict_ms=1e3 * adapt,
            embedding_ms=1e3 * forward, fit_predict_ratio=adapt / forward,
        )  # fmt: skip


if __name__ == "__main__":
    main()
