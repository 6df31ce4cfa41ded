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
blue, orange, green = "#0072B2", "#D55E00", "#009E73"
numbers = torch.tensor([[1.0, -0.5], [-1.0, 3.0]])
print("numbers", tuple(numbers.shape))

# %% 2. ReLU, by hand
by_hand = torch.where(numbers > 0, numbers, 0.0)  # what is above zero passes, the rest becomes zero
relu = nn.ReLU()
print(relu(numbers))
print("by hand:", torch.equal(by_hand, relu(numbers)), "weights to learn:", len(list(relu.parameters())))

# %% 3. Two classes of points
angle = torch.linspace(0, pi, 200)
upper = torch.stack([angle.cos(), angle.sin()], dim=1)  # (200, 2): half a circle
lower = torch.stack([1 - angle.cos(), 0.5 - angle.sin()], dim=1)
circle = torch.stack([(2 * angle).cos(), (2 * angle).sin()], dim=1)
moons = torch.cat([upper, lower]) + 0.1 * torch.randn(400, 2)  # (400, 2): 400 points, x and y
rings = torch.cat([0.4 * circle, circle]) + 0.1 * torch.randn(400, 2)
labels = torch.cat([torch.zeros(200), torch.ones(200)])  # (400,): the first half is class 0


def build(activation):
    """Three linear layers, with an activation after the first and the second: (N, 2) -> (N, 1)."""
    torch.manual_seed(10)  # the same first weights for each network
    return nn.Sequential(nn.Linear(2, 16), activation, nn.Linear(16, 16), activation, nn.Linear(16, 1))


def train(network, points, steps=200):
    """Make the output large for class 1 and small for class 0. Courses 13 to 15 explain each line."""
    optimizer = torch.optim.Adam(network.parameters(), lr=0.05)
    for _ in range(steps):
        loss = F.binary_cross_entropy_with_logits(network(points)[:, 0], labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


trained, right = {}, {}
for data, points in [("moons", moons), ("rings", rings)]:
    for name, activation in [("no activations", nn.Identity()), ("ReLU", nn.ReLU())]:
        network = build(activation)
        train(network, points)
        answers = (network(points)[:, 0] > 0).float()  # above zero: class 1
        right[data, name] = (answers == labels).double().mean().item()
        trained[data, name] = network
        print(f"{data}, {name}: {right[data, name]:.0%} right")

# %% 4. Look at the boundaries
two_colours = LinearSegmentedColormap.from_list("blue to orange", ["#7FB8DA", "#FFFFFF", "#EAAE80"])
line = torch.linspace(-2, 3, 200)
grid = torch.cartesian_prod(line, line)  # (40000, 2): a point everywhere
fig, axes = plt.subplots(2, 2, figsize=(7.6, 6), layout="constrained")
for ax, ((data, name), network) in zip(axes.flat, trained.items(), strict=True):
    points = moons if data == "moons" else rings
    with torch.no_grad():
        share = network(grid).sigmoid().reshape(200, 200).T  # probability of class 1: rows are y, columns are x
    ax.contourf(line.numpy(), line.numpy(), share.numpy(), levels=8, cmap=two_colours, vmin=0, vmax=1)
    ax.contour(line.numpy(), line.numpy(), share.numpy(), levels=[0.5], colors="black", linewidths=2.5)
    ax.scatter(*points[labels == 0].T.numpy(), s=12, color=blue, marker="o")
    ax.scatter(*points[labels == 1].T.numpy(), s=12, color=orange, marker="^")
    (x_low, y_low), (x_high, y_high) = (points.amin(dim=0) - 0.3).tolist(), (points.amax(dim=0) + 0.3).tolist()
    ax.set(xlim=(x_low, x_high), ylim=(y_low, y_high), xticks=[], yticks=[])
    ax.set_title(f"{data}, {name}: {right[data, name]:.0%} right", fontsize=12)
fig.savefig(output_dir("Course10-Activate") / "boundaries.png", dpi=80)

# %% 5. Why the boundary is straight
deep = trained["moons", "no activations"]
layers = [deep[0], deep[2], deep[4]]  # each is x @ weight.T + bias: Course 11
W, b = torch.eye(2), torch.zeros(2)  # the identity: what leaves x unchanged
for layer in layers:
    W, b = layer.weight @ W, layer.weight @ b + layer.bias  # (16, 2), (16, 2), (1, 2): all of it in one matrix
print("W", tuple(W.shape), "b", tuple(b.shape))
print("three layers equal one:", torch.allclose(deep(moons), moons @ W.T + b, atol=1e-4))
print("parameters:", sum(p.numel() for p in deep.parameters()), "do the work of", W.numel() + b.numel())

# %% 6. Six activations
family = {
    "ReLU": (nn.ReLU(), lambda x: x.clamp(min=0)),
    "LeakyReLU": (nn.LeakyReLU(0.1), lambda x: torch.where(x > 0, x, 0.1 * x)),
    "GELU": (nn.GELU(), lambda x: x * (1 + torch.erf(x / 2**0.5)) / 2),
    "SiLU": (nn.SiLU(), lambda x: x / (1 + torch.exp(-x))),
    "Sigmoid": (nn.Sigmoid(), lambda x: 1 / (1 + torch.exp(-x))),
    "Tanh": (nn.Tanh(), lambda x: (torch.exp(x) - torch.exp(-x)) / (torch.exp(x) + torch.exp(-x))),
}
samples = torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0])
print(f"{'x':10}", *(f"{x:6.0f}" for x in samples))
for name, (activation, formula) in family.items():
    y = activation(samples)
    same = torch.allclose(y, formula(samples), atol=1e-6)
    print(f"{name:10}", *(f"{v + 0.0:6.2f}" for v in y), " by formula:", same)

