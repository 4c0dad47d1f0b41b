"""The main job on real chemistry: a new reaction, after a handful of experiments.

``python -m skmeta`` meta-trains on Suzuki couplings, adapts to reactions that were
never seen, and compares with what one would do without meta-learning.
"""

import argparse
import os
import sys
import warnings
from pathlib import Path

import numpy as np
from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.figure import Figure
from sklearn.dummy import DummyRegressor
from sklearn.exceptions import ConvergenceWarning

from .._estimators.attention import AttentionMetaRegressor
from .._utils.threads import single_pool_thread
from ..baselines import PooledRegressor
from ..datasets import load_suzuki_tasks
from ..model_selection import few_shot_scores
from ..model_selection._default_rivals import gp_per_task, ridge_per_task
from ..model_selection._plot import ShotCurveDisplay
from ..model_selection._shot_curve import ShotCurve

N_SUPPORT = (3, 5, 10, 20)
FOCUS = 5
"""Number of experiments that the closing sentence is about."""


def row(name, cells):
    """One line of the table."""
    return f"{name:<22}" + "".join(f"{cell:>18}" for cell in cells)


def rivals(seed=0):
    """What one would do without meta-learning, from the simplest to the strongest.

    Returns
    -------
    estimators : dict of str -> estimator
        Two that learn from the new reaction alone, and three that learn from all.
    """
    return {
        "ridge per reaction": ridge_per_task(),
        "GP per reaction": gp_per_task(seed),
        "pooled boosting": PooledRegressor(random_state=seed),
        "boosting + intercept": PooledRegressor(adapt="intercept", random_state=seed),
        "boosting + shared GP": PooledRegressor(adapt="gp", random_state=seed),
    }


@single_pool_thread()  # tasks are small: one thread is the fastest
def demonstrate(
    path="skmeta-demo.png",
    *,
    tasks=None,
    n_support=N_SUPPORT,
    n_episodes=5,
    max_epochs=200,
    seed=0,
):
    """Meta-train, adapt to reactions never seen, print a table and draw a picture.

    Parameters
    ----------
    path : str or Path, default="skmeta-demo.png"
        Where to write the picture; its suffix says in which format.
    tasks : TaskCollection, default=None
        Three fifths of them are learned from, one is held out to stop and tune on,
        one to compare on. None takes the Suzuki couplings.
    n_support : tuple of int, default=(3, 5, 10, 20)
        Numbers of experiments to adapt to; 5 must be among them.
    n_episodes : int, default=5
        Draws of these experiments for each reaction.
    max_epochs : int, default=200
        Of the meta-training.
    seed : int, default=0
        Splits the tasks, draws the experiments and seeds the estimators.

    Returns
    -------
    curves : list of ShotCurve
        The rivals first, `AttentionMetaRegressor` last.
    """
    tasks = load_suzuki_tasks() if tasks is None else tasks
    order = np.random.default_rng(seed).permutation(len(tasks))
    training, validation, test = np.split(
        order, [round(0.6 * len(order)), round(0.8 * len(order))]
    )
    training, validation, test = tasks[training], tasks[validation], tasks[test]
    print(
        f"{len(tasks)} reactions (two reactants and a ligand), {len(tasks.y):,} yields."
        f"\nMeta-training on {len(training)}, with {len(validation)} more to stop on; "
        f"the other {len(test)} are never seen.\n",
        flush=True,
    )
    ours = AttentionMetaRegressor(max_epochs=max_epochs, random_state=seed, verbose=1)
    ours.meta_fit(training, validation_tasks=validation)

    def errors(estimator):
        with warnings.catch_warnings():
            # A process fitted to three rows alone often ends at a bound of its kernel.
            warnings.simplefilter("ignore", ConvergenceWarning)
            scores = few_shot_scores(
                estimator,
                test,
                n_support,
                n_episodes,
                scoring="neg_mean_squared_error",
                random_state=seed,
            )
        return -scores.task_means()

    print(
        "\nR2 on the reactions never seen, and its 95% interval over reactions, after"
    )
    print(row("", [f"{k} experiments" for k in n_support]))
    reference = errors(DummyRegressor(strategy="constant", constant=training.y.mean()))
    curves = []
    for name, estimator in [*rivals(seed).items(), (type(ours).__name__, ours)]:
        if hasattr(estimator, "meta_fit") and estimator is not ours:
            estimator.meta_fit(training, validation_tasks=validation)
        curve = ShotCurve.from_losses(
            name, n_support, errors(estimator), reference, seed
        )
        print(row(name, curve.cells()), flush=True)
        curves.append(curve)
    print(f"\n{finding(curves, FOCUS)}")
    draw(curves, path, f"Yields of {len(test)} Suzuki couplings never seen before")
    print(f"Picture: {path}")
    return curves


