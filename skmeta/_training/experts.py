"""The experts of a base learner, fitted to all tasks by classical methods.

An expert is a Gaussian process (GP), or its linear part alone, a mixed model, around
the prediction of a pooled estimator or without one. Means and covariances of the linear
parts are those of mixed models, which EM estimates with less over-fitting than gradient
steps on the same marginal likelihood; the other hyperparameters follow by empirical
Bayes.
"""

import math

import numpy as np
import torch
from scipy.special import logsumexp

from .._classical.linear_mixed_model import fit_linear_mixed_model, varying_columns
from .._classical.logistic_mixed_model import fit_logistic_mixed_model
from .._classical.pooled import resampled
from .._networks.learners.gp_prior import Expert
from .._networks.learners.network import make_unconditioned_gps
from .._preprocessing.scaling import ClassCodec
from .empirical_bayes import fit_prior

FULL, DIAGONAL = "full", "diagonal"

MAX_ITER = 50
LONG_EM = 500
"""Iterations of EM if half of the tasks have fewer than `FEW_ROWS` rows; with small
noise it needs many."""

TOLERANCE = 1e-5
"""EM of classes stops when the log likelihood a row rises by less."""

FEW_ROWS = 4
MAX_COLUMNS = 64
"""Maximum number of columns for EM, whose cost is cubic in it."""

MAX_TASKS, MAX_COST = 500, 500_000
"""Maximum number of tasks for EM, and maximum product of the numbers of tasks, squared
columns and models."""

FREE_PENALTY, POOLED_PENALTY = 1.0, 30.0
"""Precision of the normal prior of a fixed effect, without and with a pooled estimator,
which has the effects that all tasks share already."""

WISHART_TASKS, PRIOR_TASKS = 2.0, 40.0
"""Number of tasks that priors are worth: that of independent random effects, for each
of these; and that of the default hyperparameters of a GP."""

RBF_SHARE, MIN_RBF = 0.2, 1e-4
"""Initial variance of the RBF part relative to the noise (in classification, to the
variance of the intercept), and its minimum."""

LINEAR_SPREADS, LOG_SPREADS = (0.1, 0.3), (0.5, 1.0)
"""Standard deviations of the priors in empirical Bayes, with few and with many tasks:
of the parameters of the linear part, and of the logarithms of the others. For classes,
whose rows say less, those of few tasks."""

N_TASKS = 128
N_ROWS = 32
"""Maximum number of tasks, and of rows of each, in empirical Bayes."""


def experts_of(config, pooled_names):
    """The experts of a base learner, and the covariances of their linear parts.

    Parameters
    ----------
    config : MetaConfig
    pooled_names : list of str
        Names of the pooled estimators; none if there are none.

    Returns
    -------
    experts : list of Expert
    covariances : list of {"full", "diagonal"}
    """
    automatic = config.pooled_estimator == "auto"
    indices = list(range(len(pooled_names)))
    sources = [None, *indices] if automatic else indices or [None]

    def named(kind, source):
        return kind if source is None else f"{kind} on {pooled_names[source]}"

    found = []
    if config.base_learner != "linear":
        found += [
            (Expert(named("gp", p), p), FULL if p is None else DIAGONAL)
            for p in sources
        ]
    if config.base_learner == "linear":
        found += [(Expert(named("linear", p), p, True), FULL) for p in sources]
    if config.base_learner == "auto":
        for covariance in (FULL, DIAGONAL):
            name = f"linear, {covariance} covariance"
            found.append(
                (Expert(named(name, sources[0]), sources[0], True), covariance)
            )
        if len(sources) > 1:
            name = named("linear", sources[-1])
            found.append((Expert(name, sources[-1], True), DIAGONAL))
    experts, covariances = zip(*found, strict=True)
    return list(experts), list(covariances)


