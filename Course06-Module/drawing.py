"""Draws the picture of Course 06's notes: what TwoLayers owns, and what its forward does. No part of the lesson.

Run   python Course06-Module/drawing.py
See   outputs/Course06-Module/module_tree.png
"""

import matplotlib.pyplot as plt
from matplotlib.patches import FancyBboxPatch

from common.paths import output_dir

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#999999"
LAYERS = [  # x, name, kind, parameters, shape behind it
    (1.35, "flatten", "Flatten", [], "(N, 3072)"),
    (3.85, "first", "Linear", ["weight (64, 3072)", "bias (64,)"], "(N, 64)"),
    (6.35, "dropout", "Dropout", [], "(N, 64)"),
    (8.85, "second", "Linear", ["weight (10, 64)", "bias (10,)"], "(N, 10)"),
]


def box(ax, x, y, width, height, text, colour, filled):
    """A rounded box around (x, y) with a text in its middle."""
    ax.add_patch(
        FancyBboxPatch(
            (x - width / 2, y - height / 2), width, height, boxstyle="round,pad=0.02,rounding_size=0.1",
            facecolor=colour if filled else "white", edgecolor=colour, linewidth=2, zorder=2,
        )
    )  # fmt: skip
    ax.text(x, y, text, ha="center", va="center", fontsize=13, color="white" if filled else "black", zorder=3)


fig, ax = plt.subplots(figsize=(9, 3.7), layout="constrained")
box(ax, 5.1, 4.6, 2.4, 0.6, "TwoLayers", BLUE, filled=True)
arrow = {"arrowstyle": "-|>", "color": GREEN, "linewidth": 2.5, "mutation_scale": 18}
edges = [-0.15, *[x + 0.6 for x, *_ in LAYERS]]  # where the arrow to each layer begins
for start, (x, name, kind, parameters, shape) in zip(edges, LAYERS, strict=False):
    ax.plot([5.1, x], [4.3, 3.35], color=BLUE, linewidth=1.5, zorder=1)
    box(ax, x, 3.0, 1.2, 0.75, f"{name}\n{kind}", BLUE, filled=False)
    ax.annotate("", (x - 0.6, 3.0), (start, 3.0), arrowprops=arrow)
    for shift, width, parameter in zip([-1.0, 1.1], [2.3, 1.6], parameters, strict=False):
        ax.plot([x, x + shift], [2.62, 1.75], color=BLUE, linewidth=1.5, zorder=1)
        box(ax, x + shift, 1.5, width, 0.5, parameter, ORANGE, filled=True)
    ax.text(x + 0.66, 2.42, shape, ha="left", va="center", fontsize=12, color=GREEN)
ax.annotate("", (10.75, 3.0), (9.45, 3.0), arrowprops=arrow)
ax.text(-0.35, 2.42, "(N, 3, 32, 32)", ha="left", va="center", fontsize=12, color=GREEN)
ax.text(5.1, 3.25, "relu", ha="center", fontsize=12, color=GREEN)
ax.text(-0.3, 4.75, "blue: the tree of modules", fontsize=12, color=BLUE)
ax.text(-0.3, 4.4, "orange: parameter tensors", fontsize=12, color=ORANGE)
ax.text(-0.3, 4.05, "green: what forward does", fontsize=12, color=GREEN)
ax.text(7.55, 4.75, "N: pictures in the batch", fontsize=12, color=GREEN)
ax.set(xlim=(-0.4, 10.9), ylim=(1.15, 5.05))
ax.axis("off")
fig.savefig(output_dir("Course06-Module") / "module_tree.png", dpi=110)
