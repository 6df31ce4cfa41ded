"""Draws the explanatory picture of Course 02: from the program to the page.

Run   python Course02-TensorBoard/drawing.py
See   outputs/Course02-TensorBoard
"""

import matplotlib.pyplot as plt
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from common.paths import output_dir

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#999999"

fig, ax = plt.subplots(figsize=(8.8, 2.5), layout="constrained")
ax.set(xlim=(0, 17.6), ylim=(5, 0), aspect="equal")
ax.axis("off")
for left, width, colour, name, inside, below in (
    (0.2, 3.2, BLUE, "your program", "add_scalar(\n  tag,\n  value,\n  step)", "writes, and runs on"),
    (5.2, 3.0, GREY, "log folder", "squares/\n  events…\nrate=0.3/\n  events…", "one folder: one run"),
    (10.0, 3.0, ORANGE, "tensorboard", "--logdir\n  logs/…\n--port 6006", "reads every 5 seconds"),
    (14.4, 3.0, GREEN, "browser", "", "http://localhost:6006"),
):
    look = {"boxstyle": "round,pad=0,rounding_size=0.15", "facecolor": "none", "edgecolor": colour, "linewidth": 1.8}
    ax.add_patch(FancyBboxPatch((left, 1.1), width, 2.5, **look))
    centre = left + width / 2
    ax.text(centre, 0.65, name, ha="center", va="center", fontsize=12, weight="bold", color=colour)
    ax.text(left + 0.18, 2.35, inside, va="center", fontsize=10.5, family="monospace", linespacing=1.5)
    ax.text(centre, 4.2, below, ha="center", va="center", fontsize=10.5)
ax.plot([14.8, 14.8, 17.0], [1.5, 3.2, 3.2], color="black", linewidth=1)  # a curve in the browser
ax.plot([14.9, 15.2, 15.6, 16.1, 16.9], [1.6, 2.3, 2.7, 2.95, 3.05], color=BLUE, linewidth=2)
for start, end in ((3.55, 5.05), (8.35, 9.85), (13.15, 14.25)):
    ax.add_patch(
        FancyArrowPatch((start, 2.35), (end, 2.35), arrowstyle="-|>", mutation_scale=16, linewidth=2, color="black")
    )
fig.savefig(output_dir("Course02-TensorBoard") / "way.png", dpi=110)