# %% 7. Their gradients
gradients = {}
print(f"{'x':10}", *(f"{x:6.0f}" for x in samples))
for name, (activation, _) in family.items():
    x = samples.clone().requires_grad_()
    activation(x).sum().backward()  # each y depends on its own x only, so x.grad holds one slope for each x
    gradients[name] = x.grad
    print(f"{name:10}", *(f"{slope:6.2f}" for slope in x.grad))

fig, axes = plt.subplots(2, 3, figsize=(8.6, 5.4), layout="constrained")
for ax, (name, (activation, _)) in zip(axes.flat, family.items(), strict=True):
    x = torch.linspace(-4, 4, 401, requires_grad=True)
    y = activation(x)
    y.sum().backward()
    ax.plot(x.detach().numpy(), y.detach().numpy(), color=blue, linewidth=2.5, label="value")
    ax.plot(x.detach().numpy(), x.grad.numpy(), color=orange, linewidth=2.5, linestyle="--", label="gradient")
    ax.set(ylim=(-1.3, 2.3), xticks=range(-4, 5, 2))
    ax.set_title(name, fontsize=14)
    ax.grid(alpha=0.3)
axes[0, 0].legend(frameon=False, loc="lower right", fontsize=12)
fig.savefig(output_dir("Course10-Activate") / "activations.png", dpi=100)

# %% 8. Softmax: many numbers at once
logits = torch.tensor([1.0, 2.0, 3.0])
probabilities = nn.Softmax(dim=0)(logits)
print("probabilities", [round(p, 2) for p in probabilities.tolist()], "sum", round(probabilities.sum().item(), 6))
print("by formula:     ", torch.allclose(logits.exp() / logits.exp().sum(), probabilities))
print("all 100 larger: ", [round(p, 2) for p in F.softmax(logits + 100, dim=0).tolist()])

# %% 9. Through depth: how much gradient arrives?
depth, width = 20, 64
# The function, and how large its weights are. With 1 they keep a gradient's length; half of ReLU's slopes are 0.
activations = {"Sigmoid": (torch.sigmoid, 1), "Tanh": (torch.tanh, 1), "ReLU": (torch.relu, 2**0.5)}
start = torch.randn(32, width)
arrives = {}
for name, (activation, gain) in activations.items():
    weights = [(gain * torch.randn(width, width) / width**0.5).requires_grad_() for _ in range(depth)]
    hidden = start
    for weight in weights:
        hidden = activation(hidden @ weight)  # (32, 64) -> (32, 64), twenty times
    hidden.sum().backward()
    arrives[name] = [weight.grad.norm().item() for weight in weights]  # norm: the length of the gradient, one number
    print(f"{name:7} the first layer gets {arrives[name][0] / arrives[name][-1]:.1g} of what the last one gets")
print(f"a quarter of a quarter of ..., {depth - 1} times: {0.25 ** (depth - 1):.1g}")

fig, ax = plt.subplots(figsize=(8, 3.8), layout="constrained")
for (name, lengths), colour, marker in zip(arrives.items(), [blue, orange, green], "^so", strict=True):
    ax.plot(range(1, depth + 1), lengths, color=colour, marker=marker, label=name)
ax.set(yscale="log", xticks=range(1, depth + 1))
ax.set_xlabel("layer (1 is next to the input)", fontsize=13)
ax.set_ylabel("size of the gradient", fontsize=13)
ax.grid(alpha=0.3)
ax.legend(frameon=False, fontsize=13)
fig.savefig(output_dir("Course10-Activate") / "depth.png", dpi=100)

# %% 10. Break it: a layer is made first, then called
try:
    print(nn.ReLU(numbers))
except RuntimeError as error:
    print("RuntimeError:", error)

