"""System 3: a Transformer encodes the support and decodes relations and predictions.

A Transformer encoder encodes the support and conditions the base learner. One decoder
refines the relation to each task in memory, another corrects the prediction of the base
learner for each query row. Both attend to the encoded support.
"""

from .._networks.encoders.task_encoder import TransformerEncoder
from .._networks.learners.network import Architecture
from .._networks.learners.row_decoder import RowDecodingLearner
from .._networks.relations.decoder import DecodedRelations
from .docstrings import fill_docstring
from .related import RelatedClassifier, RelatedRegressor

SYSTEM = Architecture(TransformerEncoder, DecodedRelations, RowDecodingLearner)


@fill_docstring
class TransformerMetaRegressor(RelatedRegressor):
    """Transformer meta-learner for regression tasks.

    A Transformer encodes the support and conditions the GP of `AttentionMetaRegressor`.
    A Transformer decoder, in which each query row attends to the encoded support,
    corrects the posterior of the GP,

        y(x) = m(x) + s(x) a(x) + exp(b(x)) (f(x) - m(x)),  f ~ GP posterior,

    with m and s the posterior's mean and standard deviation. The corrections a and b
    are zero before meta-training, and are kept as far as they lower the loss on
    validation tasks. Relations to the meta-training tasks are those of
    `SelfAttentionMetaRegressor`, decoded from the encoded rows.

    {parameters}
    kernel_averaging : bool, default=False
        Average the predictions of the GP with those of GPs with other kernels (less
        smooth, of shorter length scale, or periodic along a feature), weighted by their
        marginal likelihood on the support. Use it if the functions of new tasks may
        differ in smoothness or periodicity from those of the meta-training tasks. `fit`
        and `predict` take longer.

        .. versionadded:: 0.2

    Attributes
    ----------
    {attributes}
    {relations}

    See Also
    --------
    TransformerMetaClassifier : The classifier of this system.
    SelfAttentionMetaRegressor : Without the decoder of query rows; smaller.

    Notes
    -----
    ``support_attention`` and ``transform`` refer to the GP, before its predictions are
    corrected by the decoder.

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
    _parameter_constraints = RelatedRegressor._parameter_constraints | {
        "kernel_averaging": ["boolean"],
    }

    def __init__(
        self,
        base_learner="auto",
        pooled_estimator="auto",
        *,
        kernel_averaging=False,
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
        super().__init__(
            base_learner,
            pooled_estimator,
            task_attention=task_attention,
            embedding=embedding,
            embedding_trainable=embedding_trainable,
            augmentation=augmentation,
            embed_dim=embed_dim,
            n_heads=n_heads,
            n_layers=n_layers,
            n_support=n_support,
            n_query=n_query,
            max_epochs=max_epochs,
            steps_per_epoch=steps_per_epoch,
            batch_size=batch_size,
            lr=lr,
            validation_fraction=validation_fraction,
            patience=patience,
            callbacks=callbacks,
            device=device,
            random_state=random_state,
            verbose=verbose,
            warm_start=warm_start,
            **embedding__,
        )
        self.kernel_averaging = kernel_averaging


@fill_docstring
class TransformerMetaClassifier(RelatedClassifier):
    """Transformer meta-learner for classification tasks.

    A Transformer encodes the support and conditions the latent functions of
    `AttentionMetaClassifier`. A Transformer decoder, in which each query row attends to
    the encoded support, corrects the logits. The corrections are zero before
    meta-training, and are kept as far as they lower the loss on validation tasks.
    Relations to the meta-training tasks are those of `SelfAttentionMetaClassifier`,
    decoded from the encoded rows.

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
    TransformerMetaRegressor : The regressor of this system.
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
