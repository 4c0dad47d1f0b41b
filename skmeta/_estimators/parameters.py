"""The parameters that all meta-learners share, and their checks."""

from dataclasses import fields
from difflib import get_close_matches
from numbers import Integral, Real
from typing import ClassVar

import numpy as np
import torch
from sklearn.base import clone, is_classifier
from sklearn.utils import check_random_state
from skorch.callbacks import Callback

from .._episodes.sampler import as_range
from .._networks.learners.factory import BASE_LEARNERS
from .._training.config import AUTO, MANY_QUERY, N_QUERY, NWAY, MetaConfig
from .._utils.sklearn_private import HasMethods, Interval, StrOptions
from .states import MetaFitted

EMBEDDING_PREFIX = "embedding__"


def resolve_device(device):
    """The torch device that ``device`` names; "auto" is a GPU if there is one."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(device)


class Parameters(MetaFitted):
    """Parameters of a meta-learner; `meta_state_` depends on those in `_structural`."""

    _structural = (
        "base_learner",
        "pooled_estimator",
        "embed_dim",
        "n_heads",
        "n_layers",
        "embedding",
        "embedding_trainable",
    )
    _ranges: ClassVar = {"n_support": 0}
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
        "embedding": [None, callable],
        "embedding_trainable": ["boolean"],
        "augmentation": [None, callable],
        "embed_dim": [Interval(Integral, 1, None, closed="left")],
        "n_heads": [Interval(Integral, 1, None, closed="left")],
        "n_layers": [Interval(Integral, 1, None, closed="left")],
        "n_support": [Interval(Integral, 0, None, closed="left"), tuple, list],
        "n_query": [Interval(Integral, 1, None, closed="left"), StrOptions({AUTO})],
        "max_epochs": [Interval(Integral, 0, None, closed="left"), StrOptions({AUTO})],
        "steps_per_epoch": [
            Interval(Integral, 1, None, closed="left"),
            StrOptions({AUTO}),
        ],
        "batch_size": [Interval(Integral, 1, None, closed="left"), StrOptions({AUTO})],
        "lr": [Interval(Real, 0, None, closed="neither"), StrOptions({AUTO})],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "patience": [Interval(Integral, 1, None, closed="left"), StrOptions({AUTO})],
        "callbacks": [None, list],
        "device": [str, torch.device],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
    }

    def __init__(
        self,
        base_learner="auto",
        pooled_estimator="auto",
        *,
        task_attention="auto",
        embedding=None,
        embedding_trainable=True,
        augmentation=None,
        embed_dim=48,
        n_heads=4,
        n_layers=2,
        n_support=(0, 25),
        n_query="auto",
        max_epochs="auto",
        steps_per_epoch="auto",
        batch_size="auto",
        lr="auto",
        validation_fraction=0.2,
        patience="auto",
        callbacks=None,
        device="auto",
        random_state=None,
        verbose=0,
        warm_start=False,
        **embedding__,
    ):
        self.base_learner = base_learner
        self.pooled_estimator = pooled_estimator
        self.task_attention = task_attention
        self.embedding = embedding
        self.embedding_trainable = embedding_trainable
        self.augmentation = augmentation
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
        self.random_state = random_state
        self.verbose = verbose
        self.warm_start = warm_start
        self._set_embedding_parameters(embedding__)

    def _set_embedding_parameters(self, given):
        """Set ``embedding__*`` parameters; raise for any others."""
        for name, value in given.items():
            if not name.startswith(EMBEDDING_PREFIX):
                near = get_close_matches(name, self._get_param_names(), 1)
                if near:
                    hint = f"Did you mean {near[0]!r}?"
                else:
                    hint = f"Those of the embedding are {EMBEDDING_PREFIX}{name}."
                raise TypeError(
                    f"{type(self).__name__} has no parameter {name!r}. {hint}"
                )
            setattr(self, name, value)

    def _embedding_parameters(self):
        """The ``embedding__*`` parameters by their full names."""
        names = sorted(n for n in vars(self) if n.startswith(EMBEDDING_PREFIX))
        return {name: getattr(self, name) for name in names}

    def get_params(self, deep=True):
        """Parameters by name, those of the embedding as ``embedding__*``.

        Parameters
        ----------
        deep : bool, default=True
            Whether to include the parameters of estimators among them.

        Returns
        -------
        params : dict
        """
        return super().get_params(deep) | self._embedding_parameters()

    def set_params(self, **params):
        """Set parameters by name.

        Parameters
        ----------
        **params : dict
            Parameters of estimators are ``<name>__*``, those of the embedding
            ``embedding__*``. A new ``embedding`` removes those of the previous one.

        Returns
        -------
        self : estimator
        """
        if "embedding" in params and params["embedding"] is not self.embedding:
            for name in self._embedding_parameters():
                delattr(self, name)
        of_embedding = {
            name: params.pop(name)
            for name in list(params)
            if name.startswith(EMBEDDING_PREFIX)
        }
        super().set_params(**params)
        self._set_embedding_parameters(of_embedding)
        return self

    def _usable_device(self):
        """The torch device that ``device`` names; raise without it or its float64."""
        try:
            device = resolve_device(self.device)
            if device.type != "cpu":
                torch.zeros(1, dtype=torch.float64, device=device).item()
        except Exception as error:  # its type depends on the device
            raise ValueError(
                f"The 'device' parameter of {type(self).__name__} must be 'auto' or a "
                "torch device that this machine has, with float64. Got "
                f"{self.device!r} instead; set_params(device='auto') selects an "
                "available device."
            ) from error
        return device

    def _check_parameters(self):
        self._validate_params()

        def refuse(name, wanted):
            raise ValueError(
                f"The {name!r} parameter of {type(self).__name__} must be {wanted}. "
                f"Got {getattr(self, name)!r} instead."
            )

        for name, least in self._ranges.items():
            size = getattr(self, name)
            if isinstance(size, Integral):
                continue
            integers = all(isinstance(n, Integral) for n in size)
            if not integers or len(size) != 2 or not least <= size[0] <= size[1]:
                refuse(name, f"an int from {least}, or a range (low, high) of them")
        if self.embed_dim % self.n_heads:
            refuse("embed_dim", f"a multiple of n_heads={self.n_heads}")
        self._usable_device()
        self._check_base_learner()
        self._check_embedding(refuse)
        for callback in self.callbacks or []:
            one = callback[-1] if isinstance(callback, tuple) else callback
            if not isinstance(one, Callback):
                refuse("callbacks", "a list of skorch callbacks or (name, callback)")

    def _check_embedding(self, refuse):
        given = self._embedding_parameters()
        if self.embedding is None and given:
            refuse("embedding", f"a torch module, to be created with {given}")
        if self.embedding is None and self.augmentation is not None:
            refuse("augmentation", "None if there is no embedding")

    def _check_base_learner(self):
        """Raise unless the base learner is of the same type as the estimator."""
        given = self.base_learner
        if isinstance(given, str):
            return
        kind = "classifier" if is_classifier(self) else "regressor"
        if isinstance(given, type) or is_classifier(given) != is_classifier(self):
            hint = ""
            if isinstance(given, type):
                hint = f" Pass an instance of it, {given.__name__}()."
            raise ValueError(
                f"The 'base_learner' parameter of {type(self).__name__} must be one of "
                f"{list(BASE_LEARNERS)} or a {kind}. Got {given!r} instead.{hint}"
            )

    def _structure(self):
        names = *self._structural, *self._embedding_parameters()
        return {name: getattr(self, name) for name in names}

    def _config(self, problem, monitor=None):
        """The `MetaConfig` of a meta-training."""
        n = len(EMBEDDING_PREFIX)
        params = self.get_params(deep=False)
        given = {field.name for field in fields(MetaConfig)} & set(params)
        settings = {name: params[name] for name in given}
        for name in self._ranges:
            settings[name] = as_range(params[name])
        if settings["n_query"] == AUTO:
            has_many = problem == NWAY or self.embedding is not None
            settings["n_query"] = MANY_QUERY if has_many else N_QUERY
        structure = self._structure()
        return MetaConfig(
            problem=problem,
            architecture=self._architecture,
            structure={k: clone(v, safe=False) for k, v in structure.items()},
            seed=self._seed(),
            device=resolve_device(settings.pop("device")),
            embedding_parameters={
                name[n:]: v for name, v in self._embedding_parameters().items()
            },
            monitor=monitor,
            **settings,
        )

    def _seed(self):
        rng = check_random_state(self.random_state)
        return int(rng.randint(np.iinfo(np.int32).max))