# %% 11. Break it: softmax along the wrong axis
scores = torch.tensor([[1.0, 2.0, 3.0], [3.0, 3.0, 3.0]])  # two pictures, three classes
print("scores", scores.tolist())
for dim in (0, 1):
    sums = F.softmax(scores, dim=dim).sum(dim=1).tolist()
    print(f"dim={dim}: the probabilities of each picture add up to", [round(total, 2) for total in sums])

# ---- Second reading --------------------------------------------------------------------------------------------------

# %% 12. A unit that died
learned = {}
for name, activation in [("ReLU", nn.ReLU()), ("LeakyReLU", nn.LeakyReLU())]:
    torch.manual_seed(22)
    network = nn.Sequential(nn.Linear(2, 8), activation, nn.Linear(8, 1))
    with torch.no_grad():
        network[0].bias[0] = -10  # one step that was too large can do that
        silent = (network[0](moons) < 0).all(dim=0)  # (400, 8) -> (8,): below zero for every point?
    before = network[0].weight.detach().clone()  # (8, 2): one row for each unit
    train(network, moons)
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

# %% 14. inplace: the same memory
x = torch.tensor([-1.0, 2.0])
y = nn.ReLU()(x)
print("a new tensor: ", x.tolist(), "->", y.tolist())
z = nn.ReLU(inplace=True)(x)
print("in place:     ", x.tolist(), "is", z.tolist(), "same memory:", x.data_ptr() == z.data_ptr())

# %% 15. Break it: inplace, and the gradient is gone
for name, before in [("times 3", lambda w: 3 * w), ("sigmoid", torch.sigmoid)]:
    w = torch.tensor([-1.0, 2.0], requires_grad=True)
    try:
        nn.ReLU(inplace=True)(before(w)).sum().backward()
        print(f"{name}, then ReLU in place: gradient", w.grad.tolist())
    except RuntimeError as error:
        print(f"{name}, then ReLU in place:")
        print(fill(f"RuntimeError: {str(error).split(' Hint')[0]}", 80))
try:
    nn.ReLU(inplace=True)(w)
except RuntimeError as error:
    print("RuntimeError:", error)

# %% 16. The gradients of softmax
slopes = torch.autograd.functional.jacobian(lambda z: F.softmax(z, dim=0), logits)  # (3, 3): output by input
for row in slopes.tolist():
    print(*(f"{slope:6.2f}" for slope in row))
formula = probabilities.diag() - probabilities.outer(probabilities)
print("p_i (1 if i = j else 0) - p_i p_j:", torch.allclose(slopes, formula))
print("each column adds up to", [round(abs(total), 6) for total in slopes.sum(dim=0).tolist()])

x = torch.linspace(-4, 4, 401, requires_grad=True)
first = F.softmax(torch.stack([x, torch.zeros_like(x), torch.zeros_like(x)]), dim=0)[0]  # (3, 401) -> (401,)
first.sum().backward()
fig, axes = plt.subplots(1, 2, figsize=(8.2, 3.4), layout="constrained")
axes[0].bar(range(3), probabilities.numpy(), color=["#56B4E9", green, "#E69F00"])
axes[0].set(xticks=range(3), xticklabels=["1", "2", "3"], ylim=(0, 1))
axes[0].set_title("softmax of the logits 1, 2, 3", fontsize=13)
axes[1].plot(x.detach().numpy(), first.detach().numpy(), color=blue, linewidth=2.5, label="value")
axes[1].plot(x.detach().numpy(), x.grad.numpy(), color=orange, linewidth=2.5, linestyle="--", label="gradient")
axes[1].set(xticks=range(-4, 5, 2), ylim=(0, 1))
axes[1].set_title("first probability of (x, 0, 0)", fontsize=13)
axes[1].grid(alpha=0.3)
axes[1].legend(frameon=False, fontsize=12)
fig.savefig(output_dir("Course10-Activate") / "softmax.png", dpi=100)

# %% 17. Break it: softmax by its formula, and without dim
naive = (logits + 100).exp() / (logits + 100).exp().sum()
print("by the formula:", naive.tolist())
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    implicit = nn.Softmax()(scores)  # on purpose
print(fill(f"{caught[0].category.__name__}: {caught[0].message}", 80))

# %% 18. Halfway between two points
half, other = moons[:200], moons[200:]
for name in ("no activations", "ReLU"):
    network = trained["moons", name]
    halfway, mean = network((half + other) / 2), (network(half) + network(other)) / 2
    print(f"{name}: halfway between two points, the mean of both answers:", torch.allclose(halfway, mean, atol=1e-4))

# %% 19. Break it: two more calls without a layer
try:
    nn.Sigmoid(numbers)
except TypeError as error:
    print("TypeError:", error)
try:
    nn.Sequential(nn.Linear(2, 2), nn.ReLU)
except TypeError as error:
    print("TypeError:", error)
