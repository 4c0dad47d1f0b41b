"""Sections that the docstrings of all meta-learners share."""

from sklearn.base import is_classifier

PARAMETERS = """Parameters
    ----------
    base_learner : {"auto", "gp", "linear", "mlp"} or estimator, default="auto"
        Base learner that is adapted to one task: a Gaussian process (GP) with a
        meta-learned prior, its linear part only (a mixed-effects model), a multilayer
        perceptron, or any scikit-learn estimator. "auto" is a stack of GPs and mixed
        models, whose predictions are averaged by weights that depend on the task. An
        estimator is cloned and trained by
        `fit` on the rows of the task and on rows of related tasks, weighted by their
        relations (``sample_weight``, or resampling). Its inputs are the standardised
        columns, meta-learned features and the prediction of the GP for each row; the
        predictions of the GP and of the estimator are averaged.
    pooled_estimator : None, "auto" or estimator, default="auto"
        Scikit-learn estimator fitted to the rows of all meta-training tasks; the base
        learner models its residuals. "auto" stacks GPs without a pooled estimator, on a
        polynomial ridge regression and on gradient boosting.
    {of_classes}task_attention : {"auto", True, False}, default="auto"
        Learn without uninformative meta-training tasks, if there are any. "auto" does
        so only if most validation tasks are informative, and if it lowers the query
        loss on these. False weights all tasks equally.
    embedding : torch module, class of one, or callable that makes one, default=None
        Maps float32 rows (n_rows, ...), of any shape that the tasks have, to vectors
        (n_rows, n_columns), which replace them in all later steps. A class or a
        callable is called with the ``embedding__*`` parameters; an instance is copied,
        with its weights. With task-specific labels it is trained together with the
        other networks, and by an auxiliary classifier of all classes of each task in
        memory, whose loss is part of ``train_loss``. Otherwise it is trained before
        them, by ridge regressions that adapt to each task; if `fit` is called without
        `meta_fit`, it is not trained.
    embedding_trainable : bool, default=True
        If False, the weights of the embedding are not changed.
    augmentation : callable, default=None
        ``augmentation(rows, generator)`` returns augmented rows, a tensor of the same
        shape, drawn with the torch generator, which is on ``rows.device``. Applied
        during meta-training only, to rows before they are embedded; with a frozen
        embedding only if labels are task-specific.
    embed_dim : int, default=48
        Size m of the task embedding; a multiple of ``n_heads``.
    n_heads : int, default=4
        Number of attention heads.
    n_layers : int, default=2
        Number of attention layers of the task encoder.
    n_support : int or (int, int), default=(0, 25)
        Number of support rows of an episode of meta-training. If a range, it is drawn
        for each episode, uniformly on the scale of ``log(1 + n)``.
    n_query : int or "auto", default="auto"
        Maximum number of query rows of an episode. "auto" is 20, and 32 with an
        embedding or task-specific labels.
    max_epochs : int or "auto", default="auto"
        Maximum number of epochs of meta-training. "auto" is 16, or if more one for 12
        tasks, at most 200, where training starts from fitted Gaussian processes; and
        200 where it starts from scratch: for an MLP, an embedding, or task-specific
        labels.
    steps_per_epoch : int or "auto", default="auto"
        Number of gradient steps per epoch. "auto" is 25, from scratch 50.
    batch_size : int or "auto", default="auto"
        Number of tasks per gradient step. "auto" is 64 in regression from fitted
        processes, otherwise 32. While an embedding is trained, a step has a quarter as
        many episodes, and up to eight of them share the rows of a task.
    lr : float or "auto", default="auto"
        Learning rate of AdamW. "auto" is 3e-3, from scratch 1e-3. From fitted
        processes it falls to zero in the second half of ``max_epochs``, from scratch it
        is reduced at plateaus.
    validation_fraction : float, default=0.2
        Fraction of the tasks used as validation tasks, unless `meta_fit` is given
        ``validation_tasks``.
    patience : int or "auto", default="auto"
        Number of epochs without a lower loss on validation tasks after which
        meta-training stops; from fitted processes at most one for every four
        meta-training tasks. "auto" is 12, from scratch 10.
    callbacks : list of skorch callbacks, default=None
        Called during meta-training.
    device : str or torch.device, default="auto"
        "auto" uses a GPU if there is one, which is faster with an embedding; small
        tables are faster on "cpu". Resolved when fitted, into ``device_``.
    random_state : int, RandomState instance or None, default=None
        Seed of all random numbers. An int gives bit-identical results on one machine.
    verbose : int, default=0
        If positive, show a progress bar with the loss on validation tasks.
    warm_start : bool, default=False
        If True, `meta_fit` continues from the previous meta-training."""

ATTRIBUTES = """meta_state_ : MetaState
        The result of meta-training; shared by clones and immutable.
    history_ : list of dict
        One entry per epoch of meta-training: epoch, train_loss, valid_loss, dur.
    task_names_ : ndarray of shape (n_meta_tasks,)
        Names of the meta-training tasks.
    task_embeddings_ : ndarray of shape (n_meta_tasks, m)
        Embeddings of the meta-training tasks.
    task_attention_ : ndarray of shape (n_meta_tasks,)
        Weight of each meta-training task in training, with mean 1.
    base_learners_ : list of str
        Names of the experts that the base learner is a stack of; of a base learner
        that is none, its name. Experts with weights below 0.02 in all validation
        episodes are left out.
    base_learner_weights_ : ndarray of shape (n_base_learners,)
        Weights of these in predictions for the task adapted to; they sum to 1.
    task_embedding_ : ndarray of shape (m,)
        Embedding of the task adapted to.
    feature_attention_ : ndarray of shape (n_features,)
        Relevance of each feature for the task adapted to, in the part of the
        prediction that the base learner adds to the pooled estimator; sums to 1. With
        an embedding, the relevance of each of its columns.
    n_features_in_ : int
        Number of features of a row.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features. Defined only if the tasks had column names.
    base_learner_ : estimator
        The estimator trained for the task adapted to. Defined only if
        ``base_learner`` is an estimator.
    device_ : torch.device
        The device that ``device`` was resolved to."""


RELATIONS = """task_relations_ : ndarray of shape (n_meta_tasks,)
        Relations of the task adapted to, in the order of ``task_names_``. One minus
        their sum is the probability of no related task. Only the strongest are
        non-zero: at most 64, in classification 4, with task-specific labels 8.
    familiarity_ : float
        Probability that the task is related to a meta-training task, from 0 to 1: the
        sum of the relations."""


OF_CLASSES = """shared_classes : {"auto", True, False}, default="auto"
        Whether a label has the same meaning in every task. If not, labels are
        task-specific (N-way classification), and `fit` accepts any number of new
        labels; ``n_support`` is then the number of rows per class, and the pooled
        estimator and task attention are not used. "auto" infers this from the labels:
        they are task-specific if a label occurs, on average, in hardly more than one
        task or in less than a fifth of the tasks. ``verbose`` prints the result.
    n_way : int or (int, int), default=(2, 20)
        Number of classes of an episode of meta-training with task-specific labels. If
        a range, it is drawn for each episode.
    """


def fill_docstring(cls):
    """Fill the shared sections into the docstring of a class."""
    of_classes = OF_CLASSES if is_classifier(cls()) else ""
    cls.__doc__ = cls.__doc__.replace("{parameters}", PARAMETERS)
    cls.__doc__ = cls.__doc__.replace("{of_classes}", of_classes)
    cls.__doc__ = cls.__doc__.replace("{attributes}", ATTRIBUTES)
    cls.__doc__ = cls.__doc__.replace("{relations}", RELATIONS)
    return cls
