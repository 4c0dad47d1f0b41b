"""Hyperparameters of the GPs of tasks, and what training on the support shifts."""

from typing import NamedTuple

import torch

MIN_LOG_NOISE, MAX_LOG_NOISE = -14.0, 4.0


class Hyperparameters(NamedTuple):
    """Log hyperparameters of each task; the last dimension of each is in brackets."""

    linear: torch.Tensor  # [1 + n_columns] variances of the coefficients of z
    signal: torch.Tensor  # [1] variance of the RBF part
    length_scale: torch.Tensor  # [n_columns]
    basis: torch.Tensor  # [1] variance of the coefficients of phi
    noise: torch.Tensor  # [1]
    gate: torch.Tensor  # [n_columns] what each column is multiplied by before phi

    def shifted(self, shift, groups):
        """Hyperparameters shifted by ``shift`` (n_tasks, groups.n_numbers)."""
        sizes = len(groups.linear), 1, len(groups.columns), 1, 1
        shift = shift.to(self.noise.dtype).split(sizes, 1)
        linear, signal, columns, basis, noise = shift
        return Hyperparameters(
            self.linear + _repeated(linear, groups.linear),
            self.signal + signal,
            self.length_scale + _repeated(columns, groups.columns),
            self.basis + basis,
            (self.noise + noise).clamp(MIN_LOG_NOISE, MAX_LOG_NOISE),
            self.gate,
        )


class ShiftGroups(NamedTuple):
    """Hyperparameters that the training on the support shifts together, as slices."""

    linear: list  # of the 1 + n_columns variances of the linear part
    columns: list  # of the length scales

    @classmethod
    def of(cls, n_columns, by_column):
        """One number for all columns, or one for each."""
        if by_column:
            each = [slice(i, i + 1) for i in range(n_columns + 1)]
            return cls(each, each[:-1])
        return cls([slice(1), slice(1, n_columns + 1)], [slice(n_columns)])

    @property
    def n_numbers(self):
        """Number of shifts, with those of the RBF part, the basis and the noise."""
        return len(self.linear) + len(self.columns) + 3


def _repeated(shift, groups):
    sizes = torch.tensor([one.stop - (one.start or 0) for one in groups])
    return shift.repeat_interleave(sizes.to(shift.device), 1)
