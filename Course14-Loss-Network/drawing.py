"""Draws the graph of section 2 for the notes of Course 14: outputs/Course14-Loss-Network/graph.png"""

import matplotlib.pyplot as plt

from common.paths import output_dir

blue, orange, grey = "#0072B2", "#D55E00", "#999999"
nodes = {  # where it stands, what is written there, its value, its gradient, where that is written
    "w": ((0, 1.2), "w", 3, 8, (0, 0.62)),
    "x": ((0, -1.2), "x", 2, None, (0, -0.62)),
    "mul": ((2.5, 0), "w · x", 6, 4, (0, 0.66)),
    "b": ((3.3, 1.9), "b", 1, 4, (0, 0.62)),
    "add": ((5.0, 0), "+ b", 7, 4, (0.5, 0.66)),
    "target": ((5.8, -1.9), "target", 5, None, (0, -0.62)),
    "sub": ((7.5, 0), "− target", 2, 4, (0, 0.66)),
    "pow": ((10.0, 0), "square", 4, 1, (0, 0.66)),
}
edges = [  # from, to, by what backward multiplies, where that is written, seen from the middle
    ("w", "mul", "· x", (-0.12, -0.55)),
    ("x", "mul", None, None),
    ("mul", "add", "· 1", (0, -0.46)),
    ("b", "add", "· 1", (-0.3, -0.42)),
    ("add", "sub", "· 1", (0, -0.46)),
    ("target", "sub", None, None),
    ("sub", "pow", "· 2 · error", (0, -0.46)),
]

fig, ax = plt.subplots(figsize=(9, 4.3), layout="constrained")
for start, end, factor, place in edges:
    (x0, y0), (x1, y1) = nodes[start][0], nodes[end][0]
    length = ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5
    dx, dy = (x1 - x0) / length, (y1 - y0) / length  # one step along the edge
    at_start, at_end = (0.82, 0.82) if y0 == y1 else (0.7, 0.85 if end == "mul" else 0.62)
    for side, colour, back in ((0.09, blue, False), (-0.09, orange, True)):
        if back and factor is None:
            continue
        near = (x0 + at_start * dx - side * dy, y0 + at_start * dy + side * dx)
        far = (x1 - at_end * dx - side * dy, y1 - at_end * dy + side * dx)
        tail, head = (far, near) if back else (near, far)
        arrow = {"arrowstyle": "-|>", "color": colour, "linewidth": 1.6, "shrinkA": 0, "shrinkB": 0}
        ax.annotate("", head, tail, arrowprops=arrow)
    if factor:
        ax.text((x0 + x1) / 2 + place[0], (y0 + y1) / 2 + place[1], factor, ha="center", color=orange, fontsize=12)
for name, ((x, y), text, value, gradient, place) in nodes.items():
    leaf = name in ("w", "x", "b", "target")
    edge = orange if leaf and gradient is not None else grey if leaf else "black"
    box = {"boxstyle": "round,pad=0.4" if leaf else "square,pad=0.4", "facecolor": "white", "edgecolor": edge}
    box["linewidth"] = 2 if leaf else 1.2
    ax.text(x, y, f"{text}\n{value}", ha="center", va="center", fontsize=13, color=blue, bbox=box, zorder=3)
    shown = "no gradient" if gradient is None else f"gradient {gradient}"
    colour = grey if gradient is None else orange
    ax.text(x + place[0], y + place[1], shown, ha="center", va="center", fontsize=12, color=colour)
ax.text(6.3, 2.3, "forward: values", color=blue, fontsize=13)
ax.text(6.3, 1.85, "backward: gradients", color=orange, fontsize=13)
ax.text(10.0, -0.8, "= loss", color=blue, fontsize=13, ha="center")
ax.text(7.5, -0.8, "= error", color=blue, fontsize=13, ha="center")
ax.set(xlim=(-0.9, 10.8), ylim=(-2.8, 2.8))
ax.axis("off")
fig.savefig(output_dir("Course14-Loss-Network") / "graph.png", dpi=110)
