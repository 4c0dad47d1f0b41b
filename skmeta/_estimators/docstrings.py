"""What the docstrings of the meta-learners share."""

from sklearn.base import is_classifier

PARAMETERS = """Parameters
    ----------
    base_learner : {"gp", "linear", "mlp"} or estimator, default="gp"
        What predicts for one task: a Gaussian process with a meta-learned prior, its
        linear part alone (a mixed-effects model), a multilayer perceptron, or any
        scikit-learn estimator. An estimator is cloned and trained by `fit` on the
        rows of the task and on rows of related tasks, by their relation
        (``sample_weight``, or resampling); it sees standardised columns, meta-learned
        features and what the process says of a row, and the two are averaged.
    pooled_estimator : None, "auto" or estimator, default="auto"
        Scikit-learn estimator fitted to the rows of all meta-training tasks; the base
        learner learns what it leaves open. "auto" takes, of none, a polynomial ridge,
        boosting and the last two's average, what does best on tasks it has not seen.
    {of_classes}task_attention : {"auto", True, False}, default="auto"
        Learn again from the meta-training tasks that are worth it, where some are
        not. "auto" does so only where most are, and keeps it only where it has the
        lower query loss on held-out tasks; False attends to all tasks alike.
    embedding : torch module, class of one, or callable that makes one, default=None
        From float32 rows (n_rows, ...), of any shape that the tasks have, to vectors
        (n_rows, n_columns), which all else sees in their place. A class or a callable
        is called with the ``embedding__*`` parameters; an instance is copied, with
        its weights. With task-specific labels it is trained with all else, and by an
        auxiliary classifier of all classes of each task in memory, whose loss is part
        of ``train_loss``; otherwise before all else, by ridge regressions that adapt to
        each task, and where `fit` is called without `meta_fit`, not at all.
    embedding_trainable : bool, default=True
        False leaves the weights as they are given.
    augmentation : callable, default=None
        ``augmentation(rows, generator)`` gives changed rows, a tensor of the same
        shape, drawn by the torch generator, which is on ``rows.device``. Applied in
        meta-training alone, to rows before they are embedded; with a frozen embedding
        only with task-specific labels.
    embed_dim : int, default=48
        Size m of the task embedding; a multiple of ``n_heads``.
    n_heads : int, default=4
        Attention heads.
    n_layers : int, default=2
        Attention layers of the task encoder.
    n_support : int or (int, int), default=(0, 25)
        Support rows of an episode of meta-training; of a range, drawn anew for each
        episode, uniformly on the scale of ``log(1 + n)``.
    n_query : int, default=32
        Query rows of an episode, at most.
    max_epochs : int, default=200
        Epochs of meta-training, at most.
    steps_per_epoch : int, default=50
        Gradient steps of an epoch.
    batch_size : int, default=32
        Tasks of a step. While an embedding is trained, a step has a quarter as many
        episodes, and up to eight of them are of the same rows of a task.
    lr : float, default=1e-3
        Learning rate of AdamW, before it is cut at plateaus.
    validation_fraction : float, default=0.2
        Share of the tasks held out, unless `meta_fit` is given validation tasks.
    patience : int, default=15
        Epochs without a lower loss on held-out tasks before meta-training stops.
    callbacks : list of skorch callbacks, default=None
        Run with meta-training.
    device : str or torch.device, default="auto"
        "auto" is a GPU where there is one, which pays for an embedding; small tables
        are faster on "cpu". Resolved when fitted, into ``device_``.
    random_state : int, RandomState instance or None, default=None
        Seed of everything drawn. The same int gives the same bytes on one machine.
    verbose : int, default=0
        Above 0, a progress bar with the loss on held-out tasks.
    warm_start : bool, default=False
        `meta_fit` goes on from what was learned before."""

ATTRIBUTES = """meta_state_ : MetaState
        What was meta-learned; shared by clones and never changed.
    history_ : list of dict
        Of meta-training, one entry an epoch: epoch, train_loss, valid_loss, dur.
    task_names_ : ndarray of shape (n_meta_tasks,)
    task_embeddings_ : ndarray of shape (n_meta_tasks, m)
    task_attention_ : ndarray of shape (n_meta_tasks,)
        How much each meta-training task was worth, mean 1.
    task_embedding_ : ndarray of shape (m,)
        Of the task adapted to.
    feature_attention_ : ndarray of shape (n_features,)
        How much each column matters for the task adapted to, in what it adds to the
        pooled prediction; sums to 1. With an embedding, each of its columns.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Where the tasks had column names.
    base_learner_ : estimator
        Trained for the task adapted to, where ``base_learner`` is an estimator.
    device_ : torch.device
        What ``device`` was resolved to."""


RELATIONS = """task_relations_ : ndarray of shape (n_meta_tasks,)
        Of the task adapted to, in the order of ``task_names_``; the rest to 1 is on no
        task. Only the strongest are not zero: at most 64, in classification 4, with
        task-specific labels 8.
    familiarity_ : float
        How sure it is that the task is like one seen, from 0 to 1: the sum of the
        relations."""


OF_CLASSES = """shared_classes : {"auto", True, False}, default="auto"
        Whether a label means the same in every task. If not, labels are task-specific
        (N-way classification), and `fit` takes any number of new ones; ``n_support``
        is then a number of rows of each class, and the pooled estimator and task
        attention do not apply. "auto" takes labels for task-specific if a label is in
        hardly more than one task, or in less than a fifth of them, on average;
        ``verbose`` says which.
    n_way : int or (int, int), default=(2, 20)
        Classes of an episode of meta-training with task-specific labels; of a range,
        drawn anew for each episode.
    """


def fill_docstring(cls):
    """Fill the shared parts into the docstring of a class."""
    of_classes = OF_CLASSES if is_classifier(cls()) else ""
    cls.__doc__ = cls.__doc__.replace("{parameters}", PARAMETERS)
    cls.__doc__ = cls.__doc__.replace("{of_classes}", of_classes)
    cls.__doc__ = cls.__doc__.replace("{attributes}", ATTRIBUTES)
    cls.__doc__ = cls.__doc__.replace("{relations}", RELATIONS)
    return cls
