"""Draws the picture of Course 08's notes: one 3x3x3 kernel makes one map, six times. No part of the lesson.

Run   python Course08-Conv2d/drawing.py
See   outputs/Course08-Conv2d/kernel_to_map.png
"""

import matplotlib.pyplot as plt

from common.paths import output_dir

COLOURS = ["#D55E00", "#0072B2", "#009E73", "#56B4E9", "#E69F00", "#CC79A7"]  # one for each kernel and its map
CHANNELS = {"red": "#F6C9C2", "green": "#CDE8CF", "blue": "#C7D9F2"}


def square(ax, x, y, size, fill, edge, width, layer):
    """A grid of size x size cells, its top left corner at (x, y); a higher layer covers the lower ones."""
    ax.add_patch(plt.Rectangle((x, y), size, size, facecolor=fill, edgecolor=edge, linewidth=width, zorder=layer))
    for i in range(1, size):
        ax.plot([x + i, x + i], [y, y + size], color=edge, linewidth=0.6, zorder=layer)
        ax.plot([x, x + size], [y + i, y + i], color=edge, linewidth=0.6, zorder=layer)


fig, ax = plt.subplots(figsize=(9, 6.7), layout="constrained")
for i, (name, fill) in enumerate(CHANNELS.items()):
    top = 7.5 * i
    square(ax, 0, top, 6, fill, "#999999", width=1, layer=1)
    ax.add_patch(plt.Rectangle((2, top + 1), 3, 3, fill=False, edgecolor="black", linewidth=3.5, zorder=3))
    ax.text(-0.5, top + 3, name, ha="right", va="center", fontsize=14)
    for k in reversed(range(6)):  # the last kernel lies at the back
        square(ax, 10 + 0.5 * k, top + 2 - 0.4 * k, 3, "white", COLOURS[k], width=2, layer=9 - k)
    ax.text(8, top + 2.6, "⊙", ha="center", va="center", fontsize=22)
    ax.annotate(
        "", (19.3, 10.4), (16.0, top + 3.2), arrowprops={"arrowstyle": "-|>", "color": COLOURS[0], "linewidth": 2.5}
    )
for k in reversed(range(6)):
    square(ax, 25.8 + 0.9 * k, 8.6 - 0.9 * k, 4, "white", COLOURS[k], width=2, layer=9 - k)
ax.add_patch(plt.Rectangle((27.8, 9.6), 1, 1, facecolor=COLOURS[0], edgecolor=COLOURS[0], zorder=10))
ax.text(21.7, 10.4, "add up all\nproducts,\n+ bias", ha="center", va="center", fontsize=12)
ax.annotate("", (25.8, 10.4), (24.0, 10.4), arrowprops={"arrowstyle": "-|>", "color": COLOURS[0], "linewidth": 2.5})
ax.text(3, -1.0, "an image:\n3 channels", ha="center", va="bottom", fontsize=14)
ax.text(12.8, -1.0, "6 kernels,\neach 3×3×3", ha="center", va="bottom", fontsize=14)
ax.text(30, 2.6, "6 feature maps", ha="center", va="bottom", fontsize=14)
ax.text(30, 14.2, "its map", ha="center", va="center", fontsize=13, color=COLOURS[0])
ax.text(13, 20.9, "one kernel: the\nthree orange tables", ha="center", va="top", fontsize=13, color=COLOURS[0])
ax.set(xlim=(-3.2, 35), ylim=(24, -4.2), aspect="equal")
ax.axis("off")
fig.savefig(output_dir("Course08-Conv2d") / "kernel_to_map.png", dpi=110)
