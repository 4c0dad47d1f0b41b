"""Scores of regression, and of the collections of shared classes."""

import re
from statistics import mean

from .parts import SYSTEMS, Part, Table, each, figures, texts

K = (3, 5, 10, 20)
NUMBERS = (
    "suzuki", "nox", "vietnam", "baseball", "milk", "nlswork", "gapminder", "spruce",
    "hsb",
)  # fmt: skip
CLASSES = ("train_choice", "verbagg", "migraine", "ome")
FEW_NUMBERS = ("vietnam", "suzuki", "nox", "gapminder", "baseball")
FEW_CLASSES = ("train_choice", "verbagg")
FEW = [
    Part(f"{size} tasks" if size == 3 else str(size), {"size": size})
    for size in (3, 5, 10, 20, 50)
]
ONE_SPLIT = "real_collections-seeds-0"


def by_collection(file, system, names):
    """Scores of a system at each K, with their reliability and cost."""
    scores = {}
    for k in K:
        both = f"{{score_{k}:.3f}}, {{to_best_baseline_{k}:+.3f}}"
        scores[f"K = {k}"] = [f"{both}, {{to_attention_{k}:+.3f}}", both]
    columns = texts(
        {
            **scores,
            "coverage of 90% intervals": "{coverage_90:.0%}",
            "calibration error": "{calibration_min:.3f} to {calibration_max:.3f}",
            "CPU seconds of `meta_fit`": "{seconds:.0f}",
        }
    )
    return Table(each("collection", names), columns, {"file": file, "system": system})


def ablation(file, parts):
    rows, columns = each("left_out", parts), each("collection", NUMBERS[:4])
    where = {"file": file, "seed": 0}
    return Table(rows, columns, where, "{difference:+.3f}", "without")


PARTS_OF_ATTENTION = {
    "attention on the task": "attention on the task",
    "feature attention": "feature attention",
    "learned features": "learned features",
    "learned mean": "learned mean",
    "pooled estimator": "pooled estimator",
    "task attention": "task attention",
    "training on the support": "training on the support",
    "tasks drawn from the prior": "tasks sampled from the prior",
    "noise with long tails": "Student-t noise",
    "start at the mixed model": "initialisation at the mixed model",
    "mixed models": "hyperparameters of mixed models",
    "return to the start": "interpolation to the initialisation",
}
PARTS_OF_TRANSFORMER = {
    "relations": "relations",
    "decoded relations": "relation decoder",
    "row decoder": "row decoder",
    "other kinds": "kernel averaging",
    "Transformer": "Transformer (encoder of the first system, no row decoder)",
    "closed-form base learner": "closed-form base learner",
    "attention on the task": "attention on the task",
}
PARTS_OF_SELF_ATTENTION = {
    "whole": "nothing",
    "relations": "relations",
    "self-attention among rows": "self-attention among rows",
}


def ablation_self_attention():
    formats = {f"K = {k}": f"{{r2_{k}:.3f}}" for k in K}
    columns = texts({**formats, "mean difference": "{difference:+.3f}"})
    rows = each("left_out", PARTS_OF_SELF_ATTENTION)
    file = "ablation-system-self-attention"
    where = {"file": file, "collection": "suzuki", "seed": 0}
    return Table(rows, columns, where, corner="without")


def clusters():
    formats = {
        "RMSE relative to the mixed-effects model's": "{rmse_ratio:.3f}",
        "by evidence alone": "{rmse_ratio_evidence_alone:.3f}",
        "by representation alone": "{rmse_ratio_representation_alone:.3f}",
        "without relations": "{rmse_ratio_no_relations:.3f}",
        "AUC of relations for tasks of the same cluster": "{auc:.3f}",
        "coverage of 90% intervals": "{coverage_90:.3f}",
    }
    columns = each("K", {k: f"K = {k}" for k in K})
    where = {"file": "task_relations", "part": "clusters"}
    return Table(texts(formats), columns, where)


def relations():
    file = {"file": "task_relations"}
    removed = {**file, "part": "deletion", "split": "all"}
    memory = {**file, "part": "memory", "n_memory_tasks": 100_000}
    return figures(
        (
            "tasks of one cluster: RMSE relative to the mixed-effects model's, "
            "K from 0 to 20",
            {**file, "part": "one_cluster", "K": "all"},
            "{rmse_ratio_min:.3f} to {rmse_ratio_max:.3f}",
        ),
        (
            "AUC of `familiarity_` for linear tasks against sine waves, K = 5",
            {**file, "part": "familiarity"},
            "{auc:.3f}",
        ),
        ("suzuki, K = 5: MSE with all tasks in memory", removed, "{mse:.5f}"),
        ("without the five most related", removed, "{mse_without_related:.5f}"),
        ("without five at random", removed, "{mse_without_random:.5f}"),
        ("with one task alone", removed, "{mse_one_alone:.5f}"),
        (
            "five most related against five at random",
            removed,
            "{related_minus_random:.6f} ± {related_minus_random_se:.6f}",
        ),
        (
            "the same on each of the three splits",
            {**removed, "split": (0, 1, 2)},
            "{related_minus_random:.6f}",
        ),
        (
            "one `fit` with 100,000 tasks in memory relative to one with 1,000",
            memory,
            ["{fit_ratio_min:.2f} to {fit_ratio_max:.2f}", "{fit_ratio:.2f}"],
        ),
        ("memory of a task of 10 features", memory, "{bytes_per_task:.0f} bytes"),
    )


