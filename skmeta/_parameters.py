"""The parameters that all meta-learners share, and their checks."""

from numbers import Integral, Real

import numpy as np
import torch
from sklearn.base import BaseEstimator, clone, is_classifier
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from skorch.callbacks import Callback

from .base_learner import BASE_LEARNERS


def resolve_device(device):
    """The torch device that ``device`` names; "auto" is a GPU where there is one."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(device)


def _comparable(name, value):
    """What of a parameter matters: of an estimator, all but its random states.

    Of an estimator that is the base learner it is no more than that it is one.
    """
    if name == "base_learner" and not isinstance(value, str):
        return "an estimator"
    if hasattr(value, "get_params"):
        value = clone(value)
        names = [n for n in value.get_params() if n.split("__")[-1] == "random_state"]
        value.set_params(**dict.fromkeys(names))
    return repr(value)


class Parameters(BaseEstimator):
    """An estimator with these parameters; what is learned depends on `_structural`."""

    _structural = (
        "base_learner",
        "pooled_estimator",
        "embed_dim",
        "n_heads",
        "n_layers",
    )
    _parameter_constraints: dict = {
        "base_learner": [
            StrOptions(set(BASE_LEARNERS)),
            HasMethods(["fit", "predict"]),
        ],
        "pooled_estimator": [
            None,
            StrOptions({"auto"}),
            HasMethods(["fit", "predict"]),
        ],
        "task_attention": ["boolean", StrOptions({"auto"})],
        "embed_dim": [Interval(Integral, 1, None, closed="left")],
        "n_heads": [Interval(Integral, 1, None, closed="left")],
        "n_layers": [Interval(Integral, 1, None, closed="left")],
        "n_support": [Interval(Integral, 0, None, closed="left"), tuple, list],
        "n_query": [Interval(Integral, 1, None, closed="left")],
        "max_epochs": [Interval(Integral, 0, None, closed="left")],
        "steps_per_epoch": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "lr": [Interval(Real, 0, None, closed="neither")],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "patience": [Interval(Integral, 1, None, closed="left")],
        "callbacks": [None, list],
        "device": [str, torch.device],
        "compile": ["boolean"],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
    }

    def __init__(
        self,
        base_learner="gp",
        pooled_estimator="auto",
        *,
        task_attention="auto",
        embed_dim=48,
        n_heads=4,
        n_layers=2,
        n_support=(0, 25),
        n_query=32,
        max_epochs=200,
        steps_per_epoch=50,
        batch_size=32,
        lr=1e-3,
        validation_fraction=0.2,
        patience=15,
        callbacks=None,
        device="auto",
        compile=False,
        random_state=None,
        verbose=0,
        warm_start=False,
    ):
        self.base_learner = base_learner
        self.pooled_estimator = pooled_estimator
        self.task_attention = task_attention
        self.embed_dim = embed_dim
        self.n_heads = n_heads
        self.n_layers = n_layers
        self.n_support = n_support
        self.n_query = n_query
        self.max_epochs = max_epochs
        self.steps_per_epoch = steps_per_epoch
        self.batch_size = batch_size
        self.lr = lr
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.callbacks = callbacks
        self.device = device
        self.compile = compile
        self.random_state = random_state
        self.verbose = verbose
        self.warm_start = warm_start

    def _check_parameters(self):
        self._validate_params()

        def refuse(name, wanted):
            raise ValueError(
                f"The {name!r} parameter of {type(self).__name__} must be {wanted}. "
                f"Got {getattr(self, name)!r} instead."
            )

        if not isinstance(self.n_support, Integral):
            integers = all(isinstance(n, Integral) for n in self.n_support)
            if not integers or len(self.n_support) != 2 or not (
                0 <= self.n_support[0] <= self.n_support[1]
            ):  # fmt: skip
                refuse("n_support", "an int from 0, or a range (low, high) of them")
        if self.embed_dim % self.n_heads:
            refuse("embed_dim", f"a multiple of n_heads={self.n_heads}")
        try:
            resolve_device(self.device)
        except RuntimeError:
            refuse("device", '"auto" or what torch.device takes')
        self._check_base_learner()
        for callback in self.callbacks or []:
            one = callback[-1] if isinstance(callback, tuple) else callback
            if not isinstance(one, Callback):
                refuse("callbacks", "a list of skorch callbacks or (name, callback)")

    def _check_base_learner(self):
        """Refuse an estimator that does not predict what this one does."""
        given = self.base_learner
        if isinstance(given, str):
            return
        kind = "classifier" if is_classifier(self) else "regressor"
        if isinstance(given, type) or is_classifier(given) != is_classifier(self):
            raise ValueError(
                f"The 'base_learner' parameter of {type(self).__name__} must be one of "
                f"{list(BASE_LEARNERS)} or a {kind}. Got {given!r} instead."
            )

    def _settings(self):
        return self.get_params(deep=False)

    def _structure(self):
        return {n: clone(getattr(self, n), safe=False) for n in self._structural}

    def _seed(self):
        rng = check_random_state(self.random_state)
        return int(rng.randint(np.iinfo(np.int32).max))

    def _check_structure(self, trained):
        """Refuse structural parameters other than those ``trained``."""
        changed = [
            f"{name}={getattr(self, name)!r} (meta_fit had {value!r})"
            for name, value in trained.items()
            if _comparable(name, getattr(self, name)) != _comparable(name, value)
        ]
        if changed:
            raise ValueError(
                f"Parameters of {type(self).__name__} were changed after meta_fit: "
                f"{'; '.join(changed)}. Set them back, or call meta_fit again."
            )
