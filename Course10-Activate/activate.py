"""Course 10 · Activate — why is a deep network without activations a shallow one?

Run   python Course10-Activate/activate.py
See   tensorboard --logdir logs        (runs under Course10-Activate)
Read  notes.md, whose sections carry the numbers of the cells below
"""

# %% 1. Setup
import warnings
from math import pi
from textwrap import fill

import matplotlib.pyplot as plt
import torch
from matplotlib.colors import LinearSegmentedColormap
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torch.utils.tensorboard import SummaryWriter
from torchvision.transforms import v2

from common.data import cifar10
from common.paths import fresh_log_dir, output_dir

torch.manual_seed(10)
blue, orange = "#0072B2", "#D55E00"

# %% 2. ReLU, by hand
numbers = torch.tensor([[1.0, -0.5], [-1.0, 3.0]])
by_hand = torch.where(numbers > 0, numbers, 0.0)  # what is above zero passes, the rest becomes zero
relu = nn.ReLU()
print(relu(numbers))
print("by hand:", torch.equal(by_hand, relu(numbers)), "weights to learn:", len(list(relu.parameters())))

# %% 3. Six activations: predict the values, then look
family = {
    "ReLU": (nn.ReLU(), lambda x: x.clamp(min=0)),
    "LeakyReLU": (nn.LeakyReLU(0.1), lambda x: torch.where(x > 0, x, 0.1 * x)),
    "GELU": (nn.GELU(), lambda x: x * (1 + torch.erf(x / 2**0.5)) / 2),
    "SiLU": (nn.SiLU(), lambda x: x / (1 + torch.exp(-x))),
    "Sigmoid": (nn.Sigmoid(), lambda x: 1 / (1 + torch.exp(-x))),
    "Tanh": (nn.Tanh(), lambda x: (torch.exp(x) - torch.exp(-x)) / (torch.exp(x) + torch.exp(-x))),
}
points = torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0])
print(f"{'x':10}", *(f"{x:6.0f}" for x in points))
for name, (activation, formula) in family.items():
    y = activation(points)
    print(f"{name:10}", *(f"{v + 0.0:6.2f}" for v in y), " by formula:", torch.allclose(y, formula(points), atol=1e-6))

# %% 4. Their gradients: predict, then look
gradients = {}
for name, (activation, _) in family.items():
    x = points.clone().requires_grad_()
    activation(x).sum().backward()  # each y depends on its own x only, so x.grad holds one slope for each point
    gradients[name] = x.grad
    print(f"{name:10}", *(f"{slope:6.2f}" for slope in x.grad))

# %% 5. Softmax: many numbers at once
logits = torch.tensor([1.0, 2.0, 3.0])
probabilities = nn.Softmax(dim=0)(logits)
print("probabilities", [round(p, 2) for p in probabilities.tolist()], "sum", round(probabilities.sum().item(), 6))
print("by formula:     ", torch.allclose(logits.exp() / logits.exp().sum(), probabilities))
print("all 100 larger: ", torch.allclose(F.softmax(logits + 100, dim=0), probabilities))
naive = (logits + 100).exp() / (logits + 100).exp().sum()
print("by hand:        ", naive.tolist())
slopes = torch.autograd.functional.jacobian(lambda z: F.softmax(z, dim=0), logits)  # (3, 3): output by input
for row in slopes.tolist():
    print(*(f"{slope:6.2f}" for slope in row))
print(
    "p_i (1 if i = j else 0) - p_i p_j:",
    torch.allclose(slopes, probabilities.diag() - probabilities.outer(probabilities)),
)

# %% 6. Look at the curves
fig, axes = plt.subplots(2, 4, figsize=(12, 5.6), layout="constrained")
for ax, (name, (activation, _)) in zip(axes.flat, family.items(), strict=False):
    x = torch.linspace(-4, 4, 401, requires_grad=True)
    y = activation(x)
    y.sum().backward()
    ax.plot(x.detach().numpy(), y.detach().numpy(), color=blue, linewidth=2.5, label="value")
    ax.plot(x.detach().numpy(), x.grad.numpy(), color=orange, linewidth=2, linestyle="--", label="gradient")
    ax.set(title=name, ylim=(-1.3, 2.3), xticks=range(-4, 5, 2))
    ax.grid(alpha=0.3)
axes[0, 0].legend(frameon=False, loc="upper left")
x = torch.linspace(-4, 4, 401, requires_grad=True)
first = F.softmax(torch.stack([x, torch.zeros_like(x), torch.zeros_like(x)]), dim=0)[0]  # (3, 401) -> (401,)
first.sum().backward()
axes[1, 2].plot(x.detach().numpy(), first.detach().numpy(), color=blue, linewidth=2.5)
axes[1, 2].plot(x.detach().numpy(), x.grad.numpy(), color=orange, linewidth=2, linestyle="--")
axes[1, 2].set(title="Softmax of (x, 0, 0): the first", ylim=(-1.3, 2.3), xticks=range(-4, 5, 2))
axes[1, 2].grid(alpha=0.3)
axes[1, 3].bar(range(3), probabilities.numpy(), color=["#56B4E9", "#009E73", "#E69F00"])
axes[1, 3].set(title="Softmax of (1, 2, 3)", xticks=range(3), xticklabels=["1", "2", "3"], ylim=(0, 1))
fig.savefig(output_dir("Course10-Activate") / "activations.png", dpi=80)

