"""Draws the explanatory picture of Course 01: from an index to a picture with its label.

Run   python Course01-Dataset/drawing.py
See   outputs/Course01-Dataset
"""

import matplotlib.pyplot as plt
import torch
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from torch.nn.functional import avg_pool2d

from common.drawn import draw_insects
from common.paths import output_dir

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#999999"
MONO = {"family": "monospace", "fontsize": 11, "va": "center"}

fig, ax = plt.subplots(figsize=(8.8, 3.3), layout="constrained")
ax.set(xlim=(0, 17.6), ylim=(6.6, 0), aspect="equal")
ax.axis("off")


def box(left, top, width, height, colour):
    look = {"boxstyle": "round,pad=0,rounding_size=0.15", "facecolor": "none", "edgecolor": colour, "linewidth": 1.6}
    ax.add_patch(FancyBboxPatch((left, top), width, height, **look))


def arrow(x1, x2, text):
    ax.add_patch(FancyArrowPatch((x1, 3), (x2, 3), arrowstyle="-|>", mutation_scale=16, linewidth=2, color=ORANGE))
    ax.text((x1 + x2) / 2, 2.65, text, ha="center", va="bottom", fontsize=10, color=ORANGE)


box(0.2, 2.4, 2.1, 1.2, BLUE)
ax.text(1.25, 3, "bees[1]", ha="center", **MONO)
ax.text(1.25, 6.1, "an index", ha="center", fontsize=11)

arrow(2.45, 4.1, "look up")
box(4.3, 0.7, 5.3, 4.6, GREY)
for i in range(3):
    here = i == 1
    ax.text(4.6, 1.6 + 1.4 * i, f"{i}  bees/bee_{i:03}.jpg", color="black" if here else GREY, **MONO)
box(4.42, 2.5, 5.06, 1, BLUE)
ax.text(6.95, 6.1, "the list of paths (__init__)", ha="center", fontsize=11)

arrow(9.8, 12.0, "open the file")
box(12.2, 0.7, 5.1, 4.6, BLUE)
picture = draw_insects(torch.tensor([1]), seed=22, height=288, width=384)
smooth = avg_pool2d(picture / 255, 2)[0]  # (1, 3, 288, 384) -> (3, 144, 192), with less noise
ax.imshow(smooth.permute(1, 2, 0).numpy(), extent=(12.65, 16.85, 4.2, 1.05), interpolation="antialiased")
ax.set(xlim=(0, 17.6), ylim=(6.6, 0))
ax.text(14.75, 4.78, '"bees"', ha="center", **MONO)
ax.text(14.75, 6.1, "a sample (__getitem__)", ha="center", fontsize=11)
fig.savefig(output_dir("Course01-Dataset") / "sample.png", dpi=110)
