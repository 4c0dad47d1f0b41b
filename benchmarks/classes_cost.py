"""What meta-training and adaptation cost next to the embedding alone.

    python benchmarks/classes_cost.py [--epochs 10]

Pictures of 28 x 28 pixels drawn at random are the data; the embedding is the Conv-4 of
``glyphs.py``. Printed are, for each system, meta-training steps a second next to those
of a plain PyTorch loop of Prototypical Networks on the same episodes, judging on
held-out episodes included on our side; and the time of one `fit` and `predict`, 20
classes of 5 rows and 100 query rows, next to one forward pass of the embedding over the
same 200 rows, all at once or 64 at a time, whichever is faster: what is large is in new
memory each time, until some was given back. One thread.
"""

import argparse
import platform
import time

import numpy as np
import torch
from glyphs import SYSTEMS, Conv4, random_affine
from skorch.callbacks import Callback
from torch.nn import functional as F

from skmeta import TaskCollection
from skmeta._episodes.shared_rows import NWaySampler

N_CLASSES, N_ROWS, N_REPEATS = 200, 20, 100


class Timer(Callback):
    """Seconds from the first step to the end."""

    def on_train_begin(self, net, **kwargs):
        self.start = time.perf_counter()

    def on_train_end(self, net, **kwargs):
        self.seconds = time.perf_counter() - self.start


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
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--epochs", type=int, default=10)
    n_epochs = parser.parse_args().epochs
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    patterns = rng.random((N_CLASSES, 28, 28), dtype=np.float32)
    y = np.repeat(np.arange(N_CLASSES), N_ROWS)
    X = patterns[y] + rng.random((len(y), 28, 28), dtype=np.float32)
    tasks = TaskCollection({"all": (X, y)})
    validation = {"held out": (X[: 20 * N_ROWS], y[: 20 * N_ROWS])}
    print(
        f"{platform.processor() or platform.machine()}, one thread, {n_epochs} epochs"
    )
    rows = np.arange(200)
    support, query = X[rows // 10 * N_ROWS + rows % 10][::2], X[1::2][:100]
    labels = np.repeat(np.arange(20), 5)
    both = torch.tensor(np.concatenate([support, query]))
    for name, system in SYSTEMS.items():
        timer = Timer()
        model = system(
            shared_classes=False, embedding=Conv4, augmentation=random_affine,
            n_support=(1, 5), max_epochs=n_epochs, patience=n_epochs,
            callbacks=[timer], device="cpu", random_state=0,
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
        print(
            f"{name}: {ours:.2f} steps a second, plain {plain:.2f}, ratio "
            f"{ours / plain:.2f}; fit and predict {1e3 * adapt:.1f} ms, embedding "
            f"alone {1e3 * forward:.1f} ms, ratio {adapt / forward:.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
