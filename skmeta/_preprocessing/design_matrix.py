"""The design matrix of the baselines' linear models."""

import numpy as np

from .column_reduction import fit_features_of


def fit_design(tasks, classes):
    """The fitted scaler of columns (see `fit_features`), and the design matrix."""
    scaler = fit_features_of(tasks, classes)
    return scaler, design_matrix(tasks.X, scaler)


def design_matrix(X, scaler):
    """A column of ones and the standardised columns, (n_rows, 1 + n_columns)."""
    return np.column_stack([np.ones(len(X)), scaler.transform(X, np.float64)])