def any_estimator():
    names = (
        "Ridge", "SVR", "KNeighborsRegressor", "RandomForestRegressor",
        "HistGradientBoostingRegressor",
    )  # fmt: skip
    columns = each("collection", ("suzuki", "nox", "vietnam"))
    text = "{r2_base_learner:.3f}; {r2_alone:.3f}, {r2_pooled:.3f}, {r2_shifted:.3f}"
    return Table(each("estimator", names), columns, {"file": "any_estimator"}, text)


def few_tasks(names):
    """Scores at K = 5 from each number of tasks."""
    score = "{score_5:.3f}, {to_best_baseline_5:+.3f}"
    text = [score + ", {to_picked_baseline_5:+.3f}", score]
    rows = [
        Part(f"{name}, {label}", {"collection": name, "system": system})
        for name in names
        for system, label in SYSTEMS.items()
    ]
    return Table(rows, FEW, {"file": "few_tasks"}, text)


def few_tasks_means():
    """Differences to baselines, over collections and K."""
    rows = [
        Part(
            f"{measure}, {label}, to the {kind} baseline",
            {"system": system},
            mean_and_worst(names, f"to_{kind}_baseline", worst),
        )
        for measure, names, worst in (
            ("R2", FEW_NUMBERS, min),
            ("log loss", FEW_CLASSES, max),
        )
        for kind in ("best", "picked")
        for system, label in SYSTEMS.items()
    ]
    return Table(rows, FEW, {"file": "few_tasks"})


def mean_and_worst(names, column, worst):
    """The text of a cell: mean and worst over collections and K of a column."""

    def text(find):
        found = [find(collection=name) for name in names]
        if None in found:
            return ""
        cells = [record.get(f"{column}_{k}") for record in found for k in K[:3]]
        cells = [cell for cell in cells if cell is not None]
        if not cells:
            return ""
        shown = f"{mean(cells):+.3f}, worst {worst(cells):+.3f}"
        return re.sub(r"(?<=[+-])0(?=\.)", "", shown)

    return text


WAYS = {
    "stack": "score",
    "picked expert": "picked_expert",
    "equal weights": "equal_weights",
    "without the GP": "without_gp",
    "without the GP on the ridge": "without_gp_on_ridge",
    "without the GP on boosting": "without_gp_on_boosting",
    "without the mixed model, full covariance": "without_linear_full_covariance",
    "without the mixed model, diagonal": "without_linear_diagonal_covariance",
    "without the mixed model on boosting": "without_linear_on_boosting",
    "weights that do not depend on K": "no_slope",
    "without evidence": "no_evidence",
    "Bayesian model averaging of the evidence": "full_evidence",
}


def stack(names):
    """Score of the stack, differences to it, and means over collections."""
    rows = [Part(label, {}, way_or_mean(way, names)) for label, way in WAYS.items()]
    columns = each("collection", (*names, "mean"))
    return Table(rows, columns, {"file": "stack-seeds-0-1"})


METHODS = {
    **SYSTEMS,
    "d_mixed_full": "mixed model, full covariance",
    "d_mixed_diagonal": "mixed model, diagonal",
    "d_ridge_gp": "ridge + shared GP",
    "c_boosting_gp": "boosting + shared GP",
    "c_boosting_slopes": "boosting + slopes",
    "c_boosting_intercept": "boosting + intercept",
    "gpboost": "GPBoost",
}
TIMED = ("suzuki", "nox", "vietnam", "baseball", "hsb", "train_choice", "verbagg")


def quality_vs_time():
    """Score and seconds of each method on each collection."""
    columns = each("collection", TIMED)
    text = "{score:.3f}, {seconds:.2f} s"
    return Table(each("method", METHODS), columns, {"file": "quality_vs_time"}, text)


def way_or_mean(way, names):
    """The text of a cell: of one collection, or the mean over all."""

    def text(find):
        record = find()
        found = [record] if record else [find(collection=name) for name in names]
        values = [record and record.get(way) for record in found]
        if None in values:
            return ""
        value = mean(values)
        shown = f"{value:.3f}" if way == "score" else f"{value:+.4f}"
        return re.sub(r"(?<!\d)0(?=\.)", "", shown)

    return text


