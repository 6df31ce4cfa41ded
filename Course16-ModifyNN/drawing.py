"""Draws vgg16.png and ways.png for the notes of Course 16: what learns in which network. No part of the lesson."""

import matplotlib.pyplot as plt
from matplotlib.patches import Patch, Rectangle

from common.paths import output_dir

FROZEN, LEARNS, NEW, NOTHING = "#56B4E9", "#0072B2", "#D55E00", "#999999"
# name, what comes out, parameters, state, width and height of its box
VGG = [
    ("features\n2 conv", "64 maps\n112×112", "39 k", FROZEN, 0.5, 3.0),
    ("2 conv", "128 maps\n56×56", "0.2 M", FROZEN, 0.6, 2.5),
    ("3 conv", "256 maps\n28×28", "1.5 M", FROZEN, 0.8, 2.0),
    ("3 conv", "512 maps\n14×14", "5.9 M", FROZEN, 1.0, 1.5),
    ("3 conv", "512 maps\n7×7", "7.1 M", FROZEN, 1.0, 1.1),
    ("classifier\n0", "4096", "102.8 M", FROZEN, 0.45, 2.6),
    ("3", "4096", "16.8 M", FROZEN, 0.45, 2.6),
    ("6", "10", "41 k", NEW, 0.45, 0.6),
]
RESNET = [
    ("stem", "16×32×32", "0.5 k", FROZEN, 0.4, 2.8),
    ("stages[0]", "16×32×32", "14 k", FROZEN, 1.0, 2.8),
    ("stages[1]", "32×16×16", "51 k", FROZEN, 1.2, 1.9),
    ("stages[2]", "64×8×8", "204 k", FROZEN, 1.4, 1.1),
    ("mean", "64", "0", NOTHING, 0.4, 2.2),
    ("fc", "10", "650", NEW, 0.4, 0.8),
]


def draw_row(ax, title, blocks, colours=None):
    """One network as boxes, from the picture on the left to the answer on the right; a stage has three arcs."""
    out, below = -1.7, -2.4 - 0.65 * ("\n" in blocks[0][1])  # where what comes out is written, and the parameters
    step = 11 / (len(blocks) - 1)
    for i, (name, shape, parameters, colour, width, height) in enumerate(blocks):
        x = i * step
        ax.add_patch(Rectangle((x - width / 2, -height / 2), width, height, color=(colours or {}).get(colour, colour)))
        ax.text(x, 1.75, name, ha="center", va="bottom", fontsize=12)
        ax.text(x, out, shape, ha="center", va="top", fontsize=11)
        ax.text(x, below, parameters, ha="center", va="top", fontsize=12, weight="bold")
        if i + 1 < len(blocks):
            end = (i + 1) * step - blocks[i + 1][4] / 2
            ax.annotate("", (end, 0), (x + width / 2, 0), arrowprops={"arrowstyle": "->", "color": "#666666"})
        if name.startswith("stages"):  # three blocks, and each adds what comes in to what comes out
            arc = {
                "arrowstyle": "->",
                "color": "white",
                "lw": 1.6,
                "connectionstyle": "arc3,rad=-0.9",
                "shrinkA": 0,
                "shrinkB": 0,
            }
            edges = [x - width / 2 + part * width / 3 for part in range(4)]
            for left, right in zip(edges[:-1], edges[1:], strict=True):
                ax.annotate("", (right - 0.03, 0.05), (left + 0.03, 0.05), arrowprops=arc)
    ax.text(-0.9, out, "out", ha="right", va="top", fontsize=11)
    ax.text(-0.9, below, "parameters", ha="right", va="top", fontsize=11)
    ax.set(xlim=(-2.6, 11.7), ylim=(below - 0.7, 2.9))
    ax.set_title(title, loc="left", fontsize=14, weight="bold")
    ax.axis("off")


def save(fig, name, meaning):
    """With a legend of these colours below."""
    labels = [Patch(color=colour, label=text) for colour, text in meaning.items()]
    fig.legend(handles=labels, loc="outside lower center", ncols=4, frameon=False, fontsize=13)
    fig.savefig(output_dir("Course16-ModifyNN") / name, dpi=100)


fig, ax = plt.subplots(figsize=(9, 3.6), layout="constrained")
draw_row(ax, "VGG16, with its last layer replaced", VGG)
save(fig, "vgg16.png", {FROZEN: "as it was", NEW: "new"})

fig, axes = plt.subplots(3, 1, figsize=(9, 8.0), layout="constrained")
draw_row(axes[0], "Frozen, with a new head (section 7)", RESNET)
draw_row(axes[1], "Fine-tuned: trained weights learn on (section 8)", RESNET, {FROZEN: LEARNS, NEW: LEARNS})
draw_row(axes[2], "From scratch: random weights learn (section 8)", RESNET, {FROZEN: NEW})
save(fig, "ways.png", {FROZEN: "trained, frozen", LEARNS: "trained, learns", NEW: "random, learns"})
