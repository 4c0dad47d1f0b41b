"""What holds for every base learner, whatever it computes."""

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, logsumexp
from scipy.stats import multivariate_normal
from sklearn.linear_model import LogisticRegression, Ridge

from skmeta._episodes.batch import Rows
from skmeta._networks.encoders.task_encoder import TaskEncoding, TransformerEncoder
from skmeta._networks.learners import gp_algebra, kernel_averaging
from skmeta._networks.learners.base import BaseLearner
from skmeta._networks.learners.gp_classification import GaussianProcessClassification
from skmeta._networks.learners.gp_regression import GaussianProcessRegression
from skmeta._networks.learners.kernel_averaging import KernelAveragingLearner
from skmeta._networks.learners.losses import mean_loss
from skmeta._networks.learners.mlp import MultilayerPerceptron
from skmeta._networks.learners.predictive import Categorical, Gaussian, marginals
from skmeta._networks.learners.row_decoder import RowDecodingLearner
from skmeta._networks.learners.sklearn_estimator import EstimatorLearner
from skmeta._networks.learners.wrapper import LearnerWrapper, unwrap

N_TASKS, N_ROWS, N_QUERY, N_FEATURES = 2, 5, 4, 3
COUNTS = [2, 1, 3, 0, 1]
N_POOLED = 2  # of stacks


def regression(gp, **prior):
    return GaussianProcessRegression(gp.prior(N_FEATURES, **prior))


def classification(gp, n_classes=3, **prior):
    prior = gp.prior(N_FEATURES, n_offset=n_classes, n_outputs=n_classes, **prior)
    return GaussianProcessClassification(prior)


def perceptron(gp, n_outputs=1):
    learner = MultilayerPerceptron(
        N_FEATURES, n_outputs, n_outputs, embed_dim=4, column_dim=3,
        classification=n_outputs > 1, n_hidden=6,
    )  # fmt: skip
    return gp.randomise(learner, seed=0)


def decoded(gp, base, n_outputs=1, n_pooled=1):
    learner = RowDecodingLearner(
        base, N_FEATURES + n_pooled * n_outputs, max(2, n_outputs),
        embed_dim=4, n_heads=2, n_layers=2,
    )  # fmt: skip
    gp.randomise(learner.decoder, seed=13, scale=1.0)
    return learner


class EstimatorOfEachTask(BaseLearner):
    """An `EstimatorLearner`, which takes one task, of each task of a batch."""

    def __init__(self, base):
        super().__init__()
        self.base = base
        rng = np.random.default_rng(0)
        self.classes = isinstance(base, GaussianProcessClassification)
        n = N_FEATURES + 3 * len(base.experts) + (3 if self.classes else 1)
        X, y = rng.normal(size=(12, n)), rng.normal(size=12)
        model = LogisticRegression() if self.classes else Ridge()
        self.model = model.fit(X, np.arange(12) % 3 if self.classes else y)
        self.n_base_features = base.n_base_features
        self.learner = EstimatorLearner(base, self.model, "gp")

    def adapt(self, support, y, encoding):
        parts = [
            self.base.adapt(rows_of(support, t), y[t : t + 1], encoding_of(encoding, t))
            for t in range(len(y))
        ]
        return SimpleNamespace(parts=parts, encoding=encoding)

    def _each(self, compute, adapted, rows):
        return [compute(one, rows_of(rows, t)) for t, one in enumerate(adapted.parts)]

    def predict(self, adapted, query):
        found = self._each(self.learner.predict, adapted, query)
        return type(found[0])(*map(torch.cat, zip(*found, strict=True)))

    def components(self, adapted, query, joint=False):
        def compute(one, rows):
            return self.learner.components(one, rows, joint)

        found = self._each(compute, adapted, query)
        return [
            type(of_each[0])(*map(torch.cat, zip(*of_each, strict=True)))
            for of_each in zip(*found, strict=True)
        ]

    def targets(self, rows, y):
        return self.base.targets(rows, y)

    def features(self, adapted, rows):
        return torch.cat(self._each(self.base.features, adapted, rows))

    def support_weights(self, adapted, query):
        return torch.cat(self._each(self.base.support_weights, adapted, query))

    def relevance(self, adapted):
        return torch.cat([self.base.relevance(one) for one in adapted.parts])


