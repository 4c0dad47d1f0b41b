"""
Can characters of an unknown script be told from one drawing each?
===================================================================

Somebody shows one drawing of each of ten characters, of a script that the model has
never met. Which of the ten is the next drawing? What other scripts teach is what makes
two drawings of one character alike.
"""

# %%
# The drawings are those of the twelve fonts that matplotlib comes with: with and
# without serifs, bold, slanted and of fixed width. Every script is a task with classes
# of its own. Latin, Greek and Cyrillic letters are known, without their accents;
# Armenian and Georgian ones are not.

import unicodedata
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

SIZE = 20
fonts = sorted(Path(matplotlib.get_data_path(), "fonts", "ttf").glob("DejaVuS*.ttf"))
fonts = [
    ImageFont.truetype(str(path), 18) for path in fonts if "Display" not in path.name
]


def drawn(character, font):
    """A picture (SIZE, SIZE) of a character, from 0 to 1."""
    picture = Image.new("L", (2 * SIZE, 2 * SIZE))
    ImageDraw.Draw(picture).text((SIZE // 2, SIZE // 4), character, 255, font)
    left, top, right, bottom = picture.getbbox()
    side = max(right - left, bottom - top, SIZE // 2)
    middle = (left + right) // 2, (top + bottom) // 2
    box = [m + s * (side // 2 + 1) for s in (-1, 1) for m in middle]
    return np.asarray(picture.resize((SIZE, SIZE), box=box), np.float32) / 255


def letters(script):
    """Characters of a script that are no other with an accent."""
    for code in range(0x40, 0x10FF):
        name = unicodedata.name(chr(code), "")
        if not name.startswith(f"{script} ") or "LETTER" not in name:
            continue
        if len(name.split()) <= 4 and not unicodedata.decomposition(chr(code)):
            yield chr(code)


absent = [drawn("\uffff", font) for font in fonts]  # what a font draws in its place
tasks = {}
for script in ("LATIN", "GREEK", "CYRILLIC", "ARMENIAN", "GEORGIAN"):
    pictures, labels = [], []
    for letter in letters(script):
        of_letter = [drawn(letter, font) for font in fonts]
        if not any(map(np.array_equal, of_letter, absent)):
            pictures += of_letter
            labels += [letter] * len(fonts)
    tasks[script] = np.array(pictures), np.array(labels)
    print(f"{script}: {len(labels)} drawings of {len(set(labels))} letters")
unknown = {script: tasks.pop(script) for script in ("ARMENIAN", "GEORGIAN")}

# %%
# The embedding is an ordinary torch module; drawings are turned and shifted at random
# while it is trained. Three epochs keep this example short; the default is more.

import torch
from torch import nn
from torch.nn import functional as F

from skmeta import AttentionMetaClassifier


def jitter(rows, generator):
    n, drawn = len(rows), {"generator": generator, "device": rows.device}
    angle = 0.6 * torch.rand(n, **drawn) - 0.3
    shift = 0.3 * torch.rand(n, 2, 1, **drawn) - 0.15
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], -1)
    matrix = torch.cat([turn.view(n, 2, 2), shift], -1)
    grid = F.affine_grid(matrix, (n, 1, SIZE, SIZE), align_corners=False)
    return F.grid_sample(rows[:, None], grid, align_corners=False)[:, 0]


layers = [nn.Unflatten(1, (1, SIZE))]
for _ in range(3):
    layers += [nn.LazyConv2d(24, 3, padding=1), nn.LazyBatchNorm2d()]
    layers += [nn.ReLU(), nn.MaxPool2d(2)]
embedding = nn.Sequential(*layers, nn.Flatten())
embedding(torch.zeros(2, SIZE, SIZE))  # gives the lazy layers their sizes

model = AttentionMetaClassifier(
    embedding=embedding, augmentation=jitter, n_support=(1, 5), max_epochs=3,
    random_state=0,
).meta_fit(tasks)  # fmt: skip

# %%
# Twenty times ten letters of each unknown script, one drawing of each; all others of
# them are asked for. A nearest neighbour among the same pictures knows of no script.

from sklearn.neighbors import KNeighborsClassifier

rng = np.random.default_rng(1)
for script, (pictures, labels) in unknown.items():
    right = []
    for _ in range(20):
        some = rng.choice(np.unique(labels), 10, replace=False)
        rows = [rng.permutation(np.flatnonzero(labels == letter)) for letter in some]
        shown = np.array([of_letter[0] for of_letter in rows])
        asked = np.concatenate([of_letter[1:] for of_letter in rows])
        model.fit(pictures[shown], labels[shown])
        nearest = KNeighborsClassifier(1)
        nearest.fit(pictures[shown].reshape(10, -1), labels[shown])
        said = (
            model.predict(pictures[asked]),
            nearest.predict(pictures[asked].reshape(len(asked), -1)),
        )
        right.append([np.mean(one == labels[asked]) for one in said])
    ours, theirs = np.mean(right, axis=0)
    print(
        f"{script.title()}: {ours:.0%} of the drawings are told from those of nine "
        f"others; nearest neighbour {theirs:.0%}"
    )

# %%
# The last ten, as a picture. Above stand the drawings that were shown, to the left
# those that were asked about; the darker a field, the more that drawing decided.

import matplotlib.pyplot as plt

query = np.array([of_letter[1] for of_letter in rows])
attention = model.support_attention(pictures[query])
space = {"wspace": 0.08, "hspace": 0.08, "top": 0.89}
space |= {"left": 0.02, "right": 0.98, "bottom": 0.02}
fig, axes = plt.subplots(11, 11, figsize=(6.5, 7.2), gridspec_kw=space)
for i in range(11):
    for j in range(11):
        ax = axes[i, j]
        ax.set(xticks=[], yticks=[])
        if i == 0 and j == 0:
            ax.axis("off")
        elif i == 0 or j == 0:
            at = shown[j - 1] if i == 0 else query[i - 1]
            ax.imshow(pictures[at], cmap="Greys")
        else:
            share = attention[i - 1, j - 1]
            ax.set_facecolor(plt.cm.Blues(share))
            ax.text(
                0.5, 0.5, f"{100 * share:.0f}", ha="center", va="center",
                color="white" if share > 0.5 else "0.4", fontsize=8,
                transform=ax.transAxes,
            )  # fmt: skip
right = np.mean(model.predict(pictures[query]) == labels[query])
fig.suptitle(
    f"{script.title()}, a script never seen: percent of attention to each drawing\n"
    f"shown; {right:.0%} of these ten are told right",
    fontsize=11,
)
plt.show()
