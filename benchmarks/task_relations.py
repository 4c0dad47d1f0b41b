"""Effect of relations between tasks, their accuracy, and the cost of a large memory.

    python benchmarks/task_relations.py [PART ...]

Parts, all with default parameters but for ``pooled_estimator=None``:

clusters     four clusters of linear tasks (65 of 40 rows, noise .15 of the signal):
             RMSE relative to a mixed-effects model's, by evidence and representation
             and by either alone; AUC of relations for tasks of the same cluster;
             coverage; means over four such collections
one_cluster  ordinary mixed-effects data: RMSE relative to the mixed-effects model's
familiarity  AUC of ``familiarity_`` for tasks of a known family (clusters) against
             others (sine waves of the same size), K = 5
deletion     Suzuki reactions: MSE at K = 5 when the five most related tasks are
             removed, or five at random, or all but one; three splits, eight supports
             of each task
memory       time of one fit with 1,000 and with 100,000 tasks in memory, and bytes a
             task
"""

import copy
import time
from dataclasses import replace

import numpy as np
from _results import argument_parser, open_results
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

from skmeta import SelfAttentionMetaRegressor
from skmeta.baselines import MixedEffectsRegressor
from skmeta.datasets import load_suzuki_tasks, make_linear_tasks

N_TRAIN, N_TEST = 65, 200
N_DRAWS = 4
"""Collections of clusters, the mean over which is printed."""

N_SPLITS, N_EPISODES = 3, 8
"""Of `deletion`."""

OFF = -30.0
"""Logarithm of a weight that is negligible."""


def learner(**parameters):
    return SelfAttentionMetaRegressor(
        pooled_estimator=None, random_state=0, **parameters
    )


def changed(model, change):
    """A copy whose relations are changed by ``change(weights)``."""
    other = clone(model)
    network = copy.deepcopy(model.meta_state_.network)
    change(network.learner.relations.weights)
    other._take_over(replace(model.meta_state_, network=network))
    return other


def errors(model, tasks, k, std=False):
    """Mean squared error of each task from k rows."""
    episodes = [(t.X[:k], t.y[:k], t.X[20:]) for t in tasks]
    predicted = model.predict_episodes(episodes, return_std=std)
    if std:
        return [
            np.mean(np.abs(mean - t.y[20:]) <= 1.6449 * sd)
            for (mean, sd), t in zip(predicted, tasks, strict=True)
        ]
    return [np.mean((p - t.y[20:]) ** 2) for p, t in zip(predicted, tasks, strict=True)]


def rivals_errors(model, tasks, k):
    found = []
    for t in tasks:
        one = model.fit(t.X[:k], t.y[:k]) if k else model
        found.append(np.mean((one.predict(t.X[20:]) - t.y[20:]) ** 2))
    return found


def clustered(seed=0):
    tasks, details = make_linear_tasks(
        N_TRAIN + N_TEST, n_clusters=4, random_state=seed, return_details=True
    )
    return tasks[:N_TRAIN], tasks[N_TRAIN:], np.split(details["cluster"], [N_TRAIN])


def clusters(results):
    found = [of_clusters(seed) for seed in range(N_DRAWS)]
    for k in found[0]:
        means = {name: np.mean([of[k][name] for of in found]) for name in found[0][k]}
        line = "; ".join(f"{name} {value:.3f}" for name, value in means.items())
        results.add(
            f"  K={k:2d}: RMSE over the mixed-effects model's: {line}",
            part="clusters", K=k, **means,
        )  # fmt: skip


def of_clusters(seed):
    """Figures of one simulated collection at each K, by name."""
    train, test, (of_train, of_test) = clustered(seed)
    ours, mixed = learner().meta_fit(train), MixedEffectsRegressor("full")
    mixed.meta_fit(train)
    variants = {
        "rmse_ratio": ours,
        "rmse_ratio_evidence_alone": changed(
            ours, lambda w: w.log_similarity_weight.fill_(OFF)
        ),
        "rmse_ratio_representation_alone": changed(
            ours, lambda w: w.log_evidence_weight.fill_(OFF)
        ),
        "rmse_ratio_no_relations": changed(ours, lambda w: w.null_logit.fill_(-OFF)),
    }
    found = {}
    for k in (3, 5, 10, 20):
        theirs = np.mean(rivals_errors(mixed, test, k))
        found[k] = {
            name: np.sqrt(np.mean(errors(model, test, k)) / theirs)
            for name, model in variants.items()
        }
        aucs, covered = [], []
        for t, c in zip(test, of_test, strict=True):
            adapted = clone(ours).fit(t.X[:k], t.y[:k])
            aucs.append(roc_auc_score(of_train == c, adapted.task_relations_))
            low, high = adapted.predict_quantiles(t.X[20:], (0.05, 0.95)).T
            covered.append(np.mean((low <= t.y[20:]) & (t.y[20:] <= high)))
        found[k] |= {
            "auc": np.mean(aucs),
            "coverage_90": np.mean(covered),
            "coverage_1645_std": np.mean(errors(ours, test, k, std=True)),
        }
    return found


def one_cluster(results):
    tasks = make_linear_tasks(N_TRAIN + N_TEST, within=1.0, random_state=1)
    train, test = tasks[:N_TRAIN], tasks[N_TRAIN:]
    ours, mixed = learner().meta_fit(train), MixedEffectsRegressor("full")
    mixed.meta_fit(train)
    ratios = []
    for k in (0, 1, 2, 3, 5, 10, 20):
        ratio = np.sqrt(
            np.mean(errors(ours, test, k)) / np.mean(rivals_errors(mixed, test, k))
        )
        ratios.append(ratio)
        results.add(
            f"  K={k:2d}: RMSE over the mixed-effects model's {ratio:.3f}",
            part="one_cluster", K=k, rmse_ratio=ratio,
        )  # fmt: skip
    low, high = min(ratios), max(ratios)
    results.add(
        f"  from {low:.3f} to {high:.3f}",
        part="one_cluster", K="all", rmse_ratio_min=low, rmse_ratio_max=high,
    )  # fmt: skip