# name: number of outputs, how it is made, and settings of its training
CASES = {
    "gp": (1, regression, [(0.0,), (1.0,), (0.0, 4.0), (1.0, 4.0)]),
    "gp without offset": (1, lambda gp: regression(gp, n_offset=0), [(1.0, 4.0)]),
    "gp with little noise": (1, lambda gp: regression(gp, log_noise=-9.0), [(1.0,)]),
    "linear": (1, lambda gp: regression(gp, linear_only=True), [(0.0,), (1.0,)]),
    "gp of 3 classes": (3, classification, [()]),
    "gp of 2 classes": (2, lambda gp: classification(gp, 2), [()]),
    "linear of 3 classes": (3, lambda gp: classification(gp, linear_only=True), [()]),
    "mlp": (1, perceptron, [(30,), (3,)]),
    "mlp of 3 classes": (3, lambda gp: perceptron(gp, 3), [(3,)]),
    "decoded gp": (1, lambda gp: decoded(gp, regression(gp)), [(0.3,)]),
    "decoded 2 classes": (2, lambda gp: decoded(gp, classification(gp, 2), 2), [()]),
    "decoded mlp of 3 classes": (
        3, lambda gp: decoded(gp, perceptron(gp, 3), 3), [(10,)]
    ),
    "averaged kernels": (
        1, lambda gp: KernelAveragingLearner(regression(gp)), [(0.3,), (0.3, 4.0)]
    ),
    "stack": (1, lambda gp: gp.stack(), [(0.0,), (1.0,), (1.0, 4.0)]),
    "stack of 2 classes": (2, lambda gp: gp.stack(n_outputs=2), [()]),
    "stack of 3 classes": (3, lambda gp: gp.stack(n_outputs=3), [()]),
    "decoded stack": (
        1, lambda gp: decoded(gp, gp.stack(), n_pooled=N_POOLED), [(0.3,)]
    ),
    "decoded stack of 3 classes": (
        3, lambda gp: decoded(gp, gp.stack(n_outputs=3), 3, N_POOLED), [()]
    ),
    "averaged kernels of a stack": (
        1, lambda gp: KernelAveragingLearner(gp.stack()), [(0.3, 4.0)]
    ),
    "estimator on a stack": (1, lambda gp: EstimatorOfEachTask(gp.stack()), [()]),
    "estimator": (1, lambda gp: EstimatorOfEachTask(regression(gp)), [()]),
    "estimator of 3 classes": (
        3, lambda gp: EstimatorOfEachTask(classification(gp)), [()]
    ),
}  # fmt: skip
SETTINGS = [(name, s) for name, (_, _, settings) in CASES.items() for s in settings]
EVERY = pytest.mark.parametrize(
    ("name", "setting"), SETTINGS, ids=[f"{n}{list(s)}" for n, s in SETTINGS]
)


def once(names):
    """Parametrise by these learners, each in the last of its settings."""
    names = list(names)
    settings = [(name, CASES[name][2][-1]) for name in names]
    return pytest.mark.parametrize(("name", "setting"), settings, ids=names)


REGRESSION = [name for name, (n_outputs, _, _) in CASES.items() if n_outputs == 1]
WRAPPERS = [name for name in CASES if name.startswith(("decoded", "averaged"))]
META_TRAINED = [
    name for name in CASES if not name.startswith(("averaged", "estimator"))
]
WITH_PRIOR = [
    name for name in CASES if "mlp" not in name and not name.startswith("estimator")
]


def rows_of(rows, task):
    return Rows(*(t[task : task + 1] for t in rows))


def encoding_of(encoding, task):
    parts = (None if t is None else t[task : task + 1] for t in encoding)
    return TaskEncoding(*parts)


@pytest.fixture(autouse=True)
def no_grad():
    with torch.no_grad():
        yield


@pytest.fixture
def case(name, setting, gp, monkeypatch):
    """A random learner, its support and query rows, and what encodes a support."""
    # all supports are searched for periods, as few of them as are quick
    monkeypatch.setattr(kernel_averaging, "SIGNIFICANCE", 1.0)
    monkeypatch.setattr("skmeta._networks.learners.kernel_grid.MAX_FREQUENCY", 4)
    n_outputs, make, _ = CASES[name]
    n_offset = n_outputs * (N_POOLED if "stack" in name else 1)
    learner = make(gp).eval().requires_grad_(False)
    learner.set_adaptation(*setting)
    rows, y = gp.rows(N_TASKS, N_ROWS, N_FEATURES, n_offset)
    if n_outputs > 1:
        y = torch.arange(N_ROWS).expand(N_TASKS, -1) % n_outputs
    constant = gp.encoding(N_TASKS, N_FEATURES)
    encoder = TransformerEncoder(
        N_FEATURES, n_offset, n_outputs, embed_dim=4, n_heads=2, n_layers=1,
        column_dim=4,
    )  # fmt: skip
    gp.randomise(encoder, seed=3).eval().requires_grad_(False)

    def encode(rows, y, task=slice(None)):
        found = encoder(rows, learner.targets(rows, y))
        if not isinstance(learner, RowDecodingLearner):
            return TaskEncoding(constant.task[task], constant.columns[task])
        return found._replace(columns=found.columns[..., :3])

    return SimpleNamespace(
        learner=learner, rows=rows, y=y, encode=encode, n_outputs=n_outputs,
        query=gp.rows(N_TASKS, N_QUERY, N_FEATURES, n_offset, seed=5)[0],
    )  # fmt: skip


