"""System 3: a Transformer encodes a task, and decodes its relations and its queries.

A Transformer encoder reads the support. One decoder reads it for every task remembered,
and gives the relation to that task; another for every query row, and corrects what the
base learner, conditioned on the encoded task, predicts of the row.
"""

from .._networks.encoders.task_encoder import TransformerEncoder
from .._networks.learners.network import Architecture
from .._networks.learners.row_decoder import RowDecodingLearner
from .._networks.relations.decoder import DecodedRelations
from .docstrings import fill_docstring
from .related import RelatedClassifier, RelatedRegressor

SYSTEM = Architecture(
    TransformerEncoder,
    DecodedRelations,
    RowDecodingLearner,
)


@fill_docstring
class TransformerMetaRegressor(RelatedRegressor):
    """Transformer meta-learner for regression tasks.

    The process of a task is that of an `AttentionMetaRegressor`, read off what a
    Transformer encoder makes of the support; a Transformer decoder, in which each query
    row attends to the encoded support, corrects its posterior,

        y(x) = m(x) + s(x) a(x) + exp(b(x)) (f(x) - m(x)),  f ~ GP posterior,

    with m and s the posterior's mean and deviation. Corrections are idle when
    meta-training begins, and are kept as far as held-out tasks fare better with them.
    Once it is meta-trained, a task may also resemble one of meta-training, as in
    `SelfAttentionMetaRegressor`, with relations decoded from the encoded rows; or be a
    function of another kind than any seen: rougher, faster, or periodic along a
    column, by its marginal likelihood.

    {parameters}

    Attributes
    ----------
    {attributes}
    {relations}

    See Also
    --------
    TransformerMetaClassifier : The same for classes.
    SelfAttentionMetaRegressor : Without the decoder of query rows; smaller.

    Notes
    -----
    ``support_attention`` and ``transform`` speak of the base learner's process.

    References
    ----------
    .. [1] Vaswani et al. (2017). Attention is all you need. NeurIPS. (Encoder and
       decoder, sec. 3.1.)
    .. [2] Nguyen, Grover (2022). Transformer neural processes: uncertainty-aware meta
       learning via sequence modeling. ICML. (Query rows that attend to the support
       alone, sec. 3.)
    .. [3] Rasmussen, Williams (2006). Gaussian Processes for Machine Learning. (The
       posterior, eqs. 2.25 and 2.26.)
    .. [4] MacKay (1998). Introduction to Gaussian processes. (Periodic functions, eq.
       47.)

    Examples
    --------
    >>> from skmeta import TransformerMetaRegressor
    >>> from skmeta.datasets import make_linear_tasks
    >>> tasks = make_linear_tasks(13, 12, 2, random_state=0)
    >>> learner = TransformerMetaRegressor(
    ...     pooled_estimator=None, max_epochs=1, random_state=0
    ... )
    >>> learner = learner.meta_fit(tasks[:12])
    >>> new = tasks[12]
    >>> learner = learner.fit(new.X[:5], new.y[:5])
    >>> learner.predict(new.X).shape, learner.task_relations_.shape
    ((12,), (12,))
    """

    _architecture = SYSTEM
    _kernel_averaging = True


@fill_docstring
class TransformerMetaClassifier(RelatedClassifier):
    """Transformer meta-learner for classification tasks.

    The latent functions of a task are those of an `AttentionMetaClassifier`, read off
    what a Transformer encoder makes of the support; a Transformer decoder, in which
    each query row attends to the encoded support, corrects their logits. Corrections
    are idle when meta-training begins, and are kept as far as held-out tasks fare
    better with them. Once it is meta-trained, a task may also resemble one of
    meta-training, as in `SelfAttentionMetaClassifier`, with relations decoded from the
    encoded rows.

    With task-specific labels (N-way classification) the network, predictions and
    relations are those of a `SelfAttentionMetaClassifier`.

    {parameters}

    Attributes
    ----------
    {attributes}
    classes_ : ndarray of shape (n_classes,)
        Of the meta-training tasks; of the task adapted to if labels are task-specific.
    {relations}

    See Also
    --------
    TransformerMetaRegressor : The same for numbers.
    SelfAttentionMetaClassifier : Without the decoder of query rows; smaller.

    References
    ----------
    .. [1] Vaswani et al. (2017). Attention is all you need. NeurIPS. (Encoder and
       decoder, sec. 3.1.)
    .. [2] Nguyen, Grover (2022). Transformer neural processes: uncertainty-aware meta
       learning via sequence modeling. ICML. (Query rows that attend to the support
       alone, sec. 3.)

    Examples
    --------
    >>> from skmeta import TransformerMetaClassifier
    >>> from skmeta.datasets import make_classification_tasks
    >>> tasks = make_classification_tasks(13, 12, 2, random_state=0)
    >>> learner = TransformerMetaClassifier(
    ...     pooled_estimator=None, max_epochs=1, random_state=0
    ... )
    >>> learner = learner.meta_fit(tasks[:12])
    >>> new = tasks[12]
    >>> learner = learner.fit(new.X[:5], new.y[:5])
    >>> learner.predict_proba(new.X).shape, learner.task_relations_.shape
    ((12, 2), (12,))
    """

    _architecture = SYSTEM