# %% 7. inplace: the same memory
x = torch.tensor([-1.0, 2.0])
y = nn.ReLU()(x)
print("a new tensor: ", x.tolist(), "->", y.tolist())
z = nn.ReLU(inplace=True)(x)
print("in place:     ", x.tolist(), "is", z.tolist(), "same memory:", x.data_ptr() == z.data_ptr())

# %% 8. Without activations: one matrix
layers = [nn.Linear(2, 50), nn.Linear(50, 50), nn.Linear(50, 1)]  # each is x @ W.T + b: Course 11
deep = nn.Sequential(*layers)  # one after the other: Course 12
W, b = torch.eye(2), torch.zeros(2)  # what leaves the network unchanged
for layer in layers:
    W, b = layer.weight @ W, layer.weight @ b + layer.bias  # (50, 2), (50, 2), (1, 2): all of it in one matrix
x = torch.randn(1000, 2)
print("W", tuple(W.shape), "b", tuple(b.shape))
print("three layers equal one:", torch.allclose(deep(x), x @ W.T + b, atol=1e-5))
print("parameters:", sum(p.numel() for p in deep.parameters()), "do the work of", W.numel() + b.numel())

bent = nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])  # the same weights
left, right = x[:500], x[500:]
for name, network in [("without ReLU", deep), ("with ReLU", bent)]:
    halfway, mean = network((left + right) / 2), (network(left) + network(right)) / 2
    print(f"{name}: halfway between two points is the mean of the two:", torch.allclose(halfway, mean, atol=1e-5))

# %% 9. Two classes that no line can part
angle = torch.linspace(0, pi, 200)
upper = torch.stack([angle.cos(), angle.sin()], dim=1)  # (200, 2): half a circle
lower = torch.stack([1 - angle.cos(), 0.5 - angle.sin()], dim=1)
circle = torch.stack([(2 * angle).cos(), (2 * angle).sin()], dim=1)
data_sets = {"moons": torch.cat([upper, lower]), "rings": torch.cat([0.4 * circle, circle])}  # each (400, 2)
data_sets = {name: xy + 0.1 * torch.randn_like(xy) for name, xy in data_sets.items()}
labels = torch.cat([torch.zeros(200), torch.ones(200)])  # (400,)


