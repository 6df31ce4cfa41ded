"""Draws one picture for the notes of Course 05: pipeline.png, the way from indices to a batch.

Run   python Course05-DataLoader/drawing.py
See   outputs/Course05-DataLoader/
"""

import contextlib
import io

import matplotlib.pyplot as plt
from matplotlib.patches import FancyArrowPatch, Rectangle

from common.data import cifar10
from common.paths import output_dir

BLUE, GREY, PALE = "#0072B2", "#999999", "#56B4E9"
ORDER = [4, 6, 1, 0, 8, 9, 5, 3, 2, 7]  # the first epoch of section 5
BATCH_SIZE = 3

with contextlib.redirect_stdout(io.StringIO()):  # the lesson has said which pictures these are
    pictures = cifar10(train=False)

fig, ax = plt.subplots(figsize=(9, 4.4))
fig.subplots_adjust(0, 0, 1, 1)
ax.set(xlim=(0, 90), ylim=(44, 0), aspect="equal")
ax.axis("off")


def title(x, part, meaning):
    """The name of a part and below it what it hands on."""
    ax.text(x, 3, part, ha="center", va="center", fontsize=13, weight="bold")
    ax.text(x, 6.3, meaning, ha="center", va="center", fontsize=11)


def cell(x, y, number, colour):
    """An index in a box."""
    ax.add_patch(Rectangle((x, y), 3, 3, facecolor="white", edgecolor=colour, linewidth=2))
    ax.text(x + 1.5, y + 1.6, str(number), ha="center", va="center", fontsize=12, color=colour)


def arrow(start, end, colour=BLUE):
    ax.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=16, color=colour, linewidth=2))


title(7, "sampler", "indices")
title(28, "batch sampler", "lists of indices")
title(51, "data set", "samples")
title(77, "collate", "one batch")

groups = [ORDER[start : start + BATCH_SIZE] for start in range(0, len(ORDER), BATCH_SIZE)]
for place, index in enumerate(ORDER):
    colour = BLUE if place < BATCH_SIZE else GREY
    cell(5.5, 9.5 + 3.3 * place, index, colour)
for number, group in enumerate(groups):
    colour = BLUE if number == 0 else GREY
    y = 12.8 + 3.3 * BATCH_SIZE * number if number < 3 else 39.2
    for place, index in enumerate(group):
        cell(22.5 + 3.6 * place, y, index, colour)
    arrow((10, y + 1.5), (21, y + 1.5), colour)

for place, index in enumerate(groups[0]):
    picture, label = pictures[index]
    y = 10 + 11 * place
    ax.imshow(picture, extent=(46, 54.5, y + 8.5, y), interpolation="nearest")
    ax.text(55, y + 4.3, f"label {label}", fontsize=11, va="center")
    arrow((34.5, 14.3), (45.3, y + 4.3))
    shift = 2.2 * (len(groups[0]) - 1 - place)
    where = (71 + shift, 82 + shift, 24.5 - shift, 13.5 - shift)
    ax.imshow(picture, extent=where, interpolation="nearest", zorder=5 + place)
    ax.add_patch(
        Rectangle((71 + shift, 13.5 - shift), 11, 11, fill=False, edgecolor="white", linewidth=2, zorder=5 + place)
    )
    arrow((62.5, y + 4.3), (69.5, 24))
labels = [pictures[index][1] for index in groups[0]]
ax.text(78.5, 28, "images (3, 3, 32, 32)", ha="center", va="center", fontsize=11)
ax.text(78.5, 31.5, f"labels {labels}", ha="center", va="center", fontsize=11)
ax.set(xlim=(0, 90), ylim=(44, 0))
fig.savefig(output_dir("Course05-DataLoader") / "pipeline.png", dpi=100)
