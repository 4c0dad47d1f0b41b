"""System 2: related tasks share strength.

Self-attention among the rows of a task gives its embedding. The relation of a new task
to each meta-training task combines attention between their embeddings with the marginal
likelihood of the support. The functions of related tasks, weighted by their relations,
are combined with the base learner.
"""

from .._networks.encoders.task_encoder import SelfAttentionPooling
from .._networks.learners.network import Architecture
from .._networks.relations.relations import Relations
from .docstrings import fill_docstring
from .related import RelatedClassifier, RelatedRegressor

SYSTEM = Architecture(SelfAttentionPooling, Relations)


@fill_docstring
class SelfAttentionMetaRegressor(RelatedRegressor):
    """Self-attention meta-learner for regression, which shares strength between tasks.

    The prior of the function of a task is a mixture. Either the function is that of a
    meta-training task j plus a small residual, or it is unrelated to all of them and
    has the Gaussian process (GP) prior of an `AttentionMetaRegressor`:

        p(f) = sum_j p_j N(f_j, K_local) + p_0 N(m(z), K(z)).

    Here z is the task embedding, computed by self-attention among the rows [1]_; f_j
    is the function of task j, stored as weights of random features that all tasks
    share [3]_; and the relation p_j is the posterior probability of j, from attention
    between the task embeddings [2]_ and from the marginal likelihood of the support
    under j. The weights of these two terms are fitted on validation tasks, and
    relations are not used if they do not lower the loss there.

    {parameters}

    Attributes
    ----------
    {attributes}
    {relations}

    See Also
    --------
    SelfAttentionMetaClassifier : The classifier of this system.
    AttentionMetaRegressor : Adapts to each task without relations to others.

    Notes
    -----
    A task of low ``familiarity_`` is predicted by the GP without related tasks, and
    needs more labelled rows than others. If ``familiarity_`` stays at 0 with many rows,
    the task is unlike all meta-training tasks: include it in the next `meta_fit`, or
    pass it to `add_tasks`.

    References
    ----------
    .. [1] Lee et al. (2019). Set Transformer. ICML. (Self-attention among rows, eq. 8;
       attention pooling, eq. 11.)
    .. [2] Vinyals et al. (2016). Matching networks for one shot learning. NeurIPS.
       (Attention to a memory, eq. 1; here over tasks in place of rows.)
    .. [3] Rahimi, Recht (2007). Random features for large-scale kernel machines.
       NeurIPS. (The features of the functions, algorithm 1.)

    Examples
    --------
    >>> from skmeta import SelfAttentionMetaRegressor
    >>> from skmeta.datasets import make_linear_tasks
    >>> tasks = make_linear_tasks(13, 12, 2, random_state=0)
    >>> learner = SelfAttentionMetaRegressor(
    ...     pooled_estimator=None, max_epochs=1, random_state=0
    ... )
    >>> learner = learner.meta_fit(tasks[:12])
    >>> new = tasks[12]
    >>> learner = learner.fit(new.X[:5], new.y[:5])
    >>> learner.task_relations_.shape, learner.contributions(new.X).shape
    ((12,), (12, 13))
    """

    _architecture = SYSTEM


@fill_docstring
class SelfAttentionMetaClassifier(RelatedClassifier):
    """Self-attention meta-learner for classification with sharing between tasks.

    The model is that of `SelfAttentionMetaRegressor` with a latent function for every
    class: the latent functions are those of a meta-training task plus a residual, with
    the relation as probability, or have the Gaussian process prior of an
    `AttentionMetaClassifier`. The likelihood of the support under a task is
    approximated row by row [2]_, and the posterior of the residual by a Laplace
    approximation.

    With task-specific labels (N-way classification) the network, and so predictions,
    are those of an `AttentionMetaClassifier`. Relations are then given by the
    similarity of task embeddings and do not enter predictions. Those of a typical
    meta-training task sum to 1/2.

    {parameters}

    Attributes
    ----------
    {attributes}
    classes_ : ndarray of shape (n_classes,)
        Of the meta-training tasks; of the task adapted to if labels are task-specific.
    {relations}

    See Also
    --------
    SelfAttentionMetaRegressor : The regressor of this system.
    AttentionMetaClassifier : Adapts to each task without relations to others.

    Notes
    -----
    See `SelfAttentionMetaRegressor` for how to handle tasks of low ``familiarity_``.

    References
    ----------
    .. [1] Lee et al. (2019). Set Transformer. ICML. (Self-attention among rows, eq. 8;
       attention pooling, eq. 11.)
    .. [2] MacKay (1992). The evidence framework applied to classification networks.
       Neural Computation. (The likelihood of a row with an uncertain latent, eq. 10.)

    Examples
    --------
    >>> from skmeta import SelfAttentionMetaClassifier
    >>> from skmeta.datasets import make_classification_tasks
    >>> tasks = make_classification_tasks(13, 12, 2, random_state=0)
    >>> learner = SelfAttentionMetaClassifier(
    ...     pooled_estimator=None, max_epochs=1, random_state=0
    ... )
    >>> learner = learner.meta_fit(tasks[:12])
    >>> new = tasks[12]
    >>> learner = learner.fit(new.X[:5], new.y[:5])
    >>> learner.task_relations_.shape, learner.contributions(new.X).shape
    ((12,), (12, 13))
    """

    _architecture = SYSTEM
