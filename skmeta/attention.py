"""System 1: attention over a task's rows starts the base learner, its rows train it.

Attention pooling encodes the support into a task embedding, and attention among
columns into one embedding a feature; both start all parameters of the base learner,
which the support then trains. Task attention selects the tasks worth learning from.
"""

from ._docstrings import documented
from .meta_network import System
from .predictors import MetaClassifier, MetaRegressor
from .task_encoder import AttentionPooling


class _AttentionSystem:
    _system = System(AttentionPooling)


@documented
class AttentionMetaRegressor(_AttentionSystem, MetaRegressor):
    """Attention-based meta-learner for regression tasks.

    A task's function is a draw from a Gaussian process on what a pooled estimator
    leaves open,

        f(x) ~ GP(m(x; z), v_0 + x' S x + phi(x; z)' phi(x; z) + v RBF(x, x')),

    where z, the task embedding, is read off the support by attention pooling and
    shifts every hyperparameter, the features phi and the mean m. The support trains
    the hyperparameters on by its marginal likelihood; the weights have a closed form,
    with normal noise or, if held-out tasks fare better so, with Student's t.
    Meta-training starts from the process that all tasks share, fitted by marginal
    likelihood, and minimises the negative log likelihood of query rows.

    {parameters}

    Attributes
    ----------
    {attributes}

    See Also
    --------
    AttentionMetaClassifier : The same for classes.

    References
    ----------
    .. [1] Lee et al. (2019). Set Transformer. ICML. (Attention pooling, eq. 11.)
    .. [2] Harrison, Sharma, Pavone (2018). Meta-learning priors for efficient online
       Bayesian regression. WAFR. (Meta-learned features with a Bayesian head, sec. 4.)
    .. [3] Rasmussen, Williams (2006). Gaussian Processes for Machine Learning. (The
       posterior, eqs. 2.25 and 2.26; the marginal likelihood, eqs. 5.8 and 5.9.)
    .. [4] Lange, Little, Taylor (1989). Robust statistical modeling using the t
       distribution. JASA. (Noise with long tails by EM, eq. 6.)

    Examples
    --------
    >>> from skmeta import AttentionMetaRegressor
    >>> from skmeta.datasets import make_linear_tasks
    >>> tasks = make_linear_tasks(40, n_features=2, random_state=0)
    >>> learner = AttentionMetaRegressor(
    ...     pooled_estimator=None, max_epochs=2, random_state=0
    ... )
    >>> learner = learner.meta_fit(tasks[:30])
    >>> new = tasks[30]
    >>> mean, std = learner.fit(new.X[:5], new.y[:5]).predict(
    ...     new.X[5:], return_std=True
    ... )
    >>> mean.shape, learner.task_embedding_.shape, learner.feature_attention_.shape
    ((35,), (48,), (2,))
    """


@documented
class AttentionMetaClassifier(_AttentionSystem, MetaClassifier):
    """Attention-based meta-learner for classification tasks with the same classes.

    Every class has a latent function, a draw from a Gaussian process around the
    pooled estimator's log-probability; a softmax turns them into probabilities. The
    kernel is that of `AttentionMetaRegressor`, conditioned on the task embedding in
    the same way; Newton's method trains the latents on the support (Laplace
    approximation). A label means the same in every task: the classes are those of
    the meta-training tasks, so a support with one class, or none, will do.

    {parameters}

    Attributes
    ----------
    {attributes}
    classes_ : ndarray of shape (n_classes,)
        Of the meta-training tasks.

    See Also
    --------
    AttentionMetaRegressor : The same for numbers.

    References
    ----------
    .. [1] Lee et al. (2019). Set Transformer. ICML. (Attention pooling, eq. 11.)
    .. [2] Rasmussen, Williams (2006). Gaussian Processes for Machine Learning. (The
       Laplace approximation for several classes, algorithms 3.3 and 3.4.)

    Examples
    --------
    >>> from skmeta import AttentionMetaClassifier
    >>> from skmeta.datasets import make_classification_tasks
    >>> tasks = make_classification_tasks(40, n_features=2, random_state=0)
    >>> learner = AttentionMetaClassifier(
    ...     pooled_estimator=None, max_epochs=2, random_state=0
    ... )
    >>> learner = learner.meta_fit(tasks[:30])
    >>> new = tasks[30]
    >>> learner.fit(new.X[:5], new.y[:5]).predict_proba(new.X[5:]).shape
    (35, 2)
    """
