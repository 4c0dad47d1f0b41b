"""System 1: attention over the support initialises a base learner trained on it.

Attention pooling encodes the support into a task embedding, and attention among
columns gives one embedding per feature. Both determine the initial parameters of the
base learner, which is then trained on the support. Task attention selects the
informative meta-training tasks.
"""

from .._networks.encoders.task_encoder import AttentionPooling
from .._networks.learners.network import Architecture
from .classifier import MetaClassifier
from .docstrings import fill_docstring
from .regressor import MetaRegressor

SYSTEM = Architecture(AttentionPooling)


@fill_docstring
class AttentionMetaRegressor(MetaRegressor):
    """Attention-based meta-learner for regression tasks.

    The function of a task is drawn from a Gaussian process (GP) prior on the
    residuals of a pooled estimator,

        f(x) ~ GP(m(x; z), v_0 + x' S x + phi(x; z)' phi(x; z) + v RBF(x, x')),

    where the task embedding z, computed from the support by attention pooling,
    conditions every hyperparameter, the features phi and the mean m. The
    hyperparameters are then trained on the support by maximising its marginal
    likelihood, and the posterior has a closed form [3]_. The noise is normal or, if
    that lowers the loss on validation tasks, Student's t [4]_. Meta-training starts
    from the GP prior shared by all tasks, fitted by marginal likelihood, and minimises
    the negative log likelihood of query rows.

    {parameters}

    Attributes
    ----------
    {attributes}

    See Also
    --------
    AttentionMetaClassifier : The classifier of this system.

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
    >>> tasks = make_linear_tasks(13, 12, 2, random_state=0)
    >>> learner = AttentionMetaRegressor(
    ...     pooled_estimator=None, max_epochs=1, random_state=0
    ... )
    >>> learner = learner.meta_fit(tasks[:12])
    >>> new = tasks[12]
    >>> mean, std = learner.fit(new.X[:5], new.y[:5]).predict(
    ...     new.X[5:], return_std=True
    ... )
    >>> mean.shape, learner.task_embedding_.shape, learner.feature_attention_.shape
    ((7,), (48,), (2,))
    """

    _architecture = SYSTEM


@fill_docstring
class AttentionMetaClassifier(MetaClassifier):
    """Attention-based meta-learner for classification tasks.

    If a label has the same meaning in every task, each class has a latent function
    drawn from a Gaussian process around the log-probability of the pooled estimator,
    and a softmax turns the latent functions into probabilities. The kernel is that of
    `AttentionMetaRegressor`, conditioned on the task embedding in the same way. The
    posterior given the support is a Laplace approximation, found by Newton's method
    [2]_. The classes are those of the meta-training tasks, so that a support may have
    one class only, or no rows.

    With task-specific labels (N-way classification), classes are Gaussians in
    meta-learned features, with the posterior of each class mean given the support
    (PLDA) [3]_ [4]_. The task embedding shifts the variances and the temperature.
    Attention among rows and classes weights the rows of each class and shifts its mean
    [5]_; the class means, which start there, are trained by gradient steps on the
    support [6]_. The logits are mixed with those of a kernel classifier [7]_, with a
    meta-learned weight that depends on the number of rows. Meta-training starts from
    the linear discriminants of the classes of all tasks.

    {parameters}

    Attributes
    ----------
    {attributes}
    classes_ : ndarray of shape (n_classes,)
        Of the meta-training tasks; of the task adapted to if labels are task-specific.

    See Also
    --------
    AttentionMetaRegressor : The regressor of this system.

    References
    ----------
    .. [1] Lee et al. (2019). Set Transformer. ICML. (Attention pooling, eq. 11.)
    .. [2] Rasmussen, Williams (2006). Gaussian Processes for Machine Learning. (The
       Laplace approximation for several classes, algorithms 3.3 and 3.4.)
    .. [3] Snell, Swersky, Zemel (2017). Prototypical networks for few-shot learning.
       NeurIPS. (Classes by their means, eq. 2.)
    .. [4] Ioffe (2006). Probabilistic linear discriminant analysis. ECCV. (PLDA,
       sec. 2 and 3.1.)
    .. [5] Ye et al. (2020). Few-shot learning via embedding adaptation with set-to-set
       functions. CVPR. (Classes that attend to one another, eq. 5.)
    .. [6] Triantafillou et al. (2020). Meta-Dataset. ICLR. (Gradient steps from class
       means, sec. 3.2.)
    .. [7] Vinyals et al. (2016). Matching networks for one shot learning. NeurIPS.
       (A kernel classifier on the support, eq. 1.)

    Examples
    --------
    >>> from skmeta import AttentionMetaClassifier
    >>> from skmeta.datasets import make_classification_tasks
    >>> tasks = make_classification_tasks(13, 12, 2, random_state=0)
    >>> learner = AttentionMetaClassifier(
    ...     pooled_estimator=None, max_epochs=1, random_state=0
    ... )
    >>> learner = learner.meta_fit(tasks[:12])
    >>> new = tasks[12]
    >>> learner.fit(new.X[:5], new.y[:5]).predict_proba(new.X[5:]).shape
    (7, 2)
    """

    _architecture = SYSTEM