def outcome(case, rows, y, task=slice(None)):
    """All outputs of a learner for a support (B, S), each a tensor (B, ...)."""
    learner = case.learner
    query = Rows(*(t[task] for t in case.query))
    adapted = learner.adapt(rows, y, case.encode(rows, y, task))
    outputs = [
        *learner.predict(adapted, query),
        learner.features(adapted, query),
        learner.relevance(adapted),
    ]
    core, of_core = unwrap(learner, adapted)
    if core.has_prior:
        outputs.append(core.log_evidence(of_core))
    return outputs, learner.support_weights(adapted, query)


def assert_same(found, expected, atol=1e-6):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=0, atol=atol)


@EVERY
def test_prediction_is_of_its_kind(case):
    adapted = case.learner.adapt(case.rows, case.y, case.encode(case.rows, case.y))
    found = case.learner.predict(adapted, case.query)
    if case.n_outputs == 1:
        assert type(found) is Gaussian
        assert found.mean.shape == found.variance.shape == (N_TASKS, N_QUERY)
        assert (found.variance > 0).all()
    else:
        assert type(found) is Categorical
        assert found.logits.shape == (N_TASKS, N_QUERY, case.n_outputs)
    assert isinstance(case.learner, BaseLearner)


@EVERY
def test_order_of_the_support_is_irrelevant(case):
    order = torch.tensor([3, 0, 4, 1, 2])
    expected, weights = outcome(case, case.rows, case.y)
    other = Rows(*(t[:, order] for t in case.rows))
    found, other_weights = outcome(case, other, case.y[:, order])
    assert_same(found, expected)
    assert_same([other_weights], [weights[..., order]])


@EVERY
def test_weight_is_a_number_of_rows(case, gp, monkeypatch):
    repeated, index = gp.repeated(case.rows, COUNTS)
    plain, _ = outcome(case, case.rows, case.y)
    for jitter, atol in ((gp_algebra.JITTER, 1e-4), (0.0, 1e-6)):
        monkeypatch.setattr(gp_algebra, "JITTER", jitter)
        found, _ = outcome(case, gp.weighted(case.rows, COUNTS), case.y)
        expected, _ = outcome(case, repeated, case.y[:, index])
        assert (found[0] - plain[0]).abs().max() > 1e-4
        assert_same(found, expected, atol)


@EVERY
def test_rows_of_weight_zero_are_ignored(case, gp):
    more, y = gp.padded(case.rows, case.y)
    expected, weights = outcome(case, case.rows, case.y)
    found, padded_weights = outcome(case, more, y)
    assert_same(found, expected)
    present = more.weight[0] > 0
    distance = torch.cdist(more.x[0, present], case.rows.x[0])
    assert_same([padded_weights[..., present]], [weights[..., distance.argmin(1)]])
    assert (padded_weights[..., ~present] == 0).all()
    assert (case.learner.targets(more, y)[:, ~present] == 0).all()


@EVERY
def test_tasks_of_a_batch_are_independent(case):
    case.rows.weight[1, 3:] = 0
    together, weights = outcome(case, case.rows, case.y)
    for task in range(N_TASKS):
        one = slice(task, task + 1)
        alone, own_weights = outcome(
            case, rows_of(case.rows, task), case.y[one], task=one
        )
        assert_same(alone, [t[one] for t in together])
        assert_same([own_weights], [weights[one]])


@once(CASES)
def test_query_rows_are_independent(case):
    adapted = case.learner.adapt(case.rows, case.y, case.encode(case.rows, case.y))
    some = Rows(*(t[:, [2, 0]] for t in case.query))
    some.x[:, 1] *= 100.0
    together = case.learner.predict(adapted, case.query)
    found = case.learner.predict(adapted, some)
    assert_same([t[:, 0] for t in found], [t[:, 2] for t in together], 1e-9)


