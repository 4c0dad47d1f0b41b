"""
Can characters of an unknown script be told from one drawing each?
===================================================================

Somebody shows one drawing of each of ten characters, of a script that the model has
never met. Which of the ten is the next drawing? What other scripts teach is what makes
two drawings of one character alike.

The drawings are not part of the package. Give a file of ``images`` (n, 28, 28),
``codepoint`` (the class of each) and ``script`` as the argument, and how many minutes
meta-training may take as the second.
"""

# %%
# Every script is a task with classes of its own. Four are set aside as unknown.

import sys

import numpy as np

if len(sys.argv) < 2:
    print(f"Usage: {sys.argv[0]} glyphs.npz [minutes]. There are no drawings here.")
    sys.exit()
data = np.load(sys.argv[1])
minutes = float(sys.argv[2]) if len(sys.argv) > 2 else 3
images = (data["images"] / 255).astype(np.float32)
code, script = data["codepoint"], data["script"].astype(str)
names = [s for s in np.unique(script) if len(np.unique(code[script == s])) >= 20]
unknown = np.random.default_rng(0).choice(names, 4, replace=False)
tasks = {
    s: (images[script == s], code[script == s])
    for s in np.unique(script)
    if s not in unknown
}
print(f"{len(tasks)} known scripts; unknown: {', '.join(unknown)}")

# %%
# The embedding is an ordinary torch module; drawings are turned and shifted at random
# while it is trained.

import time

import torch
from skorch.callbacks import Callback
from torch import nn
from torch.nn import functional as F

from skmeta import AttentionMetaClassifier


class Conv4(nn.Module):
    def __init__(self, width=32):
        super().__init__()
        layers = []
        for _ in range(4):
            layers += [nn.LazyConv2d(width, 3, padding=1), nn.LazyBatchNorm2d()]
            layers += [nn.ReLU(), nn.MaxPool2d(2)]
        self.blocks = nn.Sequential(*layers, nn.Flatten())

    def forward(self, rows):
        return self.blocks(rows[:, None])


def jitter(rows, generator):
    n = len(rows)
    angle = 0.6 * torch.rand(n, generator=generator) - 0.3
    shift = 0.3 * torch.rand(n, 2, 1, generator=generator) - 0.15
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], -1)
    matrix = torch.cat([turn.view(n, 2, 2), shift], -1)
    grid = F.affine_grid(matrix, (n, 1, 28, 28), align_corners=False)
    return F.grid_sample(rows[:, None], grid, align_corners=False)[:, 0]


class Minutes(Callback):
    def on_train_begin(self, net, **kwargs):
        self.start = time.monotonic()

    def on_epoch_end(self, net, **kwargs):
        if time.monotonic() - self.start > 60 * minutes:
            raise KeyboardInterrupt  # skorch's way to end training


model = AttentionMetaClassifier(
    embedding=Conv4, augmentation=jitter, n_support=(1, 5), callbacks=[Minutes()],
    random_state=0,
).meta_fit(tasks)  # fmt: skip

# %%
# Ten characters of each unknown script, one drawing each; then ten others of them.

import matplotlib.pyplot as plt

rng = np.random.default_rng(1)
fig, axes = plt.subplots(
    11, 11, figsize=(8, 8.6), gridspec_kw={"wspace": 0.08, "hspace": 0.08}
)
accuracy = {}
for s in unknown:
    classes = rng.choice(np.unique(code[script == s]), 10, replace=False)
    drawn = [
        rng.permutation(np.flatnonzero((script == s) & (code == c))) for c in classes
    ]
    support, query = (np.array([d[i] for d in drawn]) for i in (0, 1))
    rest = np.concatenate([d[1:] for d in drawn])
    model.fit(images[support], code[support])
    accuracy[s] = model.score(images[rest], code[rest])
    print(f"{s}: {accuracy[s]:.2f} of {len(rest)} drawings are told from ten others")

# %%
# The last of them, as a picture. Above stand the ten drawings that were shown, to the
# left those that were asked about; the darker a field, the more that drawing decided.

attention = model.support_attention(images[query])
for i in range(11):
    for j in range(11):
        ax = axes[i, j]
        ax.set(xticks=[], yticks=[])
        if i == 0 and j == 0:
            ax.axis("off")
        elif i == 0 or j == 0:
            ax.imshow(images[support[j - 1] if i == 0 else query[i - 1]], cmap="Greys")
        else:
            ax.set_facecolor(plt.cm.Blues(attention[i - 1, j - 1]))
            ax.text(
                0.5, 0.5, f"{100 * attention[i - 1, j - 1]:.0f}", ha="center",
                va="center", color="white" if attention[i - 1, j - 1] > 0.5 else "0.4",
                fontsize=8, transform=ax.transAxes,
            )  # fmt: skip
right = np.mean(model.predict(images[query]) == code[query])
fig.suptitle(
    f"{unknown[-1].title()}, a script never seen: percent of attention to each\n"
    f"drawing shown; {right:.0%} of these ten are told right",
    fontsize=11,
)
plt.show()
