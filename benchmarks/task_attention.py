"""Whether task attention finds uninformative tasks, and spares hard and noisy ones.

    python benchmarks/task_attention.py [--families linear sinusoids binary]
        [--cases NAME ...] [--systems attention] [--seeds 0,1,2] [--jobs 1]

Meta-training on 200 tasks of 40 rows, of three families: linear tasks, whose nine
coefficients (eight columns and an intercept) lie in a space of three dimensions, with
noise of .3 of their signal; sinusoids with noise of .3; and two classes, which are the
signs of such linear functions plus logistic noise of scale .3. Some of the tasks are
odd:

permuted-0 to permuted-60  that share, in per cent, have their targets permuted among
                           their rows
hard    30% are real but unlike the others: coefficients in all directions, with three
        times the standard deviation, or three times the frequency
noisy   30% have three times the noise

Validation and test tasks, 40 each, are none of these. Three learners, with default
parameters: with task attention, with ``task_attention=False``, and meta-trained on the
tasks that are not odd alone. Errors are mean squared errors (two classes: log loss) of
the test tasks from K = 5 rows, means over seeds; ratios are that with task attention
over that of either other, means over seeds, with the largest. Of hard and noisy tasks,
the error of 40 other such tasks relative to ``task_attention=False``, too. Then the AUC
of `task_attention_` for permuted tasks against the others, its mean of odd and of other
tasks, and on how many seeds it is not 1 for all tasks.
"""

import numpy as np
from _results import argument_parser, one_thread, open_results
from _shared import CLASSIFIERS, REGRESSORS, log_loss
from joblib import Parallel, delayed
from sklearn.metrics import roc_auc_score

from skmeta import TaskCollection
from skmeta.datasets import make_sinusoid_tasks, shuffle_targets

N_TRAIN, N_OTHER, N_ROWS, K = 200, 40, 40, 5
"""Tasks for meta-training, for validation as well as test; rows, support rows."""

N_FEATURES, RANK, NOISE, SHARE_ODD, TIMES = 8, 3, 0.3, 0.3, 3
CASES = {
    "permuted-0": 0.0, "permuted-10": 0.1, "permuted-40": 0.4, "permuted-60": 0.6,
    "hard": None, "noisy": None,
}  # fmt: skip
FAMILIES = ("linear", "sinusoids", "binary")


def make_tasks(family, n_tasks, seed, part, hard=False, noisy=False):
    """Tasks of a family; those of another ``part`` are other tasks of the same."""
    rng = np.random.RandomState([seed, part])
    noise = TIMES * NOISE if noisy else NOISE
    if family == "sinusoids":
        frequency = float(TIMES) if hard else 1.0
        return make_sinusoid_tasks(
            n_tasks, N_ROWS, frequency=frequency, noise=noise, random_state=rng
        )
    directions = np.random.RandomState(seed).standard_normal((RANK, 1 + N_FEATURES))
    directions /= np.linalg.norm(directions)  # so that targets have variance 1
    coef = rng.standard_normal((n_tasks, RANK)) @ directions
    if hard:
        coef = TIMES * rng.standard_normal(coef.shape) / (1 + N_FEATURES) ** 0.5
    X = rng.standard_normal((n_tasks, N_ROWS, N_FEATURES))
    y = coef[:, :1] + np.einsum("trj,tj->tr", X, coef[:, 1:])
    if family == "binary":
        y = (y + noise * rng.logistic(size=y.shape) > 0).astype(int)
    else:
        y = y + noise * rng.standard_normal(y.shape)
    return TaskCollection(list(zip(X, y, strict=True)))


def with_odd(family, case, seed):
    """Meta-training tasks, which of them are odd, and 40 other odd ones or None."""
    tasks = make_tasks(family, N_TRAIN, seed, 0)
    if CASES[case] is not None:
        return *shuffle_targets(tasks, CASES[case], random_state=seed), None
    odd = np.random.RandomState(seed).permutation(N_TRAIN) < SHARE_ODD * N_TRAIN
    others = make_tasks(family, N_TRAIN, seed, 1, **{case: True})
    mixed = [
        other if is_odd else task
        for task, other, is_odd in zip(tasks, others, odd, strict=True)
    ]
    return (
        TaskCollection(mixed),
        odd,
        make_tasks(family, N_OTHER, seed, 4, **{case: True}),
    )


