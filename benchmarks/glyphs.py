"""N-way classification of characters of new scripts, and Prototypical Networks.

    python benchmarks/glyphs.py DATA [--minutes 10] [--methods NAME,NAME]
        [--without attention] [--split dev] [--device cpu]

DATA is a file of ``images`` (n, 28, 28), ``codepoint`` (the class) and ``script``. Nine
scripts of 20 characters or more, drawn at random, are the test scripts; ours uses three
of the others for validation. Both sides have the same embedding (Conv-4, 32 channels),
the same random affine change of every drawing, and the same time on one thread.
Prototypical Networks (Snell et al. 2017) are trained on 20-way episodes of 1 or 5 shots
by a plain PyTorch loop. Ours is meta-trained on each script, and on all of them as one
task, with default parameters but for ``n_support=(1, 5)``. Printed are the error on 200
episodes of each kind with 100 query rows, and the expected calibration error over 15
bins. ``--without attention`` keeps all of attention at its initial values, which have
no effect; ``--without known-classes`` trains the embedding by episodes alone, without
the auxiliary classifier of all classes of each script; ``--without rows`` uses the
class means alone. ``--split dev`` evaluates on five of the scripts otherwise used for
meta-training.
"""

import time
from pathlib import Path

import numpy as np
import torch
from _results import argument_parser, open_results
from _shared import CLASSIFIERS, Conv4, random_affine
from skorch.callbacks import Callback
from torch.nn import functional as F

import skmeta._networks.nway.learner
import skmeta._networks.nway.network
import skmeta._training.nway.auxiliary_classifier

CELLS = [(w, n, k) for w in (False, True) for n in (5, 20) for k in (1, 5)]
N_EPISODES, N_BINS = 200, 15


class TimeLimit(Callback):
    """Ends meta-training after so many seconds, at the end of an epoch."""

    def __init__(self, seconds):
        self.seconds = seconds

    def on_train_begin(self, net, **kwargs):
        self.start = time.monotonic()

    def on_epoch_end(self, net, **kwargs):
        if time.monotonic() - self.start > self.seconds:
            raise KeyboardInterrupt