@EVERY
def test_sizes_and_signs(case):
    learner = case.learner
    adapted = learner.adapt(case.rows, case.y, case.encode(case.rows, case.y))
    weights = learner.support_weights(adapted, case.query)
    assert weights.shape == (N_TASKS, N_QUERY, N_ROWS)
    assert (weights >= 0).all()
    assert (weights.sum(2) > 0).all()
    relevance = learner.relevance(adapted)
    assert relevance.shape[0] == N_TASKS
    assert relevance.shape[1] in (N_FEATURES, N_FEATURES + case.n_outputs)
    assert (relevance > 0).all()
    features = learner.features(adapted, case.query)
    assert features.shape == (N_TASKS, N_QUERY, learner.n_base_features)
    row_weight = learner.row_weight(adapted, case.rows)
    assert row_weight.shape == case.rows.weight.shape
    assert (row_weight > 0).all()


@once(REGRESSION)
def test_components_have_the_moments_that_are_predicted(case):
    adapted = case.learner.adapt(case.rows, case.y, case.encode(case.rows, case.y))
    mean, variance = case.learner.predict(adapted, case.query)
    components = case.learner.components(adapted, case.query)
    log_share, means, sds = marginals(components)
    share = log_share.exp()
    assert_same([share.sum(-1)], [torch.ones_like(mean)], 1e-9)
    assert_same([(share * means).sum(-1)], [mean], 1e-9)
    second = (share * (sds**2 + means**2)).sum(-1)
    assert_same([second - mean**2], [variance], 1e-9)
    joint = case.learner.components(adapted, case.query, joint=True)
    for one, other in zip(joint, components, strict=True):
        assert_same(one[:2], other[:2], 1e-9)
        assert_same([one.spread.diagonal(dim1=1, dim2=2)], [other.spread], 1e-9)
        assert (torch.linalg.eigvalsh(one.spread) > 0).all()


@once(WITH_PRIOR)
def test_no_row_has_an_evidence_of_1(case):
    core, _ = unwrap(case.learner)
    assert core.has_prior
    case.rows.weight[1] = 0
    adapted = core.adapt(case.rows, case.y, case.encode(case.rows, case.y))
    evidence = core.log_evidence(adapted)
    assert abs(evidence[1]) < 1e-9
    assert evidence[0] < 0


@pytest.mark.parametrize(
    "name", ["gp", "gp without offset", "linear", "gp with little noise", "stack"]
)
@pytest.mark.parametrize("setting", [(0.0,)])
def test_evidence_is_the_density_of_the_support(case, gp):
    adapted = case.learner.adapt(case.rows, case.y, case.encode(case.rows, case.y))
    evidence = case.learner.log_evidence(adapted)
    experts, weights = case.learner.experts, case.learner.expert_weights
    log_share = np.zeros(1)
    if len(experts) > 1:  # of no row
        log_share = log_softmax((weights.logit - 2.0 * weights.slope).numpy())
    for task in range(N_TASKS):
        expected = []
        for e in range(len(experts)):
            true = gp.formula(case.learner.prior, adapted.encoding, task, e)
            K = true.kernel(case.rows, case.rows)
            jitter = gp_algebra.JITTER * np.diag(K).mean()
            K += (true.noise + jitter) * np.eye(N_ROWS)
            mean = true.mean(case.rows)[:, 0]
            density = multivariate_normal(mean, K)
            expected.append(density.logpdf(case.y[task].numpy()))
        expected = logsumexp(expected + log_share)
        assert evidence[task] == pytest.approx(expected, abs=1e-6)


@once(CASES)
def test_settings_are_set_and_kept(case):
    learner = case.learner
    settings = [*learner.adaptation_grid, *learner.robust_grid]
    settings.append(learner.single_task_setting)
    found = []
    for one in settings:
        learner.set_adaptation(*one)
        found.append(outcome(case, case.rows, case.y)[0])
    other = copy.deepcopy(learner)
    for one, expected in zip(settings, found, strict=True):
        learner.set_adaptation(*one)
        assert_same(outcome(case, case.rows, case.y)[0], expected, 1e-12)
        other.load_state_dict(learner.state_dict())
        case.learner = other
        assert_same(outcome(case, case.rows, case.y)[0], expected, 1e-12)
        case.learner = learner


@once(META_TRAINED)
def test_gradients_reach_the_encoder(case):
    """As finite differences have it, in a random direction of the encoding."""
    # in which the support trains no hyperparameters
    learner = case.learner.train().requires_grad_(True)
    encoding = case.encode(case.rows, case.y)
    rng = torch.Generator().manual_seed(0)
    for part in ("task", "columns"):
        at = getattr(encoding, part)
        along = torch.randn(at.shape, generator=rng, dtype=torch.float64)

        def loss(step, part=part, at=at, along=along):
            moved = encoding._replace(**{part: at + step * along})
            adapted = learner.adapt(case.rows, case.y, moved)
            parts = (t.flatten() for t in learner.predict(adapted, case.query))
            return sum(t @ torch.linspace(1, 2, len(t)).to(t) for t in parts)

        step = torch.tensor(0.0, dtype=torch.float64, requires_grad=True)
        with torch.enable_grad():
            (slope,) = torch.autograd.grad(loss(step), step)
        expected = (loss(1e-5) - loss(-1e-5)) / 2e-5
        assert abs(slope) > 1e-6
        assert abs(slope - expected) < 1e-4 * max(1, abs(expected))