def sinusoids():
    files = {
        "attention": "sinusoids",
        "self-attention": "sinusoids-system-self-attention",
        "self-attention, squared loss": "sinusoids-system-self-attention-earlier",
        "Transformer": "sinusoids-system-transformer",
        "Transformer, squared loss": "sinusoids-system-transformer-earlier",
    }
    seconds = {"CPU seconds of `meta_fit`": "{meta_fit_seconds:.0f}"}
    columns = texts({"epochs": "{n_epochs}", **seconds}, K=5)
    for k in (5, 10):
        formats = {
            f"MSE, K = {k}": "{mse:.3s}",
            "median over tasks": "{median_mse:.2s}",
            "MSE of a GP per task": "{mse_per_task_gp:.2s}",
        }
        columns += texts(formats, K=k)
    return Table([Part(name, {"file": file}) for name, file in files.items()], columns)


def neural_processes():
    formats = {
        "ours": "{ours:.3f} ± {ours_se:.3f}",
        "true kernel": "{oracle:.3f} ± {oracle_se:.3f}",
        "difference": "{difference:+.3f} ± {difference_se:.3f}",
        "GP per task": "{per_task_gp:.3f} ± {per_task_gp_se:.3f}",
        "epochs": "{n_epochs}",
        "CPU seconds of `meta_fit`": "{meta_fit_seconds:.0f}",
    }
    kernels = {"rbf": "RBF", "matern": "Matern 5/2", "periodic": "periodic"}
    where = {"file": "neural_processes-n-tasks-2000"}
    return Table(each("kernel", kernels), texts(formats), where, corner="kernel")


def task_attention(system):
    """Errors with task attention, and what it is, of each simulated collection."""
    families = {
        "linear": "linear", "sinusoids": "sinusoids", "binary": "two classes",
    }  # fmt: skip
    cases = {
        "permuted-0": "no task permuted",
        **{f"permuted-{share}": f"{share}% permuted" for share in (10, 40, 60)},
        "hard": "30% hard",
        "noisy": "30% noisy",
    }
    rows = [
        Part(f"{family}, {case}", {"family": family_key, "case": case_key})
        for family_key, family in families.items()
        for case_key, case in cases.items()
    ]
    formats = {
        "error": "{error:.3f}",
        "relative to the other tasks alone": (
            "{ratio_clean:.3f} ({ratio_clean_max:.3f})"
        ),
        "to no task attention": "{ratio_without:.3f} ({ratio_without_max:.3f})",
        "on hard or noisy tasks": "{ratio_without_odd_test:.3f}",
        "AUC": "{auc:.3f}",
        "mean attention, the other tasks'": [
            "{attention_odd:.2f}, {attention_others:.2f}",
            "{attention_others:.2f}",
        ],
        "seeds with attention": "{n_attended} of {n_seeds}",
    }
    return Table(rows, texts(formats), {"file": "task_attention", "system": system})


def feature_attention():
    features = {"file": "feature_attention"}
    return figures(
        (
            "two of ten features matter: share of tasks where these have the largest "
            "attention, from 20 rows",
            features,
            "{share_on_top:.3f}",
        ),
        ("by absolute correlation", features, "{correlation_share_on_top:.3f}"),
    )


def missing_values():
    files = {
        "nox": "missing_values-splits-0",
        "vietnam": "missing_values-splits-0-1-2",
        "baseball": "missing_values-splits-0",
    }
    rows = [
        Part(name, {"file": file, "collection": name, "split": "mean"})
        for name, file in files.items()
    ]
    columns = []
    for k in (5, 10):
        columns += [
            Part(f"R2, K = {k}", {"side": "as they are"}, f"{{r2_{k}:.3f}}"),
            Part("imputed", {"side": "imputed"}, f"{{r2_{k}:.3f}}"),
            Part("difference", {"side": "difference"}, f"{{r2_{k}:+.3f}}"),
        ]
    return Table(rows, columns)


REGRESSION = {
    "real_collections": by_collection(
        "real_collections", "attention", (*NUMBERS, "aaindex")
    ),
    "real_collections_classes": by_collection("real_collections", "attention", CLASSES),
    **{
        f"one_split_{system.replace('-', '_')}{kind}": by_collection(
            ONE_SPLIT, system, names
        )
        for system in SYSTEMS
        for kind, names in (("", NUMBERS), ("_classes", CLASSES))
    },
    "ablation_attention": ablation("ablation", PARTS_OF_ATTENTION),
    "ablation_self_attention": ablation_self_attention(),
    "ablation_transformer": ablation(
        "ablation-system-transformer", PARTS_OF_TRANSFORMER
    ),
    "clusters": clusters(),
    "relations": relations(),
    "any_estimator": any_estimator(),
    "few_tasks": few_tasks(FEW_NUMBERS),
    "few_tasks_classes": few_tasks(FEW_CLASSES),
    "few_tasks_means": few_tasks_means(),
    "quality_vs_time": quality_vs_time(),
    "stack": stack(NUMBERS),
    "stack_classes": stack(CLASSES),
    "sinusoids": sinusoids(),
    "neural_processes": neural_processes(),
    "task_attention": task_attention("attention"),
    "feature_attention": feature_attention(),
    "missing_values": missing_values(),
}
