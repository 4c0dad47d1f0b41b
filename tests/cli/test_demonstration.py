"""``python -m skmeta``, with little meta-training."""

import io
import subprocess
import sys
from contextlib import redirect_stdout

import matplotlib.image
import numpy as np
import pytest
from sklearn.linear_model import Ridge

from skmeta._cli import demo as demonstration
from skmeta._cli.demo import demonstrate, equivalents, main
from skmeta.datasets import load_suzuki_tasks
from skmeta.model_selection import _compare
from skmeta.model_selection._default_rivals import default_estimators

N_SUPPORT = (3, 5)


@pytest.fixture(scope="module")
def made(tmp_path_factory, quick_training):
    """Comparison, printed lines and the picture of a small demonstration."""

    def quick_estimators(*given):
        estimators = default_estimators(*given)
        ours = estimators["AttentionMetaRegressor"]
        ours.set_params(pooled_estimator=Ridge(), max_epochs=1, steps_per_epoch=2)
        return estimators

    path = tmp_path_factory.mktemp("demonstration") / "shots.png"
    tasks = load_suzuki_tasks()[:25]
    with (
        pytest.MonkeyPatch.context() as patch,
        redirect_stdout(io.StringIO()) as printed,
    ):
        patch.setattr(_compare, "default_estimators", quick_estimators)
        comparison = demonstrate(path, tasks=tasks, n_support=N_SUPPORT)
    return comparison, printed.getvalue(), path


def test_it_compares_by_default_on_a_third_of_the_reactions(made):
    comparison, printed, _ = made
    assert comparison.candidate == "AttentionMetaRegressor"
    assert {"GP per task", "boosting + shared GP"} < set(comparison.rivals)
    assert (len(comparison.task_names), comparison.n_tasks) == (9, 25)
    assert printed.startswith("25 reactions (two reactants and a ligand), 800 yields.")
    assert f"\n{comparison}\n" in printed
    assert comparison.learning_curve().keys() == {16}


def test_intervals_hold_the_estimate(made):
    for curve in made[0].curves.values():
        assert np.all(curve.low <= curve.score)
        assert np.all(curve.score <= curve.high)
        assert np.all(curve.score < 1)


def test_the_picture_is_written_where_it_is_said_to_be(made):
    _, printed, path = made
    assert printed.splitlines()[-1] == f"Picture: {path}"
    picture = matplotlib.image.imread(path)
    assert min(picture.shape[:2]) > 500
    assert np.ptp(picture[..., 0]) > 0.5  # something is drawn


def test_experiments_that_rivals_need_are_said(made):
    comparison, printed, _ = made
    assert equivalents(comparison, 5) in printed.splitlines()


def test_rivals_are_in_the_order_of_what_they_need():
    class Fixed:
        candidate, rivals, n_support = "ours", ("slow", "fast"), (3, 5, 10, 20)

        def equivalent_n_support(self, rival):
            return {"slow": [20, np.inf], "fast": [10, 14.1]}[rival]

    assert equivalents(Fixed(), 5) == (
        "Experiments needed to do as well as ours after 5: fast about 14, slow more "
        "than 20."
    )


# -- the command --------------------------------------------------------------------


def test_arguments_are_passed_on(monkeypatch, tmp_path):
    calls = []
    monkeypatch.setattr(
        demonstration, "demonstrate", lambda path, seed: calls.append((path, seed))
    )
    main([])
    main(["--out", str(tmp_path / "a.svg"), "--seed", "3"])
    assert [str(path) for path, _ in calls] == [
        "skmeta-demo.png",
        str(tmp_path / "a.svg"),
    ]
    assert [seed for _, seed in calls] == [0, 3]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "here/there.png"], "there is no folder 'here'; make it first"),
        (["--out", "demo.docx"], "does not end in a picture's format"),
        (["--out", "demo"], "does not end in a picture's format"),
        (["--out", "folder.png"], "cannot be written to"),
        (["--seed", "-1"], "'-1' is not a whole number from 0"),
        (["--seed", "one"], "'one' is not a whole number from 0"),
        (["--epochs", "3"], "unrecognized arguments: --epochs 3"),
    ],
)
def test_bad_arguments_end_with_a_sentence_and_2(
    arguments, message, monkeypatch, tmp_path, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert message in capsys.readouterr().err


def test_the_module_runs_from_a_shell():
    command = [sys.executable, "-m", "skmeta", "--seed", "x"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "is not a whole number" in result.stderr
