"""Ablation: the contribution of each part of a meta-learner on real collections.

    python benchmarks/ablation.py DATA [NAME ...] [--system attention] [--seeds 0]
        [--parts PART,PART]

Protocol of ``real_collections.py``. Each line leaves one part out of the default
estimator, on the same tasks and episodes: R2 at each number of support rows K, and the
mean over K of the difference to the complete estimator. A part is left out by keeping a
layer that is zero before meta-training at zero; nothing else changes. Without the
closed-form base learner the row decoder alone predicts, by an unbounded correction of a
normal distribution about the pooled prediction. Without mixed models, the experts that
are mixed models have default hyperparameters, and those of GPs start at them.
"""

from contextlib import ExitStack
from typing import NamedTuple
from unittest.mock import patch

import numpy as np
import pandas as pd
import torch
from _results import open_results
from _shared import REGRESSORS, SHOTS, collections_parser, draw_episodes, load, split

from skmeta._networks.encoders.task_encoder import AttentionPooling, TaskEncoding
from skmeta._networks.learners import row_decoder
from skmeta._networks.learners.base import BaseLearner, residual_targets
from skmeta._networks.learners.gp_regression import GaussianProcessRegression
from skmeta._networks.learners.predictive import Components, Gaussian
from skmeta._networks.relations.relations import Relations
from skmeta._training import experts, meta_training


class NotAdapted(NamedTuple):
    encoding: TaskEncoding


class NoLearner(BaseLearner):
    """A base learner that knows no more than pooled estimators, and one variance."""

    def __init__(self):
        super().__init__()
        self.log_variance = torch.nn.Parameter(torch.zeros(()))

    def targets(self, rows, y):
        return residual_targets(rows, y)

    def adapt(self, support, y, encoding):
        return NotAdapted(encoding)

    def predict(self, adapted, query):
        mean = query.offset.mean(-1)
        return Gaussian(mean, self.log_variance.exp().expand(mean.shape))

    def components(self, adapted, query, joint=False):
        mean, variance = self.predict(adapted, query)
        spread = torch.diag_embed(variance) if joint else variance
        return [Components(mean.new_zeros(len(mean), 1), mean[:, None], spread)]


def decoder_alone(base, **sizes):
    return row_decoder.RowDecodingLearner(NoLearner(), **sizes)


OF_TRANSFORMER = {
    "whole": {},
    "relations": {"system": {"relations": None}},
    "decoded relations": {"system": {"relations": Relations}},
    "row decoder": {"system": {"row_decoder": None}},
    "Transformer": {
        "system": {
            "encoder": AttentionPooling, "relations": Relations, "row_decoder": None
        }
    },
    "closed-form base learner": {
        "system": {
            "relations": None, "row_decoder": decoder_alone
        },
        "max_correction": 1e6,
    },
    "attention on the task": {"idle": ("shift", "column_shift", "modulation")},
}  # fmt: skip
OF_SELF_ATTENTION = {
    "whole": {},
    "relations": {"system": {"relations": None}},
    "self-attention among rows": {"system": {"encoder": AttentionPooling}},
}
OF_ATTENTION = {
    "whole": {},
    "attention on the task": {"idle": ("shift", "column_shift", "modulation")},
    "feature attention": {"idle": ("column_shift",)},
    "learned features": {"idle": ("to_basis",)},
    "learned mean": {"idle": ("to_mean",)},
    "pooled estimator": {"parameters": {"pooled_estimator": None}},
    "task attention": {"parameters": {"task_attention": False}},
    "training on the support": {"adaptation_grid": ((0.0,),), "robust_grid": ()},
    "tasks drawn from the prior": {"prior_tasks": 0},
    "noise with long tails": {"robust_grid": ()},
    "mixed models": {"mixed_models": False},
    "return to the start": {"interpolate_to_init": False},
}
PARTS = {
    "attention": OF_ATTENTION,
    "self-attention": OF_SELF_ATTENTION,
    "transformer": OF_TRANSFORMER,
}
"""Part -> how the estimator is made to do without it."""


