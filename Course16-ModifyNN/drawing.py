"""Draws frozen.png for the notes of Course 16: which parts of VGG16 and ResNet-18 learn. No part of the lesson."""

import matplotlib.pyplot as plt
from matplotlib.patches import Patch, Rectangle

from common.paths import output_dir

FROZEN, LEARNS, HEAD, NOTHING = "#56B4E9", "#E69F00", "#009E73", "#999999"
# name, what comes out, parameters, state, width and height of its box
VGG = [
    ("features\n2 conv", "64×112×112", "39 k", LEARNS, 0.5, 3.0),
    ("2 conv", "128×56×56", "0.2 M", LEARNS, 0.6, 2.5),
    ("3 conv", "256×28×28", "1.5 M", LEARNS, 0.8, 2.0),
    ("3 conv", "512×14×14", "5.9 M", LEARNS, 1.0, 1.5),
    ("3 conv", "512×7×7", "7.1 M", LEARNS, 1.0, 1.1),
    ("classifier\n0", "4096", "102.8 M", LEARNS, 0.45, 2.6),
    ("3", "4096", "16.8 M", LEARNS, 0.45, 2.6),
    ("6", "10", "41 k", HEAD, 0.45, 0.6),
]
RESNET = [
    ("conv1, pool", "64×56×56", "10 k", FROZEN, 0.5, 3.0),
    ("layer1", "64×56×56", "0.1 M", FROZEN, 0.6, 3.0),
    ("layer2", "128×28×28", "0.5 M", FROZEN, 0.8, 2.4),
    ("layer3", "256×14×14", "2.1 M", FROZEN, 1.0, 1.8),
    ("layer4", "512×7×7", "8.4 M", LEARNS, 1.2, 1.2),
    ("avgpool", "512", "0", NOTHING, 0.45, 2.6),
    ("fc", "2", "1 k", HEAD, 0.45, 0.6),
]

fig, axes = plt.subplots(2, 1, figsize=(9, 6.2), layout="constrained")
for ax, title, blocks in ((axes[0], "VGG16 of section 4", VGG), (axes[1], "ResNet-18 of section 8", RESNET)):
    step, middle = 11 / len(blocks), 0
    for i, (name, shape, parameters, colour, width, height) in enumerate(blocks):
        x = i * step
        ax.add_patch(Rectangle((x - width / 2, middle - height / 2), width, height, color=colour))
        ax.text(x, 1.75, name, ha="center", va="bottom", fontsize=10)
        ax.text(x, -1.7, shape, ha="center", va="top", fontsize=9)
        ax.text(x, -2.15, parameters, ha="center", va="top", fontsize=10, weight="bold")
        if i + 1 < len(blocks):
            end = (i + 1) * step - blocks[i + 1][4] / 2
            ax.annotate("", (end, middle), (x + width / 2, middle), arrowprops={"arrowstyle": "->", "color": "#666666"})
        if name.startswith("layer"):  # two blocks, and each adds what comes in to what comes out
            arc = {"arrowstyle": "->", "connectionstyle": "arc3,rad=-0.9", "shrinkA": 0, "shrinkB": 0}
            for left, right in ((x - width / 2, x), (x, x + width / 2)):
                ax.annotate("", (right - 0.03, 0.05), (left + 0.03, 0.05), arrowprops=arc)
    ax.text(-0.9, -1.7, "out", ha="right", va="top", fontsize=9)
    ax.text(-0.9, -2.15, "parameters", ha="right", va="top", fontsize=9)
    ax.set(xlim=(-2, 11), ylim=(-2.7, 2.6))
    ax.set_title(title, loc="left", weight="bold")
    ax.axis("off")
meaning = {FROZEN: "frozen", LEARNS: "learns", HEAD: "new head, learns", NOTHING: "no parameters"}
labels = [Patch(color=colour, label=text) for colour, text in meaning.items()]
fig.legend(handles=labels, loc="outside lower center", ncols=4, frameon=False, fontsize=11)
fig.savefig(output_dir("Course16-ModifyNN") / "frozen.png", dpi=110)
