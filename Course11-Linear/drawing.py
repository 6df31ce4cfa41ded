"""Draws kernels of three sizes on one picture for the notes of Course 11: the largest one is a linear layer."""

import matplotlib.pyplot as plt
from matplotlib.patches import Rectangle

from common.paths import output_dir

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#999999"
size = 7
fig, axes = plt.subplots(1, 3, figsize=(8.6, 4), layout="constrained")
for ax, kernel in zip(axes, (3, 5, 7), strict=True):
    places = size - kernel + 1
    for i in range(size):
        for j in range(size):
            ax.add_patch(Rectangle((j, i), 1, 1, facecolor="white", edgecolor="#CCCCCC"))
    for i in range(places):
        for j in range(places):
            x, y = j + (kernel - 1) / 2, i + (kernel - 1) / 2
            ax.add_patch(Rectangle((x + 0.3, y + 0.3), 0.4, 0.4, facecolor=ORANGE, edgecolor="none", zorder=3))
    ax.add_patch(Rectangle((0, 0), kernel, kernel, facecolor=BLUE, alpha=0.18, edgecolor="none"))
    ax.add_patch(Rectangle((0.05, 0.05), kernel - 0.1, kernel - 0.1, facecolor="none", edgecolor=BLUE, linewidth=3.5))
    ax.set_title(f"kernel {kernel}×{kernel}", fontsize=16)
    ax.text(
        size / 2, size + 0.9, f"{places}×{places} = {places**2} places" if places > 1 else "1 place", fontsize=15,
        ha="center", va="center", color=ORANGE, weight="bold",
    )  # fmt: skip
    ax.set(xlim=(-0.2, size + 0.2), ylim=(size + 1.5, -0.2), aspect="equal")
    ax.axis("off")
fig.savefig(output_dir("Course11-Linear") / "kernels.png", dpi=110)
plt.close(fig)
