"""Ablation of the stack of experts, at the initialisation of meta-training.

    python benchmarks/stack.py DATA [NAME ...] [--seeds 0,1,2] [--jobs 1] [--out FILE]

Tasks, splits and test episodes of ``real_collections.py``. The experts and their
weights are those of the initialisation, in closed form: no network is trained. They are
fitted once for each collection and split, and their weights again, to the same scores
of the same experts, in each of these ways:

- stack: as the base learner does, but experts with small weights are kept;
- picked expert: the one with the lowest loss on these scores, alone;
- equal weights: all experts, for every task;
- without an expert: the stack of the others;
- no slope: weights that do not depend on the number of support rows K;
- no evidence, full evidence: the weight c of the log marginal likelihood is 0, or 1 as
  in Bayesian model averaging; logits and slopes are fitted as ever.

Regression is scored by R2 relative to the meta-training mean, 1 - MSE / MSE of that
mean, classification by log loss; a score is the mean over K and splits. Printed is a
row of a table for each collection: the score of the stack, and the difference of each
other way, positive where it is better than the stack; the CPU seconds of the longest
initialisation; the number of splits. Last are the means of the differences over
collections, those of R2 and of log loss by themselves. Episodes' losses are kept in the
file ``--out``, so that a run can be resumed.
"""

import math
import re
import time
import warnings
from unittest.mock import patch

import numpy as np
import pandas as pd
import torch
from _results import open_results
from _shared import (
    CLASSIFIERS,
    REGRESSORS,
    add_run_options,
    collections_parser,
    commits,
    draw_episodes,
    load,
    run_all,
    split,
)

from skmeta._classical.pooled import pooled_outputs
from skmeta._episodes.batch import TaskBatch, pad
from skmeta._networks.learners import expert_weights
from skmeta._networks.learners.gp_prior import no_encoding
from skmeta._networks.learners.losses import row_losses
from skmeta._networks.learners.predictive import Categorical, Gaussian
from skmeta._training import initialization
from skmeta._training.expert_weights import fit_expert_weights, mixture, score_experts
from skmeta._training.loop import BOUND
from skmeta._training.preprocessing import fit_preprocessing
from skmeta._training.split import split_tasks

NAMES = (
    "suzuki", "nox", "vietnam", "baseball", "milk", "nlswork", "gapminder", "spruce",
    "hsb", "train_choice", "verbagg", "migraine", "ome",
)  # fmt: skip
BATCH_SIZE = 40
STACK, MEAN = "stack", "mean"


def fit_all_experts(train, validation, regression, seed):
    """Experts with weights that are not yet fitted, and what to fit these to.

    Returns
    -------
    init : Initialization
    missing : MissingValues
    scores : list of ExpertScores
    n_tasks : int
    """
    systems = REGRESSORS if regression else CLASSIFIERS
    estimator, found = systems["attention"](random_state=seed), {}
    config = estimator._config(estimator._problem_of(train))
    rng = np.random.default_rng(config.seed)
    tasks = split_tasks(train, validation, config, rng)
    preprocessing, tasks = fit_preprocessing(tasks, config, None)

    def keep(learner, scores, n_tasks):
        found.update(scores=scores, n_tasks=n_tasks)

    def all_experts(learner, scores):
        return list(range(len(learner.experts)))

    with patch.multiple(
        initialization, fit_expert_weights=keep, used_experts=all_experts
    ):
        init = initialization.initialize(tasks, config)
    return init, preprocessing.missing, found["scores"], found["n_tasks"]


def episode_batches(init, missing, episodes):
    """Yield K, positions of tasks and `TaskBatch` of episodes with K support rows."""

    def rows(each):
        each = [missing.transform(X) for X in each]
        outputs = [pooled_outputs(init.pooled, X) for X in each]
        return (
            pad([init.features.transform(X) for X in each]),
            pad([init.targets.transform_offset(output) for output in outputs]),
            pad([np.ones(len(X), np.float32) for X in each]),
        )

    def targets(each):
        return pad([init.targets.transform(y) for y in each])

    for k in sorted({episode[0] for episode in episodes}):
        of_k = [episode for episode in episodes if episode[0] == k]
        for i in range(0, len(of_k), BATCH_SIZE):
            _, position, X, y, X_query, y_query = zip(
                *of_k[i : i + BATCH_SIZE], strict=True
            )
            support, query = (*rows(X), targets(y)), (*rows(X_query), targets(y_query))
            yield k, position, TaskBatch(*support, *query)


def of_experts(scores, chosen):
    """The scores of some of the experts, given by their indices."""
    predictions = scores.predictions
    if isinstance(predictions, tuple):
        predictions = tuple(part[:, chosen] for part in predictions)
    else:
        predictions = predictions[:, chosen]
    return scores._replace(evidence=scores.evidence[:, chosen], predictions=predictions)


def of_one_size(scores):
    """The scores as if of a number of support rows at which slopes have no effect."""
    n_rows = math.expm1(expert_weights.SIZE_CENTER)
    return scores._replace(n_rows=torch.full_like(scores.n_rows, n_rows))


def evidence_weight(c):
    """A context in which the weight of the evidence is ``c``."""
    return patch.object(expert_weights, "EVIDENCE_WEIGHT", c)


def equal(n_rows, evidence):
    """Equal log weights of all experts."""
    return torch.zeros_like(evidence).log_softmax(1)


def best_expert(scores):
    """The index of the expert with the lowest loss."""

    def loss(e):
        total = n_rows = 0.0
        for one in scores:
            losses = row_losses(mixture(equal, of_experts(one, [e])), one.y, BOUND)
            total += (losses * one.weight).sum()
            n_rows += one.weight.sum()
        return float(total / n_rows)

    return min(range(scores[0].evidence.shape[1]), key=loss)


