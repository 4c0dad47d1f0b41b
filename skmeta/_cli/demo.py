"""``python -m skmeta``: a new reaction, after a handful of experiments.

Meta-trains on Suzuki couplings, adapts to reactions not seen in meta-training, and
compares with methods without meta-learning.
"""

import argparse
from pathlib import Path

from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.figure import Figure
from sklearn.model_selection import ShuffleSplit

from ..datasets import load_suzuki_tasks
from ..model_selection import compare
from ..model_selection._comparison_text import rows_needed
from .arguments import replace_unencodable, seed_number, writable_path

FOCUS = 5
"""Number of experiments that the closing sentence is about."""


def demonstrate(path="skmeta-demo.png", *, tasks=None, n_support=None, seed=0):
    """Compare on a third of the reactions, print what was found and draw a picture.

    Parameters
    ----------
    path : str or Path, default="skmeta-demo.png"
        Where to write the picture; its suffix is the format.
    tasks : TaskCollection, default=None
        None takes the Suzuki couplings.
    n_support : tuple of int, default=None
        Numbers of experiments, 5 among them; None takes 3, 5, 10 and 20.
    seed : int, default=0
        Splits the tasks, draws the experiments and seeds the estimators.

    Returns
    -------
    comparison : Comparison
    """
    tasks = load_suzuki_tasks() if tasks is None else tasks
    print(
        f"{len(tasks)} reactions (two reactants and a ligand), {len(tasks.y):,} yields."
        "\nA task is a reaction, and K the number of experiments on a new one.",
        flush=True,
    )
    comparison = compare(
        None,
        tasks,
        n_support=n_support,
        cv=ShuffleSplit(1, test_size=1 / 3, random_state=seed),
        train_sizes=(),
        random_state=seed,
        verbose=1,
    )
    print(f"\n{comparison}\n\n{equivalents(comparison, FOCUS)}")
    draw(comparison, path)
    print(f"Picture: {path}")
    return comparison


def equivalents(comparison, n_support):
    """Say how many experiments each rival needs to do as well as with so many."""
    at, last = comparison.n_support.index(n_support), comparison.n_support[-1]
    needed = sorted(
        (comparison.equivalent_n_support(rival)[at], rival)
        for rival in comparison.rivals
    )
    cells = (f"{name} {rows_needed(n, last)}" for n, name in needed)
    return (
        f"Experiments needed to do as well as {comparison.candidate} after "
        f"{n_support}: {', '.join(cells)}."
    )


def draw(comparison, path):
    """Draw the scores into a file."""
    figure = Figure(figsize=(7.6, 4.8), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1)
    ax = figure.add_subplot()
    comparison.plot(ax=ax)
    ax.set_xlabel("experiments on the new reaction")
    ax.set_ylabel("R2 (band: 95% interval over reactions)")
    n = len(comparison.task_names)
    title = f"Yields of {n} Suzuki couplings not seen in meta-training"
    ax.set_title(title, loc="left", weight="bold")
    figure.savefig(path, dpi=150)


def picture_path(text):
    """A path that a picture can be written to, for argparse."""
    formats = FigureCanvasBase.get_supported_filetypes()
    if Path(text).suffix.lower()[1:] not in formats:
        raise argparse.ArgumentTypeError(
            f"{text!r} does not end in a picture's format, such as .png, .pdf or .svg"
        )
    return writable_path(text)


def main(arguments=None):
    """Run ``python -m skmeta``."""
    replace_unencodable()
    parser = argparse.ArgumentParser(
        prog="python -m skmeta",
        description=(
            "Meta-train on Suzuki couplings, adapt to reactions not seen in "
            "meta-training from a few experiments, and compare with methods without "
            "meta-learning. Takes a minute."
        ),
        epilog="For your own table: python -m skmeta compare --help",
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