def draw(curves, path, title):
    """Draw the curves, the last to stand out, into a file."""
    figure = Figure(figsize=(7.6, 4.8), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1)
    axes = figure.add_subplot()
    ShotCurveDisplay.from_curves(
        curves, score_name="R2 (band: 95% interval over reactions)"
    ).plot(ax=axes)
    axes.set_xlabel("experiments on the new reaction")
    axes.set_title(title, loc="left", weight="bold")
    figure.savefig(path, dpi=150)


def finding(curves, n_support):
    """Say what the curves show at one number of support rows.

    Parameters
    ----------
    curves : list of ShotCurve
        The last is the one that the others are compared with.
    n_support : int

    Returns
    -------
    sentence : str
    """
    *others, ours = curves
    at = ours.n_support.index(n_support)
    reached = ours.score[at]
    best = max(others, key=lambda curve: curve.score[at])
    gap, low, high = (values[at] for values in ours.gain(best))
    sentence = (
        f"After {n_support} experiments {ours.name} has an R2 of {reached:.2f} and "
        f"{best.name}, the best of the others, {best.score[at]:.2f}: a difference of "
        f"{gap:+.3f} [{low:+.3f}, {high:+.3f}]."
    )
    if gap <= 0:
        return sentence
    needed = sorted((curve.shots_for(reached), curve.name) for curve in others)
    last = ours.n_support[-1]
    needs = ", ".join(
        f"{name} needs " + (f"more than {last}" if k > last else f"about {k:.0f}")
        for k, name in needed
    )
    return f"{sentence} To get there, {needs}."


def picture_path(text):
    """A path that a picture can be written to, for argparse."""
    formats = sorted(FigureCanvasBase.get_supported_filetypes())
    if Path(text).suffix.lower()[1:] not in formats:
        raise argparse.ArgumentTypeError(
            f"{text!r} does not end in a picture's format: .png, .pdf or .svg, say"
        )
    return writable_path(text)


def writable_path(text):
    """A path that a file can be written to, for argparse."""
    path = Path(text)
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(
            f"{text!r}: there is no folder {str(path.parent)!r}; make it first"
        )
    if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise argparse.ArgumentTypeError(f"{text!r} cannot be written to")
    return path


def seed_number(text):
    """A seed, for argparse."""
    if not text.isdecimal() or int(text) >= 2**32:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a whole number from 0 to {2**32 - 1}"
        )
    return int(text)


def replace_what_cannot_be_shown():
    """Let characters that a terminal, pipe or file has no code for end no run."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def main(arguments=None):
    """Run ``python -m skmeta``."""
    replace_what_cannot_be_shown()
    parser = argparse.ArgumentParser(
        prog="python -m skmeta",
        description=(
            "Meta-train on Suzuki couplings, adapt to reactions never seen from a few "
            "experiments, and compare with what one would do without meta-learning. "
            "Takes about two minutes on two cores."
        ),
        epilog="For a table of yours: python -m skmeta compare --help",
    )
    parser.add_argument(
        "--out",
        type=picture_path,
        default="skmeta-demo.png",
        metavar="PATH",
        help="where to write the picture (default: %(default)s)",
    )
    parser.add_argument(
        "--seed",
        type=seed_number,
        default=0,
        help="draws the split and the experiments (default: %(default)s)",
    )
    options = parser.parse_args(arguments)
    demonstrate(options.out, seed=options.seed)