class Data:
    """Drawings, and the scripts of meta-training, validation and evaluation."""

    def __init__(self, path, split, device, seed=0):
        self.device = device
        data = np.load(path)
        self.images = (data["images"] / 255.0).astype(np.float32)
        self.code, self.script = data["codepoint"], data["script"].astype(str)
        names = np.unique(self.script)
        n_codes = {s: len(np.unique(self.code[self.script == s])) for s in names}
        order = np.random.default_rng(seed).permutation(
            [s for s in names if n_codes[s] >= 20]
        )
        unseen, known = order[:9], order[9:]
        self.test = known[:5] if split == "dev" else unseen
        rest = [s for s in names if s not in {*unseen, *self.test}]
        large = [s for s in known if s in rest]
        self.validation = sorted(large, key=n_codes.get)[:3]
        self.train = [s for s in rest if s not in self.validation]

    def rows(self, scripts):
        return np.flatnonzero(np.isin(self.script, scripts))

    def tasks(self, scripts):
        """A task a script, and one of all."""
        rows = {s: self.rows([s]) for s in scripts} | {"all": self.rows(scripts)}
        return {s: (self.images[at], self.code[at]) for s, at in rows.items()}

    def episodes(self, within, n_way, k):
        """Support rows and classes, query rows and classes, of each episode."""
        rng = np.random.default_rng(1)
        for _ in range(N_EPISODES):
            scripts = [rng.choice(self.test)] if within else self.test
            rows = self.rows(scripts)
            classes = rng.choice(np.unique(self.code[rows]), n_way, replace=False)
            drawn = [rng.permutation(rows[self.code[rows] == c]) for c in classes]
            n_query = max(1, 100 // n_way)
            query = [some[k : k + n_query] for some in drawn]
            support = np.concatenate([some[:k] for some in drawn])
            yield support, np.concatenate(query)


def train_prototypes(data, seconds, seed):
    """The embedding of Prototypical Networks, and its number of steps."""
    torch.manual_seed(seed)
    net, rng = Conv4().to(data.device), np.random.default_rng(seed)
    generator = torch.Generator(data.device).manual_seed(seed)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    rows = data.rows([*data.train, *data.validation])
    images = torch.from_numpy(data.images).to(data.device)
    of_class = [rows[data.code[rows] == c] for c in np.unique(data.code[rows])]
    start, n_steps = time.monotonic(), 0
    while time.monotonic() - start < seconds:
        k = rng.choice([1, 5])
        classes = rng.choice(len(of_class), 20, replace=False)
        drawn = [rng.permutation(of_class[c])[: k + 5] for c in classes]
        support = np.concatenate([some[:k] for some in drawn])
        query = np.concatenate([some[k:] for some in drawn])
        y = np.repeat(np.arange(20), [len(some) - k for some in drawn])
        both = images[np.concatenate([support, query])]
        z = net(random_affine(both, generator))
        means = z[: len(support)].view(20, k, -1).mean(1)
        logits = -(torch.cdist(z[len(support) :], means) ** 2)
        loss = F.cross_entropy(logits, torch.from_numpy(y).to(data.device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        n_steps += 1
    return net.eval(), n_steps


@torch.no_grad()
def prototypes(net, images, episodes, code):
    parts = torch.from_numpy(images).split(500)
    device = next(net.parameters()).device
    z = torch.cat([net(part.to(device)).cpu() for part in parts])
    for support, query in episodes:
        classes, y = np.unique(code[support], return_inverse=True)
        means = torch.stack([z[support[y == c]].mean(0) for c in range(len(classes))])
        yield (-(torch.cdist(z[query], means) ** 2)).softmax(-1).numpy(), classes


def ours(model, images, episodes, code):
    episodes = [(images[s], code[s], images[q]) for s, q in episodes]
    found = model.predict_episodes(episodes, return_proba=True)
    for p, (_, y, _) in zip(found, episodes, strict=True):
        yield p, np.unique(y)


def meta_fitted(name, data, seconds, seed, without):
    """A meta-fitted classifier, and its number of steps."""
    model = CLASSIFIERS[name](
        shared_classes=False, embedding=Conv4, augmentation=random_affine,
        n_support=(1, 5), max_epochs=100_000, patience=100_000, steps_per_epoch=50,
        callbacks=[("limit", TimeLimit(seconds))], random_state=seed,
        device=data.device,
    )  # fmt: skip
    if without == "known-classes":
        skmeta._training.nway.auxiliary_classifier.MAX_WEIGHTS = 0
    if without == "rows":
        skmeta._networks.nway.learner.AdaptedNWay.mix = by_means
    if without == "attention":
        kind = skmeta._networks.nway.learner.NWayLearner
        skmeta._networks.nway.network.NWayLearner = lambda *a, **k: still(kind(*a, **k))
    model.meta_fit(data.tasks(data.train), validation_tasks=data.tasks(data.validation))
    return model, len(model.history_) * model.steps_per_epoch


def still(learner):
    """The learner with its attention fixed at the initial values, without effect."""
    for part in (learner.shift, learner.row_score[1], learner.class_shift):
        part.requires_grad_(False)
    return learner


def by_means(adapted, prototype_logits, kernel_logits):
    """Logits of an adapted learner by the means of classes alone."""
    return adapted.temperature * prototype_logits


def evaluate(predictions, data, episodes):
    """Error, and expected calibration error."""
    confidence, correct, errors = [], [], []
    for (p, classes), (_, query) in zip(predictions, episodes, strict=True):
        right = classes[p.argmax(1)] == data.code[query]
        errors.append(1 - right.mean())
        confidence.append(p.max(1))
        correct.append(right)
    confidence, correct = np.concatenate(confidence), np.concatenate(correct)
    which = np.minimum((confidence * N_BINS).astype(int), N_BINS - 1)
    gaps = np.bincount(which, confidence) - np.bincount(which, correct)
    return np.mean(errors), np.abs(gaps).sum() / len(correct)


def main():
    parser = argument_parser(__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--methods", default=",".join(["prototypes", *CLASSIFIERS]))
    parser.add_argument("--without", choices=["attention", "known-classes", "rows"])
    parser.add_argument("--split", choices=["test", "dev"], default="test")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    options, results = open_results(
        parser, key=("method", "without", "within_script", "n_way", "n_shots"),
        free=("methods", "without"),
    )  # fmt: skip
    data = Data(options.data, options.split, options.device)
    seconds = 60 * options.minutes
    results.heading(
        f"on {options.device}, {options.minutes} minutes each; test scripts "
        f"{', '.join(data.test)}; validation scripts {', '.join(data.validation)}"
    )
    results.print("method, within a script, ways, shots, error, calibration error")
    for name in options.methods.split(","):
        if name == "prototypes":
            without, method = None, prototypes
            trained, n_steps = train_prototypes(data, seconds, options.seed)
        else:
            without, method = options.without, ours
            trained, n_steps = meta_fitted(name, data, seconds, options.seed, without)
        results.print(f"{name}: {n_steps} steps")
        for within, n_way, k in CELLS:
            episodes = list(data.episodes(within, n_way, k))
            found = method(trained, data.images, episodes, data.code)
            error, gap = evaluate(found, data, episodes)
            results.add(
                f"{name}, {within}, {n_way}, {k}, {error:.4f}, {gap:.3f}",
                method=name, without=without, within_script=within, n_way=n_way,
                n_shots=k, error=error, calibration_error=gap, n_steps=n_steps,
            )  # fmt: skip


if __name__ == "__main__":
    main()