def predictions(init, scores, n_tasks, test):
    """Yield each way of weighting, and its prediction of each of the ``test`` scores.

    Weights are fitted to ``scores``, of ``n_tasks`` tasks.
    """
    experts = range(len(init.learner.experts))

    def stacked(chosen=experts, change=lambda one: one):
        def of(each):
            return [change(of_experts(one, list(chosen))) for one in each]

        learner = init.learner.select(chosen)
        fit_expert_weights(learner, of(scores), n_tasks)
        return [mixture(learner.expert_weights, one) for one in of(test)]

    yield STACK, stacked()
    best = best_expert(scores)
    yield "picked expert", [mixture(equal, of_experts(one, [best])) for one in test]
    yield "equal weights", [mixture(equal, one) for one in test]
    for e, expert in enumerate(init.learner.experts):
        yield f"without {expert.name}", stacked([i for i in experts if i != e])
    yield "no slope", stacked(change=of_one_size)
    for way, c in (("no evidence", 0.0), ("full evidence", 1.0)):
        with evidence_weight(c):
            yield way, stacked()


def episode_losses(prediction, scores):
    """Squared error or log loss of each episode, (n_episodes,)."""
    if isinstance(prediction, Categorical):
        losses = row_losses(prediction, scores.y).clamp(max=-math.log(1e-6))
    else:
        losses = (prediction.mean - scores.y) ** 2
    return (losses * scores.weight).sum(1) / scores.weight.sum(1)


@torch.no_grad()
def run(path, seed):
    """Losses of all ways on one collection and split, a row an episode and a way.

    Squared losses are on the scale of the base learner.
    """
    warnings.filterwarnings("ignore", module="sklearn")
    tasks, regression = load(path)
    train, validation, test, positions = split(tasks, seed)
    start = time.process_time()
    with torch.enable_grad():
        init, missing, *fitted_to = fit_all_experts(train, validation, regression, seed)
    seconds = time.process_time() - start
    ks, of_tasks, batches = zip(
        *episode_batches(init, missing, list(draw_episodes(test, positions, seed))),
        strict=True,
    )
    learner = init.learner
    scores = score_experts(learner, lambda rows, y: no_encoding(learner, rows), batches)
    of_way = {
        way: [*map(episode_losses, predicted, scores)]
        for way, predicted in predictions(init, *fitted_to, scores)
    }
    if regression:
        mean = float(init.targets.transform(np.array([train.y.mean()]))[0])
        constant = [Gaussian(torch.full_like(one.y, mean), None) for one in scores]
        of_way[MEAN] = [*map(episode_losses, constant, scores)]
    frame = pd.concat(
        pd.DataFrame({"K": k, "task": task, "way": way, "loss": loss.double().numpy()})
        for way, losses in of_way.items()
        for k, task, loss in zip(ks, of_tasks, losses, strict=True)
    )
    frame["collection"], frame["seed"] = path.stem, seed
    frame["regression"], frame["seconds"] = regression, seconds
    return frame


def column(way):
    """The name of the column of a way in a result file."""
    return re.sub(r"\W+", "_", way)


def report(frame, results):
    """Add the row of each collection; return the differences of all.

    Returns
    -------
    differences : DataFrame
        With a row for each measure and collection, and a column for each way.
    """
    found = {}
    for name, one in frame.groupby("collection", sort=False):
        regression = bool(one.regression.iloc[0])
        measure = "R2" if regression else "log loss"
        losses = one.groupby(["seed", "K", "way"]).loss.mean().unstack("way")
        score = losses
        if regression:
            score = 1 - losses.div(losses[MEAN], axis=0).drop(columns=MEAN)
        score = score.groupby("K").mean().mean()
        sign = 1 if regression else -1
        difference = sign * (score - score[STACK]).drop(STACK)
        difference = difference[[way for way in one.way.unique() if way in difference]]
        found[measure, name] = difference
        row = {
            "collection": name, "measure": measure, "score": score[STACK],
            **{column(way): value for way, value in difference.items()},
            "seconds": one.seconds.max(), "n_splits": one.seed.nunique(),
            **commits(one, results),
        }  # fmt: skip
        shown = ", ".join(f"{way} {value:+.4f}" for way, value in difference.items())
        results.add(
            f"| {name} | {measure} {score[STACK]:.4f} | {shown} | "
            f"{row['seconds']:.0f} | {row['n_splits']} |",
            **row,
        )
    return pd.DataFrame(found).T


def summarize(differences, results):
    """Print the means of the differences over the collections of each measure."""
    results.print("mean over collections of the difference, and the collections")
    for measure, some in differences.groupby(level=0):
        mean = some.mean().dropna()
        shown = ", ".join(f"{way} {value:+.4f}" for way, value in mean.items())
        results.print(f"| mean | {measure} | {shown} | {len(some)} |")


def main():
    parser = collections_parser(__doc__, list(NAMES))
    add_run_options(parser)
    options, results = open_results(
        parser, key=("collection",), free=("names", "jobs"), cores="jobs"
    )
    results.heading(f"settings: defaults, {options.jobs} runs side by side")
    paths = [options.data / f"{name}.npz" for name in options.names]
    seeds = [int(seed) for seed in options.seeds.split(",")]
    runs = [(path, seed) for seed in seeds for path in paths]
    frame = run_all(run, runs, ["collection", "seed"], options, results.run["commit"])
    frame = frame[frame.collection.isin(options.names) & frame.seed.isin(seeds)]
    results.print("| | stack | differences to it | seconds | splits |")
    summarize(report(frame, results), results)


if __name__ == "__main__":
    main()