def train(network, inputs, steps=200):
    """Make the logit large for class 1 and small for class 0. How this works is the subject of Courses 13 to 15."""
    optimizer = torch.optim.Adam(network.parameters(), lr=0.05)
    for _ in range(steps):
        loss = F.binary_cross_entropy_with_logits(network(inputs)[:, 0], labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


trained = {}
for data, xy in data_sets.items():
    for name, activation in [("no activations", nn.Identity), ("ReLU", nn.ReLU)]:
        torch.manual_seed(10)
        network = nn.Sequential(
            nn.Linear(2, 16), activation(), nn.Linear(16, 16), activation(), nn.Linear(16, 1)
        )  # (N, 2) -> (N, 1)
        train(network, xy)
        right = ((network(xy)[:, 0] > 0) == (labels == 1)).double().mean().item()
        trained[data, name] = network, right
        print(f"{data}, {name}: {right:.0%} right")

# %% 10. Look at the boundaries
two_colours = LinearSegmentedColormap.from_list("blue to orange", ["#7FB8DA", "#FFFFFF", "#EAAE80"])
fig, axes = plt.subplots(2, 2, figsize=(8, 6.4), layout="constrained")
for ax, ((data, name), (network, right)) in zip(axes.flat, trained.items(), strict=True):
    xy = data_sets[data]
    (x_low, y_low), (x_high, y_high) = (xy.amin(dim=0) - 0.3).tolist(), (xy.amax(dim=0) + 0.3).tolist()
    grid = torch.cartesian_prod(torch.linspace(x_low, x_high, 150), torch.linspace(y_low, y_high, 150))  # (22500, 2)
    with torch.no_grad():
        share = network(grid).sigmoid().reshape(150, 150).T  # probability of class 1: rows are y, columns are x
    gx, gy = (axis.reshape(150, 150).T.numpy() for axis in grid.T)
    ax.contourf(gx, gy, share.numpy(), levels=20, cmap=two_colours, vmin=0, vmax=1)
    ax.contour(gx, gy, share.numpy(), levels=[0.5], colors="black", linewidths=2)
    for label, colour, marker in [(0, blue, "o"), (1, orange, "^")]:
        ax.scatter(*xy[labels == label].T.numpy(), s=10, color=colour, marker=marker)
    ax.set_title(f"{name}: {right:.0%} right")
    ax.set(xticks=[], yticks=[])
fig.savefig(output_dir("Course10-Activate") / "boundaries.png", dpi=80)

# %% 11. Through depth: how much gradient arrives?
depth, width = 20, 64
activations = {"Sigmoid": (torch.sigmoid, 1), "Tanh": (torch.tanh, 1), "ReLU": (torch.relu, 2**0.5)}
start = torch.randn(32, width)
arrives = {}
for name, (activation, gain) in activations.items():
    weights = [(gain * torch.randn(width, width) / width**0.5).requires_grad_() for _ in range(depth)]
    hidden = start
    for weight in weights:
        hidden = activation(hidden @ weight)  # (32, 64) -> (32, 64), twenty times
    hidden.sum().backward()
    arrives[name] = [weight.grad.norm().item() for weight in weights]
    print(f"{name:7} the first layer gets {arrives[name][0] / arrives[name][-1]:.1g} of what the last one gets")
print(f"a quarter of a quarter of ..., {depth - 1} times: {0.25 ** (depth - 1):.1g}")

fig, ax = plt.subplots(figsize=(7.5, 3.6), layout="constrained")
for (name, sizes), colour, marker in zip(arrives.items(), [blue, orange, "#009E73"], "^so", strict=True):
    ax.plot(range(1, depth + 1), sizes, color=colour, marker=marker, label=name)
ax.set(yscale="log", xlabel="layer (1 is next to the input)", ylabel="size of the gradient", xticks=range(1, depth + 1))
ax.grid(alpha=0.3)
ax.legend(frameon=False)
fig.savefig(output_dir("Course10-Activate") / "depth.png", dpi=80)

# %% 12. A unit that died
inputs = data_sets["moons"]
learned = {}
for name, activation in [("ReLU", nn.ReLU()), ("LeakyReLU", nn.LeakyReLU())]:
    torch.manual_seed(22)
    network = nn.Sequential(nn.Linear(2, 8), activation, nn.Linear(8, 1))
    with torch.no_grad():
        network[0].bias[0] = -10  # one step that was too large can do that
        silent = (network[0](inputs) < 0).all(dim=0)  # (400, 8) -> (8,): below zero for every point?
    before = network[0].weight.detach().clone()  # (8, 2): one row for each unit
    train(network, inputs)
    learned[name] = (network[0].weight != before).any(dim=1)  # (8, 2) -> (8,)
print("below zero for every point:   ", silent.int().tolist())
print("learned something, ReLU:      ", learned["ReLU"].int().tolist())
print("learned something, LeakyReLU: ", learned["LeakyReLU"].int().tolist())

# %% 13. A real batch
to_float = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
test_loader = DataLoader(cifar10(train=False, transform=to_float), batch_size=64)
images, _ = next(iter(test_loader))  # (64, 3, 32, 32), 0...1
squashed = torch.sigmoid(images)
print("ReLU changes something:", not torch.equal(torch.relu(images), images))
print(f"sigmoid: all between {squashed.min():.2f} and {squashed.max():.2f}")
edges = F.conv2d(images.mean(dim=1, keepdim=True), torch.tensor([[[[-1.0], [0.0], [1.0]]]]))  # (64, 1, 30, 32)
kept = torch.relu(edges)
print(f"edges: {(edges < 0).double().mean():.0%} below zero, and after ReLU {(kept < 0).double().mean():.0%}")
with SummaryWriter(fresh_log_dir("Course10-Activate")) as writer:
    writer.add_images("input", images, 0)
    writer.add_images("sigmoid", squashed, 0)
    writer.add_histogram("edges/before ReLU", edges, 0)
    writer.add_histogram("edges/after ReLU", kept, 0)

# %% 14. Break it: inplace, and the gradient is gone
for name, before in [("times 3", lambda w: 3 * w), ("sigmoid", torch.sigmoid)]:
    w = torch.tensor([-1.0, 2.0], requires_grad=True)
    try:
        nn.ReLU(inplace=True)(before(w)).sum().backward()
        print(f"{name}, then ReLU in place: gradient", w.grad.tolist())
    except RuntimeError as error:
        print(f"{name}, then ReLU in place:")
        print(fill(f"RuntimeError: {str(error).split(' Hint')[0]}", 110))
try:
    nn.ReLU(inplace=True)(w)
except RuntimeError as error:
    print("RuntimeError:", error)

# %% 15. Break it: a layer is made first, then called
try:
    print(nn.ReLU(numbers))
except RuntimeError as error:
    print("RuntimeError:", error)
for wrong in (lambda: nn.Sigmoid(numbers), lambda: nn.Sequential(nn.Linear(2, 2), nn.ReLU)):
    try:
        wrong()
    except TypeError as error:
        print("TypeError:", error)

# %% 16. Break it: softmax along the wrong axis
scores = torch.tensor([[1.0, 2.0, 3.0], [3.0, 3.0, 3.0]])  # two pictures, three classes
for dim in (0, 1):
    sums = F.softmax(scores, dim=dim).sum(dim=1).tolist()
    print(f"dim={dim}: the two pictures add up to", [round(total, 2) for total in sums])
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    implicit = nn.Softmax()(scores)
print(fill(f"{caught[0].category.__name__}: {caught[0].message}", 110))
