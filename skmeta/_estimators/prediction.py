"""Predictions and features of query rows, of one task or of many."""

import numpy as np
from sklearn.base import clone, is_classifier

from .._episodes.batch import pad
from .._networks.learners.predictive import Categorical, Gaussian
from ..tasks._array_likes import labels
from .base import MetaLearner

EPISODES_AT_ONCE = 128
QUERIES_AT_ONCE = 4096


class QueryLearner(MetaLearner):
    """A meta-learner with the methods that are applied to query rows."""

    def _query(self, X):
        """Query rows, checked, of an estimator that can predict."""
        if not self.__sklearn_is_fitted__():
            self._check_meta_fitted()
        return self._check_rows(X)

    def transform(self, X):
        """Features of each row that the base learner uses for the task adapted to.

        State change: none. In the state *meta-fitted*, the features of the prior.

        Parameters
        ----------
        X : array-like of shape (n_query, n_features)

        Returns
        -------
        features : ndarray of shape (n_query, n_base_features)
            For a GP, the features whose inner products are its kernel without the RBF
            part; for a perceptron, its last hidden layer.
        """
        X = self._query(X)
        return self._adapted_task().features(X)

    @property
    def _n_features_out(self):
        """Number of features of `transform`, used by `get_feature_names_out`."""
        return self._current_state().network.learner.n_base_features

    def support_attention(self, X):
        """Weight of each support row in the prediction of each query row.

        State change: none.

        Parameters
        ----------
        X : array-like of shape (n_query, n_features)

        Returns
        -------
        attention : ndarray of shape (n_query, n_support)
            Rows sum to 1 (without support rows there are no columns). For a GP, the
            absolute weight of each support target in the posterior mean; with
            task-specific labels, the probability of each class, divided among its
            support rows in favour of those near the query row.
        """
        X = self._query(X)
        weights = self._adapted_task().support_weights(X)
        total = weights.sum(1, keepdims=True)
        return np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)

    def _predict_episodes(self, episodes):
        """Predict for every episode.

        Returns
        -------
        predictions : list of Gaussian or Categorical
            Arrays for the query rows of each episode.
        variances : list of ndarray of shape (n_query, n_outputs), or 0
            The variance of `Adapted.row_variance`.
        targets : list of TargetScaler or ClassCodec
            The encoder of the targets of each episode.
        """
        state = self._check_meta_fitted()
        episodes = self._check_episodes(list(episodes))
        targets = [state.for_task(y).targets for _, y, _ in episodes]
        found = [state.companions(query, X) for X, _, query in episodes]
        unsure = [i for i, companions in enumerate(found) if companions is not None]
        more = [(*episodes[i][:2], found[i].X) for i in unsure]
        predictions = self._in_batches(
            episodes + more, targets + [targets[i] for i in unsure]
        )
        variances = [0.0] * len(episodes)
        for i, of_companions in zip(unsure, predictions[len(episodes) :], strict=True):
            variances[i] = found[i].variance(of_companions.location())
        return predictions[: len(episodes)], variances, targets

    def _in_batches(self, episodes, targets):
        """Predictions of checked episodes, a batch at a time."""
        if not isinstance(self.base_learner, str):  # estimators train one by one
            return [self._predict_episode(*episode) for episode in episodes]
        by_size = sorted(range(len(episodes)), key=lambda i: len(episodes[i][0]))
        results = [None] * len(episodes)
        for i in range(0, len(by_size), EPISODES_AT_ONCE):
            at = by_size[i : i + EPISODES_AT_ONCE]
            located = self.meta_state_.on(self._usable_device())
            with located.running():
                inputs = self._padded(
                    located, [episodes[j] for j in at], [targets[j] for j in at]
                )
                device = next(located.network.parameters()).device
                outputs = located.network(
                    **{k: v.to(device) for k, v in inputs.items()}
                )
            for row, j in enumerate(at):
                n_query = len(episodes[j][2])
                parts = [t[row, :n_query].cpu().numpy() for t in outputs]
                if is_classifier(self):  # other episodes may have more classes
                    logits = parts[0][:, : len(targets[j].classes)]
                    results[j] = Categorical(logits)
                else:
                    results[j] = Gaussian(*parts)
        return results

    def _predict_episode(self, X, y, X_query):
        one = clone(self)
        if len(X):
            one.fit(X, y)
        return one._adapted_task().predict(X_query)

    def _check_episodes(self, episodes):
        """Check all at once, or one by one to name the invalid episode."""
        try:
            return self._check_arrays(episodes)
        except (TypeError, ValueError):
            return [self._check_episode(i, e) for i, e in enumerate(episodes)]

    def _check_arrays(self, episodes):
        """Check episodes of plain arrays together; raise if any is invalid."""
        if not all(map(_is_plain, (part for e in episodes for part in e))):
            raise TypeError
        supports, targets, queries = map(list, zip(*episodes, strict=True))
        if [*map(len, supports)] != [*map(len, targets)] or not all(map(len, queries)):
            raise ValueError
        if len({y.dtype.kind == "U" for y in targets if len(y)}) > 1:
            raise ValueError  # concatenation would turn numbers into text
        X = self._check_rows(np.concatenate(supports + queries))
        y = self._check_target(labels(np.concatenate(targets)))
        if y.dtype.kind == "f" and not np.isfinite(y).all():
            raise ValueError
        self.meta_state_.for_task(y).targets.transform(y)  # raises for unknown labels
        parts, targets = _split_like(X, supports + queries), _split_like(y, targets)
        for one in targets:
            self.meta_state_.for_task(one)  # raises if there is no class
        n = len(episodes)
        return list(zip(parts[:n], targets, parts[n:], strict=True))

    def _check_episode(self, i, episode):
        try:
            X_support, y_support, X_query = episode
            X_query = self._check_rows(X_query)
            if len(X_support) == 0:
                self.meta_state_.for_task(y_support)
                return *self._no_rows(self.meta_state_), X_query
            X_support, y_support = self._check_rows(X_support, y_support)
            y_support = self._check_target(y_support)
            state = self.meta_state_.for_task(y_support)
            state.targets.transform(y_support)  # raises for unknown labels
            return X_support, y_support, X_query
        except (TypeError, ValueError) as error:
            message = f"Episode {i} (X_support, y_support, X_query): {error}"
            raise type(error)(message) from error

    @staticmethod
    def _padded(state, episodes, targets):
        """Padded inputs of the network for many episodes, scaled together."""
        supports, labels_of, queries = zip(*episodes, strict=True)
        X = np.concatenate(supports)
        support = _rows_like(state.support(X, np.ones(len(X))), supports)
        query = _rows_like(state.rows(np.concatenate(queries)), queries)
        encoded = zip(targets, labels_of, strict=True)
        y = pad([of.transform(y) for of, y in encoded])
        names = ("x_support", "offset_support", "weight_support", "y_support")
        return dict(zip(names, [*support, y], strict=True)) | {
            "x_query": query[0],
            "offset_query": query[1],
        }


def _is_plain(part):
    return isinstance(part, np.ndarray) and not isinstance(part, np.ma.MaskedArray)


def _rows_like(rows, parts):
    """`Rows` of one task split into tasks as long as ``parts``, and padded."""
    return [pad(_split_like(t[0].cpu().numpy(), parts)) for t in rows]


def _split_like(array, parts):
    """Split an array into pieces as long as ``parts``."""
    ends = np.cumsum([len(part) for part in parts])
    return [array[i:j] for i, j in zip([0, *ends[:-1]], ends, strict=True)]