def error(model, tasks, classes):
    """Mean over tasks of the loss of their query rows."""
    episodes = [(t.X[:K], t.y[:K], t.X[K:]) for t in tasks]
    if classes:
        found = model.predict_episodes(episodes, return_proba=True)
        losses = [
            log_loss(p, t.y[K:], model.classes_)
            for p, t in zip(found, tasks, strict=True)
        ]
    else:
        found = model.predict_episodes(episodes)
        losses = [
            np.mean((p - t.y[K:]) ** 2) for p, t in zip(found, tasks, strict=True)
        ]
    return float(np.mean(losses))


def run(family, case, system, seed):
    """Figures of one collection of tasks."""
    one_thread()
    classes = family == "binary"
    tasks, odd, odd_test = with_odd(family, case, seed)
    validation, test = (make_tasks(family, N_OTHER, seed, part) for part in (2, 3))

    def learn(tasks, task_attention="auto"):
        kind = (CLASSIFIERS if classes else REGRESSORS)[system]
        model = kind(task_attention=task_attention, random_state=seed)
        return model.meta_fit(tasks, validation_tasks=validation)

    attended, alike = learn(tasks), learn(tasks, task_attention=False)
    clean = learn(tasks[~odd]) if odd.any() else attended
    ours, without, of_clean = (
        error(model, test, classes) for model in (attended, alike, clean)
    )
    attention = attended.task_attention_
    row = {
        "error": ours, "error_without": without, "error_clean": of_clean,
        "ratio_clean": ours / of_clean, "ratio_without": ours / without,
        "attention_others": attention[~odd].mean(),
        "is_attended": float(np.ptp(attention) > 0),
    }  # fmt: skip
    if odd.any():
        row["attention_odd"] = attention[odd].mean()
    if odd_test is None and odd.any():
        row["auc"] = roc_auc_score(~odd, attention)
    if odd_test is not None:
        ours, without = (error(m, odd_test, classes) for m in (attended, alike))
        row["ratio_without_odd_test"] = ours / without
    return row


def main():
    parser = argument_parser(__doc__)
    parser.add_argument(
        "--families", nargs="+", choices=FAMILIES, default=list(FAMILIES)
    )
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument(
        "--systems", nargs="+", choices=REGRESSORS, default=["attention"]
    )
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--jobs", type=int, default=1, help="seeds side by side")
    options, results = open_results(
        parser, key=("family", "case", "system"),
        free=("families", "cases", "systems", "jobs"), cores="jobs",
    )  # fmt: skip
    results.heading(f"{N_TRAIN} tasks of {N_ROWS} rows, K = {K}")
    seeds = [int(seed) for seed in options.seeds.split(",")]
    keys = [
        (family, case, system)
        for system in options.systems
        for family in options.families
        for case in options.cases
    ]
    runs = (delayed(run)(*key, seed) for key in keys for seed in seeds)
    found = Parallel(options.jobs, return_as="generator")(runs)
    for key in keys:
        rows = [next(found) for _ in seeds]
        report(key, rows, results)


def report(key, rows, results):
    """Add the means over seeds."""
    row = {name: np.mean([r[name] for r in rows]) for name in rows[0]}
    for name in ("ratio_clean", "ratio_without"):
        row[f"{name}_max"] = max(r[name] for r in rows)
    row["n_attended"] = round(sum(r["is_attended"] for r in rows))
    del row["is_attended"]
    family, case, system = key
    text = (
        f"{family}, {case}, {system}: error {row['error']:.4f}; relative to clean "
        f"tasks alone {row['ratio_clean']:.3f} (at most {row['ratio_clean_max']:.3f}), "
        f"to no task attention {row['ratio_without']:.3f} (at most "
        f"{row['ratio_without_max']:.3f})"
    )
    if "ratio_without_odd_test" in row:
        text += f", on such tasks {row['ratio_without_odd_test']:.3f}"
    if "auc" in row:
        text += f"; AUC {row['auc']:.3f}"
    if "attention_odd" in row:
        text += (
            f"; attention {row['attention_odd']:.3f} against "
            f"{row['attention_others']:.3f}"
        )
    text += f"; attended on {row['n_attended']} of {len(rows)} seeds"
    results.add(
        text, family=family, case=case, system=system, n_seeds=len(rows), **row
    )  # fmt: skip


if __name__ == "__main__":
    main()
