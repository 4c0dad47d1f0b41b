"""
Can characters of an unknown script be recognised from one drawing each?
========================================================================

The support is one drawing of each of ten characters, of a script that was not in
meta-training (10-way, 1-shot). Which of the ten is the next drawing? From other scripts
the model learns when two drawings show the same character.
"""

# %%
# The drawings are glyphs of the twelve fonts that come with matplotlib: with and
# without serifs, bold, slanted and monospaced. Each script is a task with task-specific
# labels. Meta-training uses Latin, Greek and Cyrillic letters without accents; Armenian
# and Georgian are the new tasks.

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


def draw(character, font):
    """Draw a character as an image (SIZE, SIZE) with values from 0 to 1."""
    image = Image.new("L", (2 * SIZE, 2 * SIZE))
    ImageDraw.Draw(image).text((SIZE // 2, SIZE // 4), character, 255, font)
    left, top, right, bottom = image.getbbox()
    side = max(right - left, bottom - top, SIZE // 2)
    middle = (left + right) // 2, (top + bottom) // 2
    box = [m + s * (side // 2 + 1) for s in (-1, 1) for m in middle]
    return np.asarray(image.resize((SIZE, SIZE), box=box), np.float32) / 255


def letters(script):
    """Letters of a script, without those that have an accent."""
    for code in range(0x40, 0x10FF):
        name = unicodedata.name(chr(code), "")
        if not name.startswith(f"{script} ") or "LETTER" not in name:
            continue
        if len(name.split()) <= 4 and not unicodedata.decomposition(chr(code)):
            yield chr(code)


placeholders = [draw("\uffff", font) for font in fonts]  # for missing letters
tasks = {}
for script in ("LATIN", "GREEK", "CYRILLIC", "ARMENIAN", "GEORGIAN"):
    images, labels = [], []
    for letter in letters(script):
        drawings = [draw(letter, font) for font in fonts]
        if not any(map(np.array_equal, drawings, placeholders)):
            images += drawings
            labels += [letter] * len(fonts)
    tasks[script] = np.array(images), np.array(labels)
    print(f"{script}: {len(labels)} drawings of {len(set(labels))} letters")
unknown = {script: tasks.pop(script) for script in ("ARMENIAN", "GEORGIAN")}

# %%
# The embedding is an ordinary torch module. The augmentation rotates and shifts
# drawings at random in meta-training. Three epochs keep this example short; the default
# is more.

import torch
from torch import nn
from torch.nn import functional as F

from skmeta import AttentionMetaClassifier


def jitter(rows, generator):
    n, options = len(rows), {"generator": generator, "device": rows.device}
    angle = 0.6 * torch.rand(n, **options) - 0.3
    shift = 0.3 * torch.rand(n, 2, 1, **options) - 0.15
    rotation = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], -1)
    matrix = torch.cat([rotation.view(n, 2, 2), shift], -1)
    grid = F.affine_grid(matrix, (n, 1, SIZE, SIZE), align_corners=False)
    return F.grid_sample(rows[:, None], grid, align_corners=False)[:, 0]


layers = [nn.Unflatten(1, (1, SIZE))]
for _ in range(3):
    layers += [nn.LazyConv2d(24, 3, padding=1), nn.LazyBatchNorm2d()]
    layers += [nn.ReLU(), nn.MaxPool2d(2)]
embedding = nn.Sequential(*layers, nn.Flatten())
embedding(torch.zeros(2, SIZE, SIZE))  # initialises the lazy layers

model = AttentionMetaClassifier(
    embedding=embedding, augmentation=jitter, n_support=(1, 5), max_epochs=3,
    random_state=0,
).meta_fit(tasks)  # fmt: skip

# %%
# Each of twenty episodes has ten letters of a new script; one drawing of each is the
# support, all other drawings of them are the query. The baseline is a nearest neighbour
# on the pixels.

from sklearn.neighbors import KNeighborsClassifier

rng = np.random.default_rng(1)
for script, (images, labels) in unknown.items():
    accuracy = []
    for _ in range(20):
        classes = rng.choice(np.unique(labels), 10, replace=False)
        rows = [rng.permutation(np.flatnonzero(labels == c)) for c in classes]
        support = np.array([of_class[0] for of_class in rows])
        query = np.concatenate([of_class[1:] for of_class in rows])
        model.fit(images[support], labels[support])
        nearest = KNeighborsClassifier(1)
        nearest.fit(images[support].reshape(10, -1), labels[support])
        predictions = (
            model.predict(images[query]),
            nearest.predict(images[query].reshape(len(query), -1)),
        )
        accuracy.append([np.mean(p == labels[query]) for p in predictions])
    ours, theirs = np.mean(accuracy, axis=0)
    print(
        f"{script.title()}: accuracy {ours:.0%} among ten characters; nearest "
        f"neighbour {theirs:.0%}"
    )

# %%
# The last episode: the support on top, one query drawing of each character on the left.
# A cell is darker the more its support drawing contributes to the prediction.

import matplotlib.pyplot as plt

query = np.array([of_class[1] for of_class in rows])
attention = model.support_attention(images[query])
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
            row = support[j - 1] if i == 0 else query[i - 1]
            ax.imshow(images[row], cmap="Greys")
        else:
            share = attention[i - 1, j - 1]
            ax.set_facecolor(plt.cm.Blues(share))
            ax.text(
                0.5, 0.5, f"{100 * share:.0f}", ha="center", va="center",
                color="white" if share > 0.5 else "0.4", fontsize=8,
                transform=ax.transAxes,
            )  # fmt: skip
accuracy = np.mean(model.predict(images[query]) == labels[query])
fig.suptitle(
    f"{script.title()}, not in meta-training: attention to each support drawing in\n"
    f"percent; accuracy on these ten {accuracy:.0%}",
    fontsize=11,
)
plt.show()
