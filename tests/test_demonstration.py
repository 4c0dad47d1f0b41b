"""``python -m skmeta``, at a budget that learns next to nothing."""

import io
import subprocess
import sys
from contextlib import redirect_stdout

import matplotlib.image
import numpy as np
import pytest

from skmeta._cli import demo as demonstration
from skmeta._cli.demo import demonstrate, finding, main, rivals
from skmeta.datasets import load_suzuki_tasks
from skmeta.model_selection._shot_curve import ShotCurve

N_SUPPORT = (3, 5)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Curves, printed lines and the picture of a small demonstration."""
    path = tmp_path_factory.mktemp("demonstration") / "shots.png"
    with redirect_stdout(io.StringIO()) as printed:
        curves = demonstrate(
            path,
            tasks=load_suzuki_tasks()[:25],
            n_support=N_SUPPORT,
            n_episodes=2,
            max_epochs=1,
        )
    return curves, printed.getvalue().splitlines(), path


def test_the_table_has_a_row_for_each_method(made):
    curves, lines, _ = made
    names = [*rivals(), "AttentionMetaRegressor"]
    assert [curve.name for curve in curves] == names
    header = next(i for i, line in enumerate(lines) if "3 experiments" in line)
    for line, curve in zip(lines[header + 1 :], curves, strict=False):
        assert line.startswith(curve.name)
        assert line.count("[") == len(N_SUPPORT)
        assert f"{curve.score[0]:.2f} [{curve.low[0]:.2f}, {curve.high[0]:.2f}]" in line
        assert len(line) == len(lines[header])


def test_intervals_hold_the_estimate(made):
    for curve in made[0]:
        assert np.all(curve.low <= curve.score)
        assert np.all(curve.score <= curve.high)
        assert np.all(curve.score < 1)


def test_the_picture_is_written_where_it_is_said_to_be(made):
    _, lines, path = made
    assert lines[-1] == f"Picture: {path}"
    picture = matplotlib.image.imread(path)
    assert min(picture.shape[:2]) > 500
    assert np.ptp(picture[..., 0]) > 0.5  # something is drawn


def test_what_was_found_is_said(made):
    curves, lines, _ = made
    assert finding(curves, 5) in lines
    assert f"{curves[-1].score[1]:.2f}" in finding(curves, 5)


# -- the closing sentence -----------------------------------------------------------


def curve(name, *score):
    score = np.array(score)
    resampled = score + np.linspace(-0.1, 0.1, 11)[:, None]
    return ShotCurve(name, (3, 5, 10, 20), score, resampled, np.full(4, 30))


def test_a_rival_that_catches_up():
    ours = curve("ours", 0.4, 0.6, 0.7, 0.8)
    slow, fast = curve("slow", 0.1, 0.2, 0.3, 0.4), curve("fast", 0.3, 0.4, 0.5, 0.7)
    sentence = finding([slow, fast, ours], 5)
    assert "ours has an R2 of 0.60 and fast, the best of the others, 0.40" in sentence
    assert "a difference of +0.200" in sentence
    # Half way from 10 to 20 on the logarithm: 14.1.
    assert sentence.endswith("fast needs about 14, slow needs more than 20.")


def test_rivals_that_do_not():
    sentence = finding([curve("rival", *[0.1] * 4), curve("ours", *[0.5] * 4)], 5)
    assert sentence.endswith("To get there, rival needs more than 20.")


def test_a_rival_that_is_ahead():
    sentence = finding([curve("rival", *[0.5] * 4), curve("ours", *[0.4] * 4)], 5)
    assert "difference of -0.100" in sentence
    assert "get there" not in sentence


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
