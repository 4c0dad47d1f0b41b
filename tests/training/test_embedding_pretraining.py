import numpy as np
import pytest
import torch

from skmeta._training.embedding_pretraining import RidgeHead


def head_and_rows(n_classes=None, n_columns=3, n_rows=8):
    generator = torch.Generator().manual_seed(0)
    head = RidgeHead(n_columns, n_classes).double().requires_grad_(False)
    head.common.copy_(torch.randn(head.common.shape, generator=generator))
    head.log_ridge.fill_(-0.5)
    columns = torch.randn(2, n_rows, n_columns, generator=generator).double()
    if n_classes is None:
        y = torch.randn(2, n_rows, generator=generator).double()
    else:
        y = torch.arange(2 * n_rows).reshape(2, n_rows) % n_classes
    return head, head.row_features(columns), y


@pytest.mark.parametrize("n_classes", [None, 3])
def test_coefficients_are_the_ridge_solution(n_classes):
    """In the primal form, around the common coefficients."""
    head, z, y = head_and_rows(n_classes)
    found = head.adapt_features(z, y, torch.ones(2, 8).double())
    common, ridge = head.common.numpy(), np.exp(-0.5)
    for task in range(2):
        a = z[task].numpy()
        target = y[task].numpy()[:, None]
        if n_classes is not None:
            target = np.eye(3)[y[task].numpy()] - 1 / 3
        left = a.T @ a + ridge * np.eye(a.shape[1])
        expected = common + np.linalg.solve(left, a.T @ (target - a @ common))
        np.testing.assert_allclose(found[task], expected)


@pytest.mark.parametrize("n_classes", [None, 3])
def test_rows_of_no_weight_are_not_there(n_classes):
    head, z, y = head_and_rows(n_classes)
    weight = torch.tensor([1.0, 1, 1, 1, 1, 0, 0, 0]).expand(2, -1).double()
    found = head.adapt_features(z, y, weight)
    torch.testing.assert_close(
        found, head.adapt_features(z[:, :5], y[:, :5], weight[:, :5])
    )


def test_no_row_leaves_what_all_tasks_share():
    head, z, y = head_and_rows()
    coefficients = head.adapt_features(z, y, torch.zeros(2, 8).double())
    mean, variance = head.predict_features(coefficients, z)
    torch.testing.assert_close(mean, (z @ head.common)[..., 0])
    assert (variance > 0).all()


def test_logits_favour_the_class_of_the_rows():
    head, z, y = head_and_rows(3, n_columns=12)
    head.common.zero_()
    head.log_ridge.fill_(-8.0)
    coefficients = head.adapt_features(z, y, torch.ones(2, 8).double())
    logits = head.predict_features(coefficients, z).logits
    assert (logits.argmax(-1) == y).all()
