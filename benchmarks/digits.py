"""Classification of four new digits from one or five rows each, by their 64 pixels.

    python benchmarks/digits.py [--n-splits 5]

The 64 pixels of scikit-learn's digits are the features, without an embedding. Six
digits, drawn anew for each split, are one meta-training task; 200 episodes of the four
others have 1 or 5 support rows and 15 query rows a class. Printed is the accuracy,
together with that of scikit-learn's estimators fitted to the support alone.
"""

import numpy as np
from _results import argument_parser, open_results
from _shared import CLASSIFIERS
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC

RIVALS = {
    "logistic regression": LogisticRegression(max_iter=1000),
    "nearest neighbour": KNeighborsClassifier(1),
    "SVC": SVC(),
}
SHOTS, N_EPISODES, N_QUERY = (1, 5), 200, 15


def episodes(X, y, classes, k, rng):
    for _ in range(N_EPISODES):
        drawn = [rng.permutation(np.flatnonzero(y == c)) for c in classes]
        support = np.concatenate([rows[:k] for rows in drawn])
        query = np.concatenate([rows[k : k + N_QUERY] for rows in drawn])
        yield X[support], y[support], X[query], y[query]


def main():
    parser = argument_parser(__doc__)
    parser.add_argument("--n-splits", type=int, default=5)
    options, results = open_results(parser, key=("split", "K"))
    X, y = load_digits(return_X_y=True)
    methods = [*RIVALS, *CLASSIFIERS]
    results.heading("accuracy; meta-training digits, shots, " + ", ".join(methods))
    rows = []
    for split in range(options.n_splits):
        rng = np.random.default_rng(split)
        order = rng.permutation(10)
        known = np.isin(y, order[:6])
        models = {
            name: system(random_state=0).meta_fit([(X[known], y[known])])
            for name, system in CLASSIFIERS.items()
        }
        for k in SHOTS:
            drawn = list(episodes(X, y, order[6:], k, rng))
            found = [
                np.mean([r.fit(a, b).score(c, d) for a, b, c, d in drawn])
                for r in RIVALS.values()
            ]
            for model in models.values():
                said = model.predict_episodes([e[:3] for e in drawn])
                found.append(
                    np.mean([p == e[3] for p, e in zip(said, drawn, strict=True)])
                )
            rows.append((k, *found))
            cells = ", ".join(f"{value:.3f}" for value in found)
            scores = dict(zip(methods, found, strict=True))
            line = f"{np.sort(order[:6])}, {k}, {cells}"
            results.add(line, split=split, K=k, **scores)
    rows = np.array(rows)
    for k in SHOTS:
        mean = rows[rows[:, 0] == k, 1:].mean(0)
        scores = dict(zip(methods, mean, strict=True))
        cells = ", ".join(f"{value:.3f}" for value in mean)
        results.add(
            f"mean, {k}, {cells}",
            split="mean",
            K=k,
            n_splits=options.n_splits,
            **scores,
        )


if __name__ == "__main__":
    main()