def familiarity(results):
    train, test, _ = clustered()
    ours = learner().meta_fit(train)
    rng = np.random.default_rng(0)
    known, unknown = [], []
    for task in test:
        X, y = task.X[:5], task.y[:5]
        known.append(clone(ours).fit(X, y).familiarity_)
        wave = np.sin(2 * X @ rng.normal(size=X.shape[1]) + rng.uniform(0, 6))
        wave *= np.sqrt(2) * train.y.std()
        unknown.append(clone(ours).fit(X, wave).familiarity_)
    truth = np.repeat([1, 0], [len(known), len(unknown)])
    auc, means = roc_auc_score(truth, known + unknown), map(np.mean, (known, unknown))
    of_known, of_unknown = means
    results.add(
        f"  K= 5: AUC {auc:.3f}, mean familiarity {of_known:.3f} of known, "
        f"{of_unknown:.3f} of unknown",
        part="familiarity", K=5, auc=auc, familiarity_known=of_known,
        familiarity_unknown=of_unknown,
    )  # fmt: skip


def deletion(results):
    rng, all_found = np.random.default_rng(0), []
    for seed in range(N_SPLITS):
        train, test = train_test_split(load_suzuki_tasks(), random_state=seed)
        ours = SelfAttentionMetaRegressor(random_state=0).meta_fit(train)
        n = len(ours.task_names_)
        found = np.zeros((len(test), 4))
        for task, line in zip(test, found, strict=True):
            for _ in range(N_EPISODES):
                s, q = np.split(rng.permutation(len(task.y)), [5])
                one = clone(ours).fit(task.X[s], task.y[s])
                top = np.argsort(-one.task_relations_)[:5]
                at_random = rng.choice(n, 5, replace=False)
                for i, forgotten in enumerate(([], top, at_random, range(n - 1))):
                    kept = np.setdiff1d(np.arange(n), forgotten)
                    other = with_memory(ours, kept).fit(task.X[s], task.y[s])
                    error = np.mean((other.predict(task.X[q]) - task.y[q]) ** 2)
                    line[i] += error / N_EPISODES
        add_deletion(results, seed, found)
        all_found.append(found)
    add_deletion(results, "all", np.concatenate(all_found))


def with_memory(model, kept):
    """A clone with the tasks ``kept`` alone in memory."""
    other, state = clone(model), model.meta_state_
    network = copy.copy(state.network)
    network._modules = dict(network._modules)
    network.learner = network.learner.with_memory(network.learner.memory.take(kept))
    other._take_over(replace(state, network=network, task_names=state.task_names[kept]))
    return other


def add_deletion(results, split, found):
    """Mean errors, and how much more it costs to remove related than random tasks."""
    whole, top, at_random, but_one = found.mean(0)
    more = found[:, 1] - found[:, 2]
    mean, error = more.mean(), more.std() / len(more) ** 0.5
    results.add(
        f"  split {split}: MSE with all {whole:.5f}, without the five most related "
        f"{top:.5f}, without five at random {at_random:.5f}, with one alone "
        f"{but_one:.5f}; difference of the second and third {mean:.6f} +- {error:.6f} "
        f"({len(more)} reactions, K = 5)",
        part="deletion", split=split, K=5, n_tasks=len(more), mse=whole,
        mse_without_related=top, mse_without_random=at_random, mse_one_alone=but_one,
        related_minus_random=mean, related_minus_random_se=error,
    )  # fmt: skip


def memory(results):
    tasks = make_linear_tasks(1000, n_rows=30, n_features=10, random_state=0)
    new = make_linear_tasks(30, n_rows=30, n_features=10, random_state=1)
    ours = learner(max_epochs=3).meta_fit(tasks)
    times = []
    for n in (1000, 100_000):
        if n > 1000:
            more = make_linear_tasks(n - 1000, 30, 10, random_state=2)
            start = time.perf_counter()
            ours.add_tasks(more)
            seconds = time.perf_counter() - start
            results.print(f"  add_tasks of {len(more)}: {seconds:.0f} s")
        each = []
        for task in new:
            start = time.perf_counter()
            ours.fit(task.X[:10], task.y[:10])
            each.append(time.perf_counter() - start)
        times.append(np.median(each))
        part = ours.meta_state_.network.learner.memory
        size = sum(t.element_size() * t.nelement() for t in part) / n
        results.add(
            f"  {n} tasks: fit {1e3 * times[-1]:.1f} ms, {size:.0f} bytes a task; "
            f"{times[-1] / times[0]:.2f} times the first",
            part="memory", n_memory_tasks=n, fit_ms=1e3 * times[-1],
            bytes_per_task=size, fit_ratio=times[-1] / times[0],
        )  # fmt: skip


PARTS = {f.__name__: f for f in (clusters, one_cluster, familiarity, deletion, memory)}


def main():
    parser = argument_parser(__doc__)
    parser.add_argument("parts", nargs="*", default=list(PARTS))
    options, results = open_results(
        parser, key=("part", "K", "split", "n_memory_tasks"), free=("parts",)
    )
    results.heading("default parameters without a pooled estimator")
    for part in options.parts:
        results.print(part)
        PARTS[part](results)


if __name__ == "__main__":
    main()