def without(idle=(), prior_tasks=None, mixed_models=True, interpolate_to_init=True,
            max_correction=None, **of_process):  # fmt: skip
    """A context in which meta-training does without a part."""
    make_network = meta_training.make_network

    def make_idle_network(*args):
        network = make_network(*args)
        for name in idle:
            for parameter in getattr(network.core().prior, name).parameters():
                parameter.requires_grad_(False).zero_()
        return network

    stack = ExitStack()
    stack.enter_context(patch.object(meta_training, "make_network", make_idle_network))
    if of_process:
        stack.enter_context(patch.multiple(GaussianProcessRegression, **of_process))
    if prior_tasks is not None:
        stack.enter_context(patch.object(meta_training, "PRIOR_TASKS", prior_tasks))
    if not mixed_models:
        default = patch.object(experts._Rows, "mixed_model", lambda *args: None)
        stack.enter_context(default)
    if not interpolate_to_init:
        stay = patch.object(meta_training, "interpolate_to_init", lambda *args: None)
        stack.enter_context(stay)
    if max_correction is not None:
        unbounded = patch.object(row_decoder, "MAX_CORRECTION", max_correction)
        stack.enter_context(unbounded)
    return stack


def scores(system, part, train, validation, episodes, seed):
    """R2 of the estimator without ``part``, one for each K."""
    how = dict(PARTS[system][part])
    parameters, changes = how.pop("parameters", {}), how.pop("system", {})
    estimator = REGRESSORS[system](random_state=seed, **parameters)
    estimator._architecture = estimator._architecture._replace(**changes)
    with without(**how):
        estimator.meta_fit(train, validation_tasks=validation)
        predictions = estimator.predict_episodes(
            [(X, y, X_query) for _, _, X, y, X_query, _ in episodes]
        )
    rows = [
        (k, np.mean((p - y) ** 2), np.mean((train.y.mean() - y) ** 2))
        for (k, *_, y), p in zip(episodes, predictions, strict=True)
    ]
    losses = pd.DataFrame(rows, columns=["K", "loss", "mean"]).groupby("K").mean()
    return 1 - losses.loss / losses["mean"]


def main():
    names = ["suzuki", "nox", "vietnam", "baseball"]
    parser = collections_parser(__doc__, names)
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--system", choices=REGRESSORS, default="attention")
    parser.add_argument("--parts", default="", help="all of them by default")
    options, results = open_results(
        parser, key=("collection", "seed", "left_out"), free=("names", "parts")
    )
    asked = options.parts.split(",") if options.parts else PARTS[options.system]
    parts = ["whole", *(p for p in asked if p != "whole")]
    results.heading(f"{options.system}, R2, one part left out a line")
    shots = ", ".join(f"K={k}" for k in SHOTS)
    results.print(f"collection, seed, part left out, {shots}, mean difference")
    differences = {}
    for name in options.names:
        tasks, _ = load(options.data / f"{name}.npz")
        for seed in map(int, options.seeds.split(",")):
            train, validation, test, positions = split(tasks, seed)
            episodes = list(draw_episodes(test, positions, seed))
            of = {}
            for part in parts:
                of[part] = scores(
                    options.system, part, train, validation, episodes, seed
                )
                difference = (of[part] - of["whole"]).mean()
                differences[name, seed, part] = difference
                values = ", ".join(f"{v:.4f}" for v in of[part])
                results.add(
                    f"{name}, {seed}, {part}, {values}, {difference:+.4f}",
                    collection=name, seed=seed, left_out=part, difference=difference,
                    **{f"r2_{k}": value for k, value in of[part].items()},
                )  # fmt: skip
    table = pd.Series(differences).groupby(level=[2, 0], sort=False).mean().unstack()
    results.print("\nMean difference over K and seeds\n" + table.round(4).to_string())


if __name__ == "__main__":
    main()
