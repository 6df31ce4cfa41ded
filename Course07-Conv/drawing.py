"""Draws the pictures of Course 07's notes that explain where a kernel stands. No part of the lesson.

Run   python Course07-Conv/drawing.py
See   outputs/Course07-Conv/   (sliding, valid_same_full, integral.png)
"""

import matplotlib.pyplot as plt
import numpy as np

from common.paths import output_dir

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#999999"
IMAGE = [[1, 2, 0, 3, 1], [0, 1, 2, 3, 1], [1, 2, 1, 0, 0], [5, 2, 3, 1, 1], [2, 1, 0, 1, 1]]
KERNEL = [[1, 2, 1], [0, 1, 0], [2, 1, 0]]


def cell(ax, row, column, text, fill="white", colour="black"):
    """One square of a grid, with a number in it."""
    ax.add_patch(plt.Rectangle((column, row), 1, 1, facecolor=fill, edgecolor=GREY, linewidth=0.8))
    ax.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=14, color=colour)


def frame(ax, row, column, size, colour, style="-"):
    """The edge of a kernel."""
    square = plt.Rectangle((column, row), size, size, fill=False, edgecolor=colour, linewidth=4, linestyle=style)
    ax.add_patch(square)


def grid(ax, numbers, row, column, fill):
    """All squares of a grid, its top left corner at (row, column)."""
    for i, line in enumerate(numbers):
        for j, number in enumerate(line):
            cell(ax, row + i, column + j, number, fill)


# ---- The kernel at two places, and the number that each place gives --------------------------------------------------
fig, ax = plt.subplots(figsize=(8.5, 4.1), layout="constrained")
grid(ax, IMAGE, 0, 0, "#DCEBF5")
grid(ax, KERNEL, 1, 6.5, "#FDF3D6")
grid(ax, [[""] * 3] * 3, 1, 11.5, "white")
for (row, column), number, colour, style, pale in (
    ((0, 0), 10, ORANGE, "-", "#F9D9C6"),
    ((2, 2), 3, BLUE, "--", "#BFDCEE"),
):
    frame(ax, row, column, 3, colour, style)
    cell(ax, 1 + row, 11.5 + column, number, pale)
    frame(ax, 1 + row, 11.5 + column, 1, colour, style)
ax.text(2.5, -0.45, "picture 5×5", ha="center", fontsize=14)
ax.text(8, 0.55, "kernel 3×3", ha="center", fontsize=14)
ax.text(13, 0.55, "output 3×3", ha="center", fontsize=14)
ax.text(5.75, 2.5, "⊙", ha="center", va="center", fontsize=22)
ax.text(10.5, 2.5, "→", ha="center", va="center", fontsize=22)
ax.text(10.5, 3.2, "add up", ha="center", va="center", fontsize=11)
ax.set(xlim=(-0.2, 14.7), ylim=(5.4, -1), aspect="equal")
ax.axis("off")
fig.savefig(output_dir("Course07-Conv") / "sliding.png", dpi=110)

# ---- The first and the last place of the kernel in the three modes ---------------------------------------------------
fig, axes = plt.subplots(1, 3, figsize=(9, 3.6), layout="constrained")
for ax, (mode, rim) in zip(axes, {"VALID": 0, "SAME": 1, "FULL": 2}.items(), strict=True):
    for i in range(-rim, 5 + rim):
        for j in range(-rim, 5 + rim):
            inside = 0 <= i < 5 and 0 <= j < 5
            number = IMAGE[i][j] if inside else 0
            cell(ax, i, j, number, "#DCEBF5" if inside else "white", "black" if inside else GREY)
    frame(ax, -rim, -rim, 3, ORANGE)
    frame(ax, 2 + rim, 2 + rim, 3, BLUE, "--")
    ax.set(xlim=(-2.1, 7.1), ylim=(7.1, -2.1), aspect="equal")
    ax.set_title(f"{mode}: 5×5 becomes {3 + 2 * rim}×{3 + 2 * rim}", fontsize=14)
    ax.axis("off")
fig.savefig(output_dir("Course07-Conv") / "valid_same_full.png", dpi=110)

# ---- The integral: a box of one second meets a decay -----------------------------------------------------------------
fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
tau, t = np.linspace(-1, 3, 801), np.linspace(0, 3, 301)
left.plot([-1, 0, 0, 1, 1, 3], [0, 0, 1, 1, 0, 0], color="black", linewidth=2, label="box(τ)")
right.plot(t, np.where(t < 1, 1 - np.exp(-t), np.exp(1 - t) - np.exp(-t)), color="black", linewidth=2)
for at, colour, style in ((0.6, ORANGE, "-"), (1.8, BLUE, "--")):
    turned = np.where(tau <= at, np.exp(np.minimum(tau - at, 0)), 0)
    left.plot(tau, turned, color=colour, linestyle=style, linewidth=2, label=f"decay({at} − τ)")
    under = (tau >= 0) & (tau <= 1)
    left.fill_between(tau[under], turned[under], color=colour, alpha=0.25)
    right.plot(at, 1 - np.exp(-at) if at < 1 else np.exp(1 - at) - np.exp(-at), "o", color=colour, markersize=11)
left.set_title("what lies under both, at two times t", fontsize=13)
right.set_title("its area at each time t", fontsize=13)
left.set_xlabel("τ", fontsize=12)
right.set_xlabel("t", fontsize=12)
left.legend(frameon=False, fontsize=11, loc="upper right")
for ax in (left, right):
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_ylim(0, 1.6 if ax is left else 1)
fig.savefig(output_dir("Course07-Conv") / "integral.png", dpi=110)
