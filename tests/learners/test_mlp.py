"""The perceptron, against a separate network for every task and a plain loop."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from skmeta._networks.learners.mlp import MultilayerPerceptron

N_TASKS, N_ROWS, N_QUERY, N_FEATURES, N_HIDDEN = 3, 6, 4, 3, 5


def assert_close(a, b, atol=1e-9):
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=0, atol=atol)


@pytest.fixture(params=["regression", "classification", "no-pooled"])
def learner(request, gp):
    classification = request.param == "classification"
    n_outputs = 3 if classification else 1
    perceptron = MultilayerPerceptron(
        N_FEATURES, 0 if request.param == "no-pooled" else n_outputs, n_outputs,
        embed_dim=4, column_dim=3, classification=classification, n_hidden=N_HIDDEN,
    )  # fmt: skip
    return gp.randomise(perceptron, seed=0).eval().requires_grad_(False)


@pytest.fixture
def support(learner, gp):
    rows, y = gp.rows(N_TASKS, N_ROWS, n_outputs=3 if learner.classification else 1)
    return rows, ((y > 0).long() + (y > 1).long() if learner.classification else y)


@pytest.fixture
def query(learner, gp):
    n_outputs = 3 if learner.classification else 1
    return gp.rows(N_TASKS, N_QUERY, n_outputs=n_outputs, seed=5)[0]


@pytest.fixture
def encoding(gp):
    return gp.encoding(N_TASKS)


class Network(nn.Module):
    """One task's network, its parameters in the order of the learner's vector."""

    def __init__(self, learner, encoding, task):
        super().__init__()
        self.uses_offset = learner.uses_offset
        vector = learner.initial + learner.shift(encoding.task[task])
        parts = vector.split([np.prod(shape) for shape in learner.shapes])
        self.weights = nn.ParameterList(
            p.clone().reshape(shape)
            for p, shape in zip(parts, learner.shapes, strict=True)
        )
        self.gate = (encoding.columns[task] @ learner.column_shift.weight[0]).exp()

    def hidden(self, x, offset):
        w1, b1, w2, b2, *_ = self.weights
        x = x * self.gate
        u = torch.cat([x, offset], -1) if self.uses_offset else x
        return torch.tanh(torch.tanh(u @ w1 + b1) @ w2 + b2)

    def forward(self, x, offset):
        *_, w3, b3, _ = self.weights
        return offset + self.hidden(x, offset) @ w3 + b3

    def noise(self):
        return self.weights[-1].clamp(-14, 4).exp()


def trained(learner, rows, y, encoding, task, n_steps):
    """Gradient descent on the mean loss of the support, a rate for each tensor."""
    network = Network(learner, encoding, task)
    x, offset, weight = (t[task] for t in rows)
    longest = 0.0
    for _ in range(n_steps):
        output = network(x, offset)
        if learner.classification:
            losses = F.cross_entropy(output, y[task], reduction="none")
        else:
            error, noise = (output[:, 0] - y[task]) ** 2, network.noise()
            # the weights descend the squared error, the noise the likelihood
            losses = 0.5 * (error + error.detach() / noise + noise.log())
        loss = (losses * weight).sum() / weight.sum()
        slopes = torch.autograd.grad(
            loss, list(network.weights), materialize_grads=True
        )
        norm = torch.cat([s.flatten() for s in slopes]).norm().item()
        longest = max(longest, norm)
        with torch.no_grad():
            for p, slope, rate in zip(
                network.weights, slopes, learner.log_rate.exp(), strict=True
            ):
                p -= rate * slope * min(1, 10 / norm)
    return network.requires_grad_(False), longest


def predicted(learner, adapted, query):
    output = learner.predict(adapted, query)
    return output.logits if learner.classification else torch.stack(output, -1)


@pytest.mark.parametrize("n_steps", [0, 1, 3, 12])
def test_adaptation_is_gradient_descent(learner, support, query, encoding, n_steps):
    rows, y = support
    learner.set_adaptation(n_steps)
    with torch.no_grad():
        adapted = learner.adapt(rows, y, encoding)
        output = predicted(learner, adapted, query)
        features = learner.features(adapted, query)
    for task in range(N_TASKS):
        network, _ = trained(learner, rows, y, encoding, task, n_steps)
        expected = network(query.x[task], query.offset[task])
        if not learner.classification:
            noise = network.noise().expand(N_QUERY, 1)
            expected = torch.cat([expected, noise], 1)
        assert_close(output[task], expected)
        assert_close(features[task], network.hidden(query.x[task], query.offset[task]))


@torch.no_grad()
def test_steps_lower_the_loss(learner, support, encoding):
    rows, y = support
    learner.log_rate -= 4  # steps so small that they must go down
    losses = []
    for n_steps in (0, 3, 30):
        learner.set_adaptation(n_steps)
        adapted = learner.adapt(rows, y, encoding)
        loss = learner._loss(adapted.parameters, adapted.gate, rows, y)
        losses.append(loss.mean(1))
    assert (losses[1] < losses[0]).all()
    assert (losses[2] < losses[1]).all()


def test_long_steps_are_shortened(gp, encoding):
    learner = MultilayerPerceptron(
        N_FEATURES, 1, 1, embed_dim=4, column_dim=3, classification=False,
        n_hidden=N_HIDDEN,
    )  # fmt: skip
    gp.randomise(learner, seed=0).requires_grad_(False)
    rows, y = gp.rows(N_TASKS, N_ROWS)
    query = gp.rows(N_TASKS, N_QUERY, seed=5)[0]
    y[0] *= 100
    learner.set_adaptation(3)
    with torch.no_grad():
        output = predicted(learner, learner.adapt(rows, y, encoding), query)
    for task in range(N_TASKS):
        network, longest = trained(learner, rows, y, encoding, task, 3)
        assert (longest > 10) == (task == 0)
        expected = network(query.x[task], query.offset[task])[:, 0]
        assert_close(output[task, :, 0], expected)


def test_adaptation_is_the_same_with_and_without_gradients(
    learner, support, query, encoding
):
    rows, y = support
    with torch.no_grad():
        plain = learner.adapt(rows, y, encoding)
    learner.requires_grad_(True)
    tracked = learner.adapt(rows, y, encoding)
    assert tracked.parameters.requires_grad
    assert not plain.parameters.requires_grad
    assert_close(tracked.parameters.detach(), plain.parameters)


def test_gradient_goes_through_the_steps(learner, support, query, encoding):
    rows, y = support
    names = ("initial", "log_rate", "column_shift.weight", "shift.weight")
    parameters = dict(learner.named_parameters())

    def loss():
        adapted = learner.adapt(rows, y, encoding)
        return predicted(learner, adapted, query).square().sum()

    learner.requires_grad_(True)
    loss().backward()
    rng = np.random.default_rng(0)
    for name in names:
        p = parameters[name]
        direction = torch.from_numpy(rng.normal(size=p.shape))
        step, values = 1e-5, []
        with torch.no_grad():
            for sign in (1, -2):
                p += sign * step * direction
                values.append(loss())
            p += step * direction
        expected = (values[0] - values[1]) / (2 * step)
        found = (p.grad * direction).sum()
        assert abs(found - expected) < 1e-5 * max(1, abs(expected))


@torch.no_grad()
def outcome(learner, rows, y, encoding, query):
    adapted = learner.adapt(rows, y, encoding)
    return predicted(learner, adapted, query), learner.relevance(adapted)


def test_empty_support_leaves_the_network_where_it_starts(
    learner, support, query, encoding
):
    rows, y = support
    rows.weight[1] = 0
    one = outcome(learner, rows, y, encoding, query)
    learner.set_adaptation(0)
    other = outcome(learner, rows, y, encoding, query)
    assert_close(one[0][1], other[0][1])
    assert (one[0][0] - other[0][0]).abs().max() > 1e-4


@torch.no_grad()
def test_relevance_is_the_squared_weight_of_a_column(learner, support, encoding):
    rows, y = support
    learner.set_adaptation(0)
    relevance = learner.relevance(learner.adapt(rows, y, encoding))
    for task in range(N_TASKS):
        network = Network(learner, encoding, task).requires_grad_(False)
        squares = network.weights[0].square().sum(1)
        squares[:N_FEATURES] *= network.gate**2
        assert_close(relevance[task], squares)


def test_support_weights_are_error_times_similarity(learner, support, query, encoding):
    rows, y = support
    rows.weight[:, 0] = 2
    with torch.no_grad():
        adapted = learner.adapt(rows, y, encoding)
        weights = learner.support_weights(adapted, query)
        similarity = learner.features(adapted, query) @ learner.features(
            adapted, rows
        ).transpose(1, 2)
        output = predicted(learner, adapted, rows)
    if learner.classification:
        error = (output.softmax(-1) - F.one_hot(y, 3)).abs().sum(-1)
    else:
        error = (output[..., 0] - y).abs()
    error[:, 0] *= 2
    assert_close(weights, (similarity + 1).abs() * error[:, None])


def test_what_the_encoder_reads_is_the_target_less_the_prior(learner, support):
    rows, y = support
    if learner.classification:
        expected = F.one_hot(y, 3) - rows.offset.softmax(-1)
    else:
        expected = y[..., None] - rows.offset
    assert_close(learner.targets(rows, y), expected)


def test_new_perceptron_does_not_depend_on_the_encoding(gp):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        learner = MultilayerPerceptron(
            N_FEATURES, 1, 1, embed_dim=4, column_dim=3, classification=False
        ).double()
    rows, y = gp.rows(N_TASKS, N_ROWS)
    query = gp.rows(N_TASKS, N_QUERY, seed=5)[0]
    with torch.no_grad():
        one, other = (
            learner.predict(learner.adapt(rows, y, gp.encoding(N_TASKS, seed=s)), query)
            for s in (1, 2)
        )
    assert_close(one[0], other[0], 1e-12)
    assert set(learner.adaptation_grid) >= {(int(learner.n_steps),)}
