"""Whether task attention separates uninformative tasks from hard ones.

    python benchmarks/task_attention.py

Sinusoids, default parameters without a pooled estimator. First, the targets of 40% of
the meta-training tasks are permuted among their rows: AUC of `task_attention_`, and the
error on clean test tasks relative to meta-training on the clean tasks alone. Second,
30% of the tasks are clean but of three times the frequency: their mean attention
relative to the others', and the error on hard test tasks relative to
``task_attention=False``. Errors are mean squared errors of new tasks at K = 10.
"""

import numpy as np
from _results import argument_parser, open_results
from sklearn.metrics import roc_auc_score

from skmeta import AttentionMetaRegressor, TaskCollection
from skmeta.datasets import make_sinusoid_tasks, shuffle_targets

N_TRAIN, N_TEST, N_ROWS, K = 400, 400, 40, 10


def learner(tasks, task_attention="auto"):
    return AttentionMetaRegressor(
        pooled_estimator=None, task_attention=task_attention, random_state=0
    ).meta_fit(tasks)


def error(model, tasks):
    predictions = model.predict_episodes([(t.X[:K], t.y[:K], t.X[K:]) for t in tasks])
    losses = [
        np.mean((p - t.y[K:]) ** 2) for p, t in zip(predictions, tasks, strict=True)
    ]
    return float(np.mean(losses))


def main():
    _, results = open_results(argument_parser(__doc__), key=("tasks",))
    easy = make_sinusoid_tasks(N_TRAIN, N_ROWS, random_state=0)
    test = make_sinusoid_tasks(N_TEST, N_ROWS, random_state=1)
    tasks, shuffled = shuffle_targets(easy, 0.4, random_state=2)
    attended, clean = learner(tasks), learner(tasks[~shuffled])
    alike = learner(tasks, task_attention=False)
    auc = roc_auc_score(~shuffled, attended.task_attention_)
    errors = [error(model, test) for model in (attended, clean, alike)]
    results.add(
        f"40% shuffled: AUC {auc:.3f}\n"
        f"  MSE with attention {errors[0]:.4f}, clean tasks alone {errors[1]:.4f} "
        f"(ratio {errors[0] / errors[1]:.3f}), without attention {errors[2]:.4f}",
        tasks="40% shuffled", auc=auc, mse=errors[0], mse_clean_tasks=errors[1],
        mse_without_attention=errors[2],
    )  # fmt: skip

    hard = make_sinusoid_tasks(N_TRAIN, N_ROWS, frequency=3.0, random_state=3)
    is_hard = np.random.RandomState(4).permutation(N_TRAIN) < 0.3 * N_TRAIN
    mixed = TaskCollection(
        [(t.X, t.y) for t in map(_pick, is_hard, hard, easy)]
    )  # fmt: skip
    hard_test = make_sinusoid_tasks(N_TEST, N_ROWS, frequency=3.0, random_state=5)
    attended, alike = learner(mixed), learner(mixed, task_attention=False)
    attention = attended.task_attention_
    ratio = attention[is_hard].mean() / attention[~is_hard].mean()
    errors = [error(model, hard_test) for model in (attended, alike)]
    results.add(
        f"30% hard: attention to hard over easy {ratio:.3f}\n"
        f"  MSE on hard tasks with attention {errors[0]:.4f}, without {errors[1]:.4f} "
        f"(ratio {errors[0] / errors[1]:.3f})",
        tasks="30% of three times the frequency", attention_ratio=ratio, mse=errors[0],
        mse_without_attention=errors[1],
    )  # fmt: skip


def _pick(is_hard, hard, easy):
    return hard if is_hard else easy


if __name__ == "__main__":
    main()
