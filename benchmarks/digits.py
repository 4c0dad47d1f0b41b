"""Four digits from one or five drawings each, having seen the six others, as columns.

    python benchmarks/digits.py [--n-splits 5]

The 64 pixels of scikit-learn's digits are columns, and no embedding is given. Six
digits, drawn anew for each split, are learned from as one task; of the four others 200
episodes have 1 or 5 support rows and 15 query rows a class. Printed is the accuracy
next to that of scikit-learn's estimators on the support alone.
"""

import argparse
import platform

import numpy as np
import torch
from glyphs import SYSTEMS
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
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--n-splits", type=int, default=5)
    n_splits = parser.parse_args().n_splits
    torch.set_num_threads(1)
    X, y = load_digits(return_X_y=True)
    print(f"{platform.processor() or platform.machine()}, one thread; accuracy")
    print("learned from, shots, " + ", ".join([*RIVALS, *SYSTEMS]))
    rows = []
    for split in range(n_splits):
        rng = np.random.default_rng(split)
        order = rng.permutation(10)
        known = np.isin(y, order[:6])
        models = {
            name: system(random_state=0).meta_fit([(X[known], y[known])])
            for name, system in SYSTEMS.items()
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
            print(f"{np.sort(order[:6])}, {k}, {cells}", flush=True)
    rows = np.array(rows)
    for k in SHOTS:
        mean = rows[rows[:, 0] == k, 1:].mean(0)
        print(f"mean, {k}, " + ", ".join(f"{value:.3f}" for value in mean))


if __name__ == "__main__":
    main()
