"""Draws the explanatory pictures of Course 00: boxes of numbers, broadcasting, and one line in memory.

Run   python Course00-Tensors/drawing.py
See   outputs/Course00-Tensors
"""

import matplotlib.pyplot as plt
from matplotlib.patches import FancyArrowPatch, Rectangle

from common.paths import output_dir

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#999999"
OUTPUT = output_dir("Course00-Tensors")


def cell(ax, x, y, text="", colour="white", ink="black", edge="black", style="-"):
    """One number: a square of side 1 whose upper left corner is at (x, y), y growing downwards."""
    ax.add_patch(Rectangle((x, y), 1, 1, facecolor=colour, edgecolor=edge, linestyle=style, linewidth=1.2))
    ax.text(x + 0.5, y + 0.5, text, ha="center", va="center", color=ink, fontsize=13)


def sheet(ax, x, y, height, width, colour, size=0.5):
    """A table seen from the front, without numbers."""
    for i in range(height):
        for j in range(width):
            square = (x + j * size, y + i * size)
            ax.add_patch(Rectangle(square, size, size, facecolor=colour, edgecolor="white", linewidth=0.8))


def empty(ax, width, height):
    """A drawing area of that many squares, counted from the upper left corner."""
    ax.set(xlim=(0, width), ylim=(height, 0), aspect="equal")
    ax.axis("off")


def draw_ranks():
    fig, ax = plt.subplots(figsize=(8.6, 2.7), layout="constrained")
    empty(ax, 17.4, 5.2)
    sheet(ax, 0.7, 2, 1, 1, BLUE)
    sheet(ax, 2.6, 2, 1, 3, BLUE)
    sheet(ax, 5.3, 1.75, 2, 3, BLUE)
    look = {"ha": "center", "va": "center", "fontsize": 10}
    for x, y in ((5.3, 1.75), (7.9, 1.8)):  # the sides of the table and of the picture
        ax.text(x - 0.3, y + 0.5, "H", **look)
        ax.text(x + 0.75, y + 1.3, "W", **look)
    colours = (BLUE, GREEN, ORANGE)  # the last is in front: red, green, blue from the front
    for depth, colour in enumerate(colours):
        sheet(ax, 8.8 - 0.45 * depth, 0.9 + 0.45 * depth, 2, 3, colour)
        ax.text(10.05 - 0.45 * depth, 1.15 + 0.45 * depth, "BGR"[depth], **look, color="white", weight="bold")
    for which in range(4):
        for depth, colour in enumerate(colours):
            x, y = 12.4 + 2.5 * (which % 2), 0.15 + 1.75 * (which // 2)
            sheet(ax, x - 0.2 * depth, y + 0.2 * depth, 2, 3, colour)
    for x, rank, shape, name in (
        (0.95, 0, "()", "a number"),
        (3.35, 1, "(3,)", "a row"),
        (6.05, 2, "(2, 3)", "a table"),
        (9.25, 3, "(3, 2, 3)", "a picture"),
        (14.2, 4, "(4, 3, 2, 3)", "a batch of pictures"),
    ):
        ax.text(x, 4.05, f"rank {rank}", ha="center", fontsize=11, weight="bold")
        ax.text(x, 4.6, shape, ha="center", fontsize=11, family="monospace")
        ax.text(x, 5.15, name, ha="center", fontsize=11)
    fig.savefig(OUTPUT / "ranks.png", dpi=110)


def draw_broadcasting():
    fig, ax = plt.subplots(figsize=(8.6, 2.6), layout="constrained")
    empty(ax, 15.6, 4.7)
    column, row = [0, 10, 20], [0, 1, 2, 3]
    for i in range(3):
        for j in range(4):
            own = j == 0
            look = {"colour": "#9ecae8", "edge": BLUE} if own else {"ink": GREY, "edge": GREY, "style": ":"}
            cell(ax, 0.3 + j, 1 + i, column[i], **look)
    for i in range(3):
        for j in range(4):
            own = i == 0
            look = {"colour": "#f5bd94", "edge": ORANGE} if own else {"ink": GREY, "edge": GREY, "style": ":"}
            cell(ax, 5.8 + j, 1 + i, row[j], **look)
    for i in range(3):
        for j in range(4):
            cell(ax, 11.3 + j, 1 + i, column[i] + row[j])
    for x, sign in ((5.05, "+"), (10.55, "=")):
        ax.text(x, 2.5, sign, ha="center", va="center", fontsize=20)
    arrow = {"arrowstyle": "-|>", "mutation_scale": 14, "linewidth": 1.6}
    ax.add_patch(FancyArrowPatch((1.4, 4.35), (4.2, 4.35), color=BLUE, **arrow))
    ax.add_patch(FancyArrowPatch((10.05, 2.1), (10.05, 3.95), color=ORANGE, **arrow))
    for x, text, colour in (
        (2.3, "column (3, 1)", BLUE),
        (7.8, "row (4,)", ORANGE),
        (13.3, "sum (3, 4)", "black"),
    ):
        ax.text(x, 0.6, text, ha="center", fontsize=13, color=colour)
    fig.savefig(OUTPUT / "broadcasting.png", dpi=110)


def draw_memory():
    fig, axes = plt.subplots(1, 2, figsize=(8.6, 4), layout="constrained")
    for ax, title, lengths, strides in (
        (axes[0], "view: shape (2, 3), stride (3, 1)", (2, 3), (3, 1)),
        (axes[1], "turned: shape (3, 2), stride (1, 3)", (3, 2), (1, 3)),
    ):
        empty(ax, 7, 7.4)
        ax.set_title(title, fontsize=12)
        left, top = 2.2, 0.3
        for i in range(lengths[0]):
            for j in range(lengths[1]):
                cell(ax, left + j, top + i, i * strides[0] + j * strides[1])
        for k in range(6):
            cell(ax, 0.5 + k, 5.6, k, colour="#eeeeee")
        ax.text(3.5, 7.1, "the line in memory", ha="center", fontsize=11, color="#555555")
        arrow = {"arrowstyle": "-|>", "mutation_scale": 15, "linewidth": 2}
        for colour, name, step, grid in (
            (ORANGE, "next row", strides[0], (0, 1)),
            (BLUE, "next column", strides[1], (1, 0)),
        ):
            start = (left + 0.5 + 0.25 * grid[0], top + 0.5 + 0.25 * grid[1])
            end = (left + 0.5 + 0.75 * grid[0], top + 0.5 + 0.75 * grid[1])
            ax.add_patch(FancyArrowPatch(start, end, color=colour, shrinkA=0, shrinkB=0, **arrow))
            bend = -0.55 if step == 3 else -0.9
            jump = FancyArrowPatch(
                (1, 5.55), (1 + step, 5.55), color=colour, connectionstyle=f"arc3,rad={bend}", **arrow
            )
            ax.add_patch(jump)
            text = f"{name}: {step} step{'s' if step > 1 else ''}"
            if step == 3:
                ax.text(2.9, 4.35, text, color=colour, fontsize=11)
            else:
                ax.text(0.3, 3.75, text, color=colour, fontsize=11)
                ax.plot([1.3, 1.5], [3.9, 5.0], color=colour, linewidth=0.8)
    fig.savefig(OUTPUT / "memory.png", dpi=110)


draw_ranks()
draw_broadcasting()
draw_memory()
