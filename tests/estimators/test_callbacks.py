"""Scikit-learn's callbacks see meta-training; without them nothing changes."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmeta import AttentionMetaClassifier, AttentionMetaRegressor
from skmeta.datasets import make_classification_tasks, make_linear_tasks
from skmeta.model_selection import TaskwiseEstimator

pytestmark = pytest.mark.usefixtures("quick_training")

callback = pytest.importorskip("sklearn.callback")


class Recorder:
    """Writes down each hook; ends a training after ``last`` epochs."""

    max_propagation_depth = None

    def __init__(self, last=None):
        self.log, self.last = [], last

    def setup(self, estimator, context):
        self.log.append("setup")

    def teardown(self, estimator, context):
        self.log.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.log.append(("begin", context.estimator_name, context.task_name))

    def on_fit_task_end(self, estimator, context):
        self.log.append(("end", context.estimator_name, context.task_name))
        is_last = context.task_name == "epoch" and context.task_id + 1 == self.last
        return is_last

    def tasks(self, when="begin"):
        return [entry[2] for entry in self.log if entry[0] == when]


@pytest.fixture(scope="module")
def tasks():
    return make_linear_tasks(10, n_rows=15, n_features=2, random_state=0)


@pytest.fixture
def learner(tiny):
    quick = {"task_attention": False, "n_support": (0, 4)}
    return AttentionMetaRegressor("linear", None, **tiny | quick)


def test_epochs_are_fit_tasks(learner, tasks):
    recorder = Recorder()
    learner.set_callbacks(recorder).meta_fit(tasks)
    assert recorder.log[0] == "setup"
    assert recorder.log[-1] == "teardown"
    assert recorder.tasks() == ["meta_fit", "training", "epoch", "epoch"]
    assert recorder.tasks("end") == ["epoch", "epoch", "training", "meta_fit"]
    plain = clone(learner).set_callbacks().meta_fit(tasks)
    X = tasks[0].X
    np.testing.assert_array_equal(learner.predict(X), plain.predict(X))


def test_callback_ends_training(learner, tasks):
    recorder = Recorder(last=1)
    learner.set_callbacks(recorder).meta_fit(tasks)
    assert len(learner.history_) == 1
    assert recorder.tasks("end") == ["epoch", "training", "meta_fit"]


def test_teardown_after_an_error(learner, tasks):
    class Failing(Recorder):
        def on_fit_task_end(self, estimator, context):
            raise RuntimeError("no more")

    recorder = Failing()
    with pytest.raises(RuntimeError, match="no more"):
        learner.set_callbacks(recorder).meta_fit(tasks)
    assert recorder.log[-1] == "teardown"
    assert not hasattr(learner, "meta_state_")


def test_scores_of_validation_tasks(learner, tasks):
    """Zero-shot, after each epoch, whatever task it was adapted to before."""
    monitor = callback.ScoringMonitor(scoring="r2")
    learner.meta_fit(tasks)
    learner.fit(tasks[0].X, 100 + tasks[0].y)
    learner.set_callbacks(monitor).meta_fit(tasks[:8], validation_tasks=tasks[8:])
    scores = [entry["r2"] for entry in monitor.get_logs().data]
    assert len(scores) == len(learner.history_) == 2
    rows = tasks[8:]
    averages_differ = abs(scores[-1] - learner.score(rows.X, rows.y))
    assert averages_differ < 0.1  # of the last steps, and of the moving average
    assert min(scores) > -1  # adapted to targets of about 100 it would be far lower


def test_classes_of_a_tasks_own_have_no_score_without_a_task(tiny):
    monitor, recorder = callback.ScoringMonitor(scoring="accuracy"), Recorder()
    tasks = make_classification_tasks(10, n_rows=15, n_features=2, random_state=0)
    learner = AttentionMetaClassifier(shared_classes=False, **tiny)
    learner.set_callbacks(monitor, recorder).meta_fit(tasks)
    assert recorder.tasks() == ["meta_fit", "training", "epoch", "epoch"]
    with pytest.raises(ValueError, match="No scores were computed"):
        monitor.get_logs()


def test_grid_search_passes_them_down(learner, tasks):
    recorder = Recorder()
    inside = make_pipeline(StandardScaler(), learner)
    search = GridSearchCV(
        TaskwiseEstimator(inside), {"n_support": [3, 5]}, cv=2, refit=False
    ).set_callbacks(recorder)
    search.fit(tasks)
    names = {entry[1] for entry in recorder.log if isinstance(entry, tuple)}
    assert names == {"GridSearchCV", "TaskwiseEstimator", "AttentionMetaRegressor"}
    assert recorder.tasks().count("meta_fit") == 4
    assert recorder.log.count("setup") == recorder.log.count("teardown") == 1


def test_clones_keep_them(learner):
    recorder = Recorder()
    copy = clone(learner.set_callbacks(recorder))
    assert len(copy._skl_callbacks) == 1


def test_progress_bar(learner, tasks, capsys):
    pytest.importorskip("rich")
    learner.set_callbacks(callback.ProgressBar()).meta_fit(tasks)
    assert "AttentionMetaRegressor" in capsys.readouterr().out
