"""Time and memory."""

from .parts import ESTIMATORS, SYSTEMS, Part, Table, each, texts


def transformer_cost():
    formats = {
        "tasks a second": "{tasks_per_second:.0f}",
        "relative to as many layers": "{ratio_same_layers:.2f}",
        "relative to as many parameters": "{ratio_same_parameters:.2f}",
    }
    where = {"file": "meta_training_cost", "part": "Transformer"}
    rows = each("n_features", (1, 10))
    return Table(rows, texts(formats), where, corner="features")


def classes_cost():
    earlier = {"file": "classes_cost-epochs-3-earlier"}
    rows = [Part(f"run {i}", {**earlier, "run": i}) for i in (1, 2, 3)]
    rows += [
        Part("run 4, folded batch normalisation", {**earlier, "run": 4}),
        Part("run 5, kernels about rows", {"file": "classes_cost-epochs-3"}),
    ]
    columns = []
    for what, text in (
        ("steps", "{steps_ratio:.2f}"),
        ("`fit` and `predict`", "{fit_predict_ratio:.2f}"),
    ):
        columns += [
            Part(f"{what}, {label}", {"system": system}, text)
            for system, label in SYSTEMS.items()
        ]
    return Table(rows, columns)


def speed():
    formats = {
        "`fit` and `predict`": "{fit_predict_ms:.1f} ms",
        "relative to the tuned GP": "{ratio:.2f}",
        "`predict_episodes`, a task": "{episode_ms:.2f} ms",
        "times faster than the loop": "{times_faster:.0f}",
        "largest difference": [
            "at most {largest_difference_at_most:.1g}",
            "{largest_difference:.1g}",
        ],
    }
    rows = each("pooled_estimator", {None: "`None`", "auto": '`"auto"`'})
    return Table(rows, texts(formats), {"file": "speed"}, corner="`pooled_estimator`")


def large_tasks():
    formats = {
        "seconds of `fit`": "{fit_seconds:.1f}",
        "of `predict`": "{predict_seconds:.1f}",
        "peak memory": "{peak_gb:.2f} GB",
        "before": "{before_gb:.2f} GB",
        "from raw rows": "{difference_from_raw_rows:.2g}",
        "one row at a time": "{difference_one_row_at_a_time:.2g}",
    }
    rows = each("system", {name: f"`{name}MetaRegressor`" for name in ESTIMATORS})
    return Table(rows, texts(formats), {"file": "large_tasks"})


def parallel():
    work = {
        "plain loop, 4 times": "plain loop",
        "meta-training, 4 folds": "four meta-trainings, by `cross_val_score`",
        "adaptation, 400 fits": "400 fits and predictions, by `few_shot_scores`",
    }
    columns = each("backend", {"loky": "processes (loky)", "threading": "threads"})
    where = {"file": "parallel"}
    return Table(each("work", work), columns, where, "{ratio_to_ideal:.2f}")


def sizes():
    formats = {
        "pickle": "{pickle_kb:,.0f} kB",
        "file of `save`": "{file_kb:,.0f} kB",
        "without rows": "{file_without_rows_kb:,.0f} kB",
        "a `fit` to 10 rows adds": "{fit_adds_kb:.1f} kB",
        "100 clones relative to 100 estimators": "{share_of_clones:.2%}",
    }
    names = [f"{name}MetaRegressor" for name in ESTIMATORS]
    rows = each("system", {name: f"`{name}`" for name in names})
    return Table(rows, texts(formats), {"file": "sizes"})


def devices():
    kinds = {
        "regression": "regression",
        "shared": "classification",
        "own": "N-way classification",
        "drawings": "images, Conv-4",
    }
    learners = {
        **SYSTEMS,
        "linear": 'base learner `"linear"`',
        "mlp": 'base learner `"mlp"`',
        "Ridge()": "base learner Ridge",
    }
    rows = [
        Part(f"{kind}, {label}", {"file": "devices", "kind": key, "learner": learner})
        for key, kind in kinds.items()
        for learner, label in learners.items()
    ]
    rows += [Part("images, Conv-4, in TensorFloat-32", {"file": "devices-earlier"})]
    formats = {
        "largest difference": "{difference:.0e}",
        "steps a second, CPU": "{cpu_steps_per_second:.0f}",
        "steps a second, GPU": "{gpu_steps_per_second:.0f}",
        "`fit` and `predict`, CPU": "{cpu_ms:.0f} ms",
        "`fit` and `predict`, GPU": "{gpu_ms:.0f} ms",
    }
    return Table(rows, texts(formats))


COST = {
    "transformer_cost": transformer_cost(),
    "classes_cost": classes_cost(),
    "speed": speed(),
    "large_tasks": large_tasks(),
    "parallel": parallel(),
    "sizes": sizes(),
    "devices": devices(),
}
