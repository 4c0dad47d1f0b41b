"""Warnings and errors of the package."""


class NotMetaFittedWarning(UserWarning):
    """`fit` was called before `meta_fit`: nothing is known from other tasks."""


class NonFiniteLossError(ArithmeticError):
    """Meta-training met a loss that is not finite; the last good state is kept.

    Parameters
    ----------
    message : str
    history : list of dict
        One entry an epoch, until then.
    """

    def __init__(self, message, history=()):
        super().__init__(message)
        self.history = list(history)


class SavedFileError(ValueError):
    """A file is not one that `load` can make an estimator of; nothing was changed."""