def fit_experts(experts, covariances, episodes, rng, seed):
    """Fit experts to all tasks.

    Parameters
    ----------
    experts, covariances : as returned by `experts_of`
    episodes : Episodes
    rng : numpy.random.Generator
    seed : int

    Returns
    -------
    learner : GaussianProcessLearner
        Unconditioned, with equal weights of the experts.
    """
    targets = episodes.targets
    n_pooled = 0
    if episodes.offset is not None:
        n_pooled = episodes.offset.shape[1] // targets.n_outputs
    learner = make_unconditioned_gps(
        experts, len(episodes.features.mean), targets, n_pooled, seed
    )
    few = np.median(episodes.sizes) < FEW_ROWS
    rows, fitted = _Rows(episodes, rng), {}
    for e, (expert, covariance) in enumerate(zip(experts, covariances, strict=True)):
        key = expert.pooled, covariance
        if key not in fitted:
            fitted[key] = rows.mixed_model(*key, LONG_EM if few else MAX_ITER)
        if fitted[key] is not None:
            _set_expert(learner.prior, e, *fitted[key], rows.n_tasks)
    smooth = [e for e, expert in enumerate(experts) if not expert.linear]
    if not smooth:
        return learner
    some, n = learner.select(smooth), len(episodes)
    share = 0.0 if isinstance(targets, ClassCodec) else n / (n + PRIOR_TASKS)
    linear_spread, log_spread = (
        low + share * (high - low) for low, high in (LINEAR_SPREADS, LOG_SPREADS)
    )
    fit_prior(
        some, *_drawn(episodes, rng), n,
        linear_spread=linear_spread, log_spread=log_spread,
    )  # fmt: skip
    learner.copy_experts(some, smooth)
    return learner.requires_grad_(True)


def _drawn(episodes, rng):
    """Rows and targets of some tasks, at most `N_ROWS` of each of `N_TASKS`."""
    n, weights = len(episodes), episodes.tasks.weights
    if weights is None:
        tasks = rng.permutation(n)[:N_TASKS]
    else:
        tasks = rng.choice(n, min(n, N_TASKS), p=weights / weights.sum())
    return episodes.draw(tasks, N_ROWS - 1, 1, rng).rows()


