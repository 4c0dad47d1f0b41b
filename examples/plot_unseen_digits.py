"""
Can digits be learned from other digits?
========================================

A model is meta-trained on images of six digits and adapted to a few images of each of
the four others. How much do the six help? Little here: a nearest neighbour on the
pixels is about as accurate. Six digits are few classes, and images of 64 pixels leave
little to learn.
"""

# %%
# Rotated and mirrored digits are used as additional classes, which makes 41 of six (a
# rotated zero remains a zero). All are one task; `meta_fit` draws episodes with some of
# its classes, and uses a fifth of the classes for validation. An image is a row of
# shape (8, 8).

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch.nn import functional as F

from skmeta import AttentionMetaClassifier

X, y = load_digits(return_X_y=True)
X = X.reshape(-1, 8, 8).astype(np.float32) / 16
images, labels = [X[y < 6]], [y[y < 6].astype(str)]
rows = (y > 0) & (y < 6)
for mirrored in (False, True):
    for quarters in range(4):
        if mirrored or quarters:
            rotated = np.rot90(X[rows], quarters, axes=(1, 2))
            images.append(rotated[:, :, ::-1] if mirrored else rotated)
            labels.append([f"{c} {quarters}{mirrored}" for c in y[rows]])
images, labels = np.concatenate(images), np.concatenate(labels)
print(f"{len(images)} images of {len(np.unique(labels))} classes")

# %%
# A small convolutional network embeds an image as a vector. It is trained jointly with
# the other parts, on images that are rotated and shifted at random.


def jitter(rows, generator):
    n, options = len(rows), {"generator": generator, "device": rows.device}
    angle = 0.5 * torch.rand(n, **options) - 0.25
    shift = 0.4 * torch.rand(n, 2, 1, **options) - 0.2
    rotation = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], -1)
    matrix = torch.cat([rotation.view(n, 2, 2), shift], -1)
    grid = F.affine_grid(matrix, (n, 1, 8, 8), align_corners=False)
    return F.grid_sample(rows[:, None], grid, align_corners=False)[:, 0]


embedding = torch.nn.Sequential(
    torch.nn.Unflatten(1, (1, 8)),
    torch.nn.Conv2d(1, 32, 3, padding=1), torch.nn.BatchNorm2d(32), torch.nn.ReLU(),
    torch.nn.Conv2d(32, 32, 3, padding=1), torch.nn.BatchNorm2d(32), torch.nn.ReLU(),
    torch.nn.MaxPool2d(2), torch.nn.Flatten(),
)  # fmt: skip
model = AttentionMetaClassifier(
    embedding=embedding, augmentation=jitter, max_epochs=4, random_state=0
)
model.meta_fit([(images, labels)])

# %%
# The baseline is a nearest neighbour on the pixels, fitted to the same support.

from sklearn.neighbors import KNeighborsClassifier

rng = np.random.default_rng(0)
new = [np.flatnonzero(y == c) for c in (6, 7, 8, 9)]
shots = (1, 2, 3, 5, 10)
accuracy = {"meta-trained on six other digits": [], "nearest neighbour": []}
for k in shots:
    scores = []
    for _ in range(20):
        orders = [rng.permutation(rows) for rows in new]
        support = np.concatenate([rows[:k] for rows in orders])
        query = np.concatenate([rows[k : k + 25] for rows in orders])
        model.fit(X[support], y[support])
        nearest = KNeighborsClassifier(1).fit(X[support].reshape(-1, 64), y[support])
        predictions = model.predict(X[query]), nearest.predict(X[query].reshape(-1, 64))
        scores.append([np.mean(p == y[query]) for p in predictions])
    for values, mean in zip(accuracy.values(), np.mean(scores, 0), strict=True):
        values.append(mean)
    print(f"{k} images of each: " + ", ".join(
        f"{name} {values[-1]:.3f}" for name, values in accuracy.items()
    ))  # fmt: skip

# %%
# Left: the accuracy. Right: support attention in one episode, with the support on top
# and query images on the left. A cell is darker the more its support image contributes.

import matplotlib.pyplot as plt

fig = plt.figure(figsize=(9, 4.2), layout="constrained")
left, right = fig.subfigures(1, 2, width_ratios=(1.15, 1))
ax = left.subplots()
for name, values in accuracy.items():
    ax.plot(shots, values, marker="o", label=name)
ax.set(
    xlabel="support images of each of four new digits", ylabel="accuracy", xscale="log",
    xticks=shots, xticklabels=shots,
)  # fmt: skip
ax.minorticks_off()
ax.legend(loc="lower right")

orders = [rng.permutation(rows) for rows in new]
support, query = (np.array([rows[i] for rows in orders]) for i in (0, 1))
attention = model.fit(X[support], y[support]).support_attention(X[query])
axes = right.subplots(5, 5)
for i in range(5):
    for j in range(5):
        ax = axes[i, j]
        ax.set(xticks=[], yticks=[])
        if i == 0 and j == 0:
            ax.axis("off")
        elif i == 0 or j == 0:
            ax.imshow(X[support[j - 1] if i == 0 else query[i - 1]], cmap="Greys")
        else:
            share = attention[i - 1, j - 1]
            ax.set_facecolor(plt.cm.Blues(share))
            ax.text(
                0.5, 0.5, f"{share:.0%}", ha="center", va="center",
                color="white" if share > 0.5 else "0.3", transform=ax.transAxes,
            )  # fmt: skip
right.suptitle("attention to the support images", fontsize=10)
plt.show()