def in_training(case, rows, y, encoding):
    """Each prediction of a step of meta-training, and that of all of them."""
    return case.learner.train().training_predictions(rows, y, encoding, case.query)


@once(META_TRAINED)
def test_training_predicts_as_the_adapted_learner(case, gp):
    """Whose hyperparameters no support trains then; also a support with padding."""
    for rows, y in ((case.rows, case.y), gp.padded(case.rows, case.y)):
        encoding = case.encode(rows, y)
        each, found = in_training(case, rows, y, encoding)
        expected = case.learner.predict(
            case.learner.adapt(rows, y, encoding), case.query
        )
        assert type(found) is type(expected)
        assert_same(found, expected)
        decodes = isinstance(case.learner, RowDecodingLearner)
        n_experts = max(1, len(unwrap(case.learner)[0].experts))
        assert len(each) == n_experts + decodes
        if decodes or n_experts == 1:
            assert_same(each[-1][0:1], found[0:1])


@once(META_TRAINED)
def test_tasks_of_a_batch_are_trained_on_their_own(case):
    case.rows.weight[1, 3:] = 0
    encoding = case.encode(case.rows, case.y)
    together, _ = in_training(case, case.rows, case.y, encoding)
    query = case.query
    for task in range(N_TASKS):
        one = slice(task, task + 1)
        case.query = rows_of(query, task)
        own = encoding_of(encoding, task)
        alone, _ = in_training(case, rows_of(case.rows, task), case.y[one], own)
        for found, expected in zip(alone, together, strict=True):
            assert_same(found, [t[one] for t in expected])


@once(META_TRAINED)
def test_gradients_of_the_training_loss(case):
    """As finite differences have them, in a random direction of encoding and rows.

    But for a decoder, which corrects predictions that are taken as they are.
    """
    learner = case.learner.requires_grad_(True)
    case.rows.weight[1, 3:] = 0
    encoding = case.encode(case.rows, case.y)
    rng = torch.Generator().manual_seed(0)
    y = torch.arange(N_QUERY).expand(N_TASKS, -1) % case.n_outputs
    if case.n_outputs == 1:
        y = torch.randn(y.shape, generator=rng, dtype=torch.float64)
    weight = torch.tensor([[1.0, 1, 1, 0], [0.3, 0.3, 0.3, 0.3]]).double()
    n = max(1, len(unwrap(learner)[0].experts))
    for part in ("task", "columns", "x"):
        at = case.rows.x if part == "x" else getattr(encoding, part)
        along = torch.randn(at.shape, generator=rng, dtype=torch.float64)

        def loss(step, part=part, at=at, along=along):
            moved = {part: at + step * along}
            some = case.rows._replace(**moved) if part == "x" else case.rows
            of_task = encoding if part == "x" else encoding._replace(**moved)
            each, _ = in_training(case, some, case.y, of_task)
            return sum(mean_loss(one, y, weight, 5.0) for one in each[:n])

        step = torch.tensor(0.0, dtype=torch.float64, requires_grad=True)
        with torch.enable_grad():
            (slope,) = torch.autograd.grad(loss(step), step)
        expected = (loss(1e-5) - loss(-1e-5)) / 2e-5
        assert abs(slope) > 1e-6
        assert abs(slope - expected) < 1e-4 * max(1, abs(expected))


@once(WRAPPERS)
def test_wrappers_delegate(case):
    learner = case.learner
    assert isinstance(learner, LearnerWrapper)
    base, encoding = learner.base, case.encode(case.rows, case.y)
    adapted = learner.adapt(case.rows, case.y, encoding)
    assert unwrap(learner, adapted) == (base, adapted.base)
    fields = "adaptation_grid", "robust_grid", "single_task_setting", "n_base_features"
    for field in fields:
        assert getattr(learner, field) == getattr(base, field)
    for method, args in (
        ("features", (case.query,)),
        ("relevance", ()),
        ("support_weights", (case.query,)),
        ("row_weight", (case.rows,)),
    ):
        found = getattr(learner, method)(adapted, *args)
        assert torch.equal(found, getattr(base, method)(adapted.base, *args))