class _Rows:
    """Concatenated rows of tasks, as inputs of the mixed models.

    Attributes
    ----------
    design : ndarray of shape (n_rows, 1 + n_features)
        Ones and features.
    offset : ndarray of shape (n_rows, n_pooled, n_outputs) or None
    y : ndarray of shape (n_rows,)
    offsets : ndarray of shape (n_tasks + 1,)
    """

    def __init__(self, episodes, rng):
        tasks, targets = episodes.tasks, episodes.targets
        self.n_outputs = targets.n_outputs
        n_columns = 1 + len(episodes.features.mean) + self.n_outputs
        n_tasks = max(2, MAX_COST // (n_columns**2 * self.n_outputs))
        chosen = np.sort(rng.permutation(len(tasks))[: min(n_tasks, MAX_TASKS)])
        if tasks.weights is not None:
            weight = tasks.weights[chosen]
            chosen = chosen[resampled(weight / weight.mean(), rng)]
        starts, ends = tasks.offsets[chosen], tasks.offsets[chosen + 1]
        rows = np.concatenate([*map(np.arange, starts, ends)])
        x = episodes.features.transform(tasks.X[rows], np.float64)
        self.design = np.hstack([np.ones((len(x), 1)), x])
        self.offset = None
        if episodes.offset is not None:
            offset = episodes.offset[rows].astype(np.float64)
            self.offset = offset.reshape(len(x), -1, self.n_outputs)
        self.y = targets.transform(tasks.y[rows], np.float64)
        self.offsets = np.r_[0, np.cumsum(ends - starts)]
        self.has_classes = isinstance(targets, ClassCodec)

    @property
    def n_tasks(self):
        return len(self.offsets) - 1

    def mixed_model(self, pooled, covariance, max_iter):
        """Fit the mixed model of the residuals of a pooled estimator.

        Parameters
        ----------
        pooled : int or None
        covariance : {"full", "diagonal"}
        max_iter : int

        Returns
        -------
        effects : tuple or None
            ``coef`` (n_outputs, n_columns) and ``cov`` (n_columns, n_columns), where
            columns are an intercept, the features and the pooled prediction;
            ``noise``, the variance that is left to the other parts of a GP; and
            ``unit``, that of the residuals. None if there are too many columns, or EM
            fails.
        """
        design, offset = self.design, np.zeros((len(self.y), self.n_outputs))
        if pooled is not None:
            offset = self.offset[:, pooled]
            design = np.hstack([design, offset])
        too_many = design.shape[1] > MAX_COLUMNS
        if too_many or (self.has_classes and self.n_outputs == 1):
            return None
        penalty = FREE_PENALTY
        if pooled is not None:  # a label has at most 1/4 of the information of a number
            penalty = POOLED_PENALTY / 4 if self.has_classes else POOLED_PENALTY
        random = np.r_[0, 1 + varying_columns(design[:, 1:], self.offsets)]
        settings = {
            "diagonal": covariance == DIAGONAL,
            "penalty": np.r_[0.0, np.full(design.shape[1] - 1, penalty)],
            "max_iter": max_iter,
            "warns": False,
        }
        fit = self._fit_classes if self.has_classes else self._fit_regression
        try:
            with np.errstate(all="ignore"):
                effects = fit(design, random, offset, settings)
        except np.linalg.LinAlgError:
            return None
        return effects if all(np.isfinite(part).all() for part in effects) else None

    def _fit_regression(self, design, random, offset, settings):
        residual = self.y - offset[:, 0]
        model = fit_linear_mixed_model(
            design, design[:, random], residual, self.offsets, **settings
        )
        cov = self._shrunk(model.random_cov, random, design.shape[1])
        unit = max(residual.var(), MIN_RBF**2)
        return model.coef[None], cov, model.noise_variance, unit

    def _fit_classes(self, design, random, offset, settings):
        """One-vs-rest mixed models, averaged over the classes.

        The log-odds of a class are its latent function minus one common to the others.
        If C latent functions are independent with variance v, the variance of the
        log-odds is about C / (C - 1) v, exactly so for two classes.
        """
        C = self.n_outputs
        share = (C - 1) / C
        models = [
            fit_logistic_mixed_model(
                design, design[:, random], (self.y == c).astype(np.float64),
                offset[:, c] - logsumexp(np.delete(offset, c, 1), axis=1),
                self.offsets, tol=TOLERANCE, **settings,
            )
            for c in range(1 if C == 2 else C)
        ]  # fmt: skip
        coef = share * np.array([model.coef for model in models])
        if C == 2:
            coef = np.vstack([coef, -coef])
        cov = share * np.mean([model.random_cov for model in models], 0)
        cov = self._shrunk(cov, random, design.shape[1])
        return coef, cov, cov[0, 0], 1.0

    def _shrunk(self, random_cov, random, n_columns):
        """The covariance of all columns, shrunk towards its diagonal.

        By the factor n / (n + m) with n tasks, as with a prior of m of them whose
        effects are independent (Wishart). Columns without random effects have zeros.
        """
        share = self.n_tasks / (self.n_tasks + WISHART_TASKS * len(random))
        diagonal = np.diag(np.diag(random_cov))
        cov = np.zeros((n_columns, n_columns))
        cov[np.ix_(random, random)] = diagonal + share * (random_cov - diagonal)
        return cov


@torch.no_grad()
def _set_expert(prior, e, coef, cov, noise, unit, n_tasks):
    """Set the hyperparameters of expert ``e`` of a prior.

    Those of a mixed model are those given; those of a GP are between these and the
    default ones, the nearer to the default ones, the fewer the tasks.
    """
    n = len(cov)  # without a pooled estimator, its columns are not among them
    prior.coefficients.bias[e] = torch.from_numpy(coef[:, 0])
    prior.coefficients.weight[e] = 0.0
    prior.coefficients.weight[e, :, : n - 1] = torch.from_numpy(coef[:, 1:])
    if prior.experts[e].linear:
        prior.noise[e] = math.log(max(noise, MIN_RBF**2))
    else:
        share = n_tasks / (n_tasks + PRIOR_TASKS)
        factor = prior.factor[e, :n, :n].double().numpy()
        cov = share * cov + (1 - share) * unit * factor @ factor.T
        for parameter, found in (
            (prior.signal, max(RBF_SHARE * noise, MIN_RBF)),
            (prior.noise, max((1 - RBF_SHARE) * noise, MIN_RBF**2)),
        ):
            default = parameter[e] + math.log(unit)
            parameter[e] = share * math.log(found) + (1 - share) * default
    variance, direction = np.linalg.eigh(cov)
    factor = direction * np.sqrt(variance.clip(min=0))
    prior.factor[e] = 0.0
    prior.factor[e, :n, :n] = torch.from_numpy(factor)
