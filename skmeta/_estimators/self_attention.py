"""System 2: tasks that borrow from each other.

Self-attention among the rows of a task gives its representation. The relation of a new
task to every task of meta-training comes from attention between their representations
and from the evidence of its rows, and what is known of related tasks improves the base
learner by their relation.
"""

from .._networks.encoders.task_encoder import SelfAttentionPooling
from .._networks.learners.network import Architecture
from .._networks.relations.relations import Relations
from .docstrings import fill_docstring
from .related import RelatedClassifier, RelatedRegressor

SYSTEM = Architecture(SelfAttentionPooling, Relations)


@fill_docstring
class SelfAttentionMetaRegressor(RelatedRegressor):
    """Self-attention meta-learner for regression tasks that borrow from each other.

    A task's function is one that resembles a task j of meta-training, or is none of
    these and drawn from the process that an `AttentionMetaRegressor` has:

        p(f) = sum_j p_j N(f_j, K_local) + p_0 N(m(z), K(z)).

    Here z is the task's representation, by self-attention among its rows; f_j is the
    function of task j, kept as weights of features that all tasks share; and the
    relation p_j is the posterior probability of j, from attention between the
    representations and from the marginal likelihood of the support under j. What
    weighs these is fitted to held-out tasks, and relations are let go of altogether
    where these fare no better with them.

    {parameters}

    Attributes
    ----------
    {attributes}
    {relations}

    See Also
    --------
    SelfAttentionMetaClassifier : The same for classes.
    AttentionMetaRegressor : Learns each task on its own.

    Notes
    -----
    A task of low ``familiarity_`` is predicted by the process alone, and more of its
    rows are worth labelling than of others; one that stays at 0 with many rows is of a
    kind not seen, and belongs into the next `meta_fit` or into `add_tasks`.

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
    """Self-attention meta-learner for classification tasks that borrow from each other.

    As `SelfAttentionMetaRegressor`, with a latent function for every class: a task's
    latents resemble those of a task of meta-training, by its relation, or are drawn
    from the process that an `AttentionMetaClassifier` has. The likelihood of the
    support under a task is taken row by row, and the departure from it by a Laplace
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
    SelfAttentionMetaRegressor : The same for numbers.
    AttentionMetaClassifier : Learns each task on its own.

    Notes
    -----
    What to do about a task of low ``familiarity_`` is said at
    `SelfAttentionMetaRegressor`.

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
