"""Course 14 · Loss-Network — how does every weight learn its share of the blame?

Run   python Course14-Loss-Network/loss_network.py
See   outputs/Course14-Loss-Network        (the figures that the notes show)
Read  notes.md, whose sections carry the numbers of the cells below
"""

# %% 1. Setup
import copy
import weakref
from collections import Counter

import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from common.data import cifar10
from common.models import CifarCNN
from common.paths import output_dir

torch.manual_seed(14)
lesson = "Course14-Loss-Network"
blue, orange, green = "#0072B2", "#D55E00", "#009E73"
to_float = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
test_set = cifar10(train=False, transform=to_float)
images, labels = next(iter(DataLoader(test_set, batch_size=64)))  # (64, 3, 32, 32), (64,)
model = CifarCNN(num_classes=len(test_set.classes)).eval()  # eval: BatchNorm treats every picture on its own
loss_fn = nn.CrossEntropyLoss()
print("images", tuple(images.shape), "labels", tuple(labels.shape))

# %% 2. One weight and one bias, by hand
x, target = torch.tensor(2.0), torch.tensor(5.0)
w = torch.tensor(3.0, requires_grad=True)
b = torch.tensor(1.0, requires_grad=True)
product = w * x  # 6
output = product + b  # 7
error = output - target  # 2
loss = error**2  # 4
loss.backward()
print(f"loss {loss.item():.0f}")
print(f"d loss / d w: by hand {2 * 2 * 2}, backward {w.grad.item():.0f}")  # 2 * error * x
print(f"d loss / d b: by hand {2 * 2}, backward {b.grad.item():.0f}")  # 2 * error * 1

fig, ax = plt.subplots(figsize=(9, 2), layout="constrained")
chain = [("w = 3", 8), ("w x = 6", 4), ("+ b = 7", 4), ("- target = 2", 4), ("square = 4", 1)]
for i, (value, gradient) in enumerate(chain):
    box = {"boxstyle": "round,pad=0.5", "facecolor": "white", "edgecolor": "black"}
    ax.text(2 * i, 0.1, value, ha="center", va="center", fontsize=11, bbox=box)
    ax.text(2 * i, -0.6, f"gradient {gradient}", ha="center", color=orange)
for i, factor in enumerate(["times x = 2", "times 1", "times 1", "times 2 · 2"]):
    left, right = 2 * i + 0.68, 2 * i + 1.32
    ax.annotate("", (right, 0.2), (left, 0.2), arrowprops={"arrowstyle": "->", "color": blue})
    ax.annotate("", (left, 0.0), (right, 0.0), arrowprops={"arrowstyle": "->", "color": orange})
    ax.text(2 * i + 1, -0.28, factor, ha="center", fontsize=9, color=orange)
ax.text(-0.7, 0.65, "forward: values →", color=blue)
ax.text(8.7, 0.65, "← backward: gradients", color=orange, ha="right")
ax.set(xlim=(-0.9, 8.9), ylim=(-0.75, 0.9))
ax.axis("off")
fig.savefig(output_dir(lesson) / "chain.png", dpi=100)


# %% 3. Read the graph that forward left behind
def nodes_behind(*losses):
    """All nodes of the graph that can be reached from these losses, each once, nearest first."""
    todo, seen = [loss.grad_fn for loss in losses], []
    while todo:
        node = todo.pop(0)
        if node is not None and node not in seen:
            seen.append(node)
            todo += [next_node for next_node, _ in node.next_functions]
    return seen


print("by hand:", " <- ".join(type(node).__name__ for node in nodes_behind(loss)))
loss = loss_fn(model(images), labels)
kinds = Counter(type(node).__name__ for node in nodes_behind(loss))
print("course CNN:", kinds.total() - kinds["AccumulateGrad"], "operations,", kinds["AccumulateGrad"], "ends at weights")
print("convolutions", kinds["ConvolutionBackward0"], "pools", kinds["MaxPool2DWithIndicesBackward0"])

# %% 4. Predict what .grad holds, then look
first, last = model.features[0], model.classifier[-1]
print("before backward:", first.weight.grad)
loss.backward()
print("after backward: ", tuple(first.weight.shape), "->", tuple(first.weight.grad.shape))
print("every parameter has one of its own shape:", all(p.grad.shape == p.shape for p in model.parameters()))
print("images", images.grad, "- nobody asked for theirs: requires_grad is", images.requires_grad)
with torch.no_grad():
    blame = torch.softmax(model(images), dim=1)  # (64, 10)
    blame[torch.arange(64), labels] -= 1  # probabilities minus truth, for each picture
print("gradient of the last bias is the mean blame:", torch.allclose(last.bias.grad, blame.mean(dim=0), atol=1e-6))

# %% 5. Check one gradient by finite differences
precise = copy.deepcopy(model).double()  # float64: 16 digits, for differences of nearly equal numbers
precise.zero_grad()
batch = images.double()
loss_fn(precise(batch), labels).backward()


def slope(parameter, place, h=1e-7):
    """(loss(w + h) - loss(w - h)) / 2h: how fast the loss rises when one single weight is moved."""
    found = []
    with torch.no_grad():
        original = parameter[place].item()
        for value in (original + h, original - h):
            parameter[place] = value
            found.append(loss_fn(precise(batch), labels).item())
        parameter[place] = original
    return (found[0] - found[1]) / (2 * h)


checked = {}
for name, place in [
    ("features.0.weight", (4, 1, 2, 2)),
    ("classifier.1.weight", (7, 100)),
    ("classifier.3.bias", (3,)),
]:
    parameter = precise.get_parameter(name)
    checked[name] = parameter.grad[place].item(), slope(parameter, place)
    print(f"{name:19} backward {checked[name][0]:.6f}, pushed {checked[name][1]:.6f}")

# %% 6. Vary one thing: the step of the check
steps = [10.0**-k for k in range(1, 13)]
mistakes = {}
for dtype in (torch.float32, torch.float64):
    point = torch.tensor(0.5, dtype=dtype, requires_grad=True)
    torch.sigmoid(point).backward()
    exact = 1 / (1 + torch.tensor(0.5, dtype=torch.float64).neg().exp())
    exact = exact * (1 - exact)  # the derivative of sigmoid
    with torch.no_grad():
        pushed = [(torch.sigmoid(point + h) - torch.sigmoid(point - h)).item() / (2 * h) for h in steps]
    mistakes[dtype] = [abs(p - exact.item()) / exact.item() for p in pushed]
    print(f"{dtype}: right to six digits at best: {min(mistakes[dtype]) < 1e-6},", end=" ")
    print(f"the smallest step is the best: {mistakes[dtype][-1] == min(mistakes[dtype])}")
print("gradcheck, which does all this for you:", torch.autograd.gradcheck(torch.sigmoid, (point,)))

fig, ax = plt.subplots(figsize=(6, 3.4), layout="constrained")
for (dtype, values), colour, style in zip(mistakes.items(), (orange, blue), ("s--", "o-"), strict=True):
    ax.loglog(steps, values, style, color=colour, label=str(dtype).removeprefix("torch."))
ax.set(
    title="finite differences: not too large, not too small", xlabel="step h", ylabel="relative mistake of the slope"
)
ax.invert_xaxis()
ax.grid(alpha=0.3)
ax.legend(frameon=False)
fig.savefig(output_dir(lesson) / "finite_differences.png", dpi=100)

# %% 7. One step against the gradient
before = loss_fn(precise(batch), labels).item()
for direction, sign in (("against the gradient", -1), ("along the gradient", 1)):
    moved = copy.deepcopy(precise)
    with torch.no_grad():
        for p, original in zip(moved.parameters(), precise.parameters(), strict=True):
            p += sign * 0.1 * original.grad
        after = loss_fn(moved(batch), labels).item()
    print(f"{direction}: the loss", "falls" if after < before else "rises")

# %% 8. Gradients add up
model.zero_grad()
norms = []
for _ in range(3):  # the same batch and the same weights three times, and nobody clears .grad
    loss_fn(model(images), labels).backward()
    norms.append(last.weight.grad.norm().item())
print("without zero_grad:", [f"x{norm / norms[0]:.1f}" for norm in norms])
model.zero_grad()
print("after zero_grad:  ", last.weight.grad)

loss_fn(model(images), labels).backward()
whole = last.weight.grad.clone()
model.zero_grad()
for half in (slice(0, 32), slice(32, 64)):  # half the memory at a time
    (loss_fn(model(images[half]), labels[half]) / 2).backward()
from_halves = last.weight.grad.clone()
print("two halves add up to the whole batch:", torch.allclose(from_halves, whole, atol=1e-6))

# %% 9. Clip the gradient
clipped = {}
for start in ([3.0, 4.0], [0.3, 0.4]):
    weight = nn.Parameter(torch.zeros(2))
    weight.grad = torch.tensor(start)
    norm = nn.utils.clip_grad_norm_([weight], max_norm=1.0)
    clipped[tuple(start)] = weight.grad.tolist()
    print(f"norm {norm:.1f}: {start} -> {[round(g, 3) for g in clipped[tuple(start)]]}")
weight.grad = torch.tensor([3.0, 4.0])
nn.utils.clip_grad_value_([weight], clip_value=1.0)
print("by value: [3.0, 4.0] ->", weight.grad.tolist())

model.zero_grad()
(1000 * loss_fn(model(images), labels)).backward()  # as if one batch had gone wild
wild = torch.cat([p.grad.flatten() for p in model.parameters()])  # (145706,): the gradient of all weights, in a row
returned = nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
tamed = torch.cat([p.grad.flatten() for p in model.parameters()])
print("course CNN: it returns the norm before:", torch.allclose(returned, wild.norm(), rtol=1e-4), end=", ")
print(f"the norm after is {tamed.norm():.2f}, the direction is kept:", end=" ")
print(torch.allclose(tamed / tamed.norm(), wild / wild.norm(), atol=1e-6))


# %% 10. What a stored loss keeps alive
class Kept:
    """One tensor that the graph keeps, because backward will need it."""

    def __init__(self, tensor):
        self.tensor = tensor.detach()  # the same memory, without a way back into the graph


kept = weakref.WeakSet()  # forgets what nobody else holds any more


def keep(tensor):
    """What the graph stores in place of a tensor that it saves for backward."""
    wrapped = Kept(tensor)
    kept.add(wrapped)
    return wrapped


def kept_megabytes():
    """Memory that graphs hold at this moment, besides the weights and the batch, which are there anyway."""
    owned = {tensor.untyped_storage().data_ptr() for tensor in (*model.state_dict().values(), images, labels)}
    storages = [wrapped.tensor.untyped_storage() for wrapped in kept]
    held = {storage.data_ptr(): storage.nbytes() for storage in storages if storage.data_ptr() not in owned}
    return sum(held.values()) / 2**20


memory = {}
with saved_tensors_hooks(keep, lambda wrapped: wrapped.tensor):
    for way in ("loss.item()", "loss after backward", "loss without backward", "loss under no_grad"):
        stored, memory[way] = [], []
        for _ in range(4):
            with torch.set_grad_enabled(way != "loss under no_grad"):
                loss = loss_fn(model(images), labels)
            if way in ("loss.item()", "loss after backward"):
                model.zero_grad()
                loss.backward()
            stored.append(loss.item() if way == "loss.item()" else loss)
            memory[way].append(kept_megabytes())
        count = len(nodes_behind(*(entry for entry in stored if torch.is_tensor(entry))))  # a number: holds no node
        print(f"{way:21}", " ".join(f"{megabytes:6.1f} MB" for megabytes in memory[way]) + f", {count} nodes")
stored.clear()

# %% 11. Break it: a sum of losses that keeps every graph alive
gradients = {}
with saved_tensors_hooks(keep, lambda wrapped: wrapped.tensor):
    for way in ("one backward at the end", "a backward for each batch"):
        model.zero_grad()
        memory[way], total = [], 0.0
        for _ in range(4):  # four batches; here the same one, four times
            share = loss_fn(model(images), labels) / 4
            memory[way].append(kept_megabytes())  # at its highest, just before backward
            if way == "a backward for each batch":
                share.backward()
                total += share.item()
            else:
                total = total + share
        if way == "one backward at the end":
            total.backward()
        gradients[way] = last.weight.grad.clone()
        print(f"{way:25}", " ".join(f"{megabytes:6.1f} MB" for megabytes in memory[way]))
print("the same gradient:", torch.allclose(*gradients.values(), atol=1e-6))

fig, ax = plt.subplots(figsize=(6, 3.4), layout="constrained")
styles = [("one backward at the end", orange, "s-"), ("a backward for each batch", blue, "o-")]
for way, colour, style in [*styles, ("loss.item()", green, "x--")]:
    ax.plot(range(1, 5), memory[way], style, color=colour, label="only numbers stored" if "item" in way else way)
ax.set(title="what the graphs keep alive", xlabel="batches so far", ylabel="MB", xticks=range(1, 5))
ax.grid(alpha=0.3)
ax.legend(frameon=False)
fig.savefig(output_dir(lesson) / "memory.png", dpi=100)

# %% 12. Break it: backward twice
loss = loss_fn(model(images), labels)
loss.backward()
try:
    loss.backward()
except RuntimeError as error:
    print("RuntimeError:", str(error).split(" (or")[0])
model.zero_grad()
loss = loss_fn(model(images), labels)
loss.backward(retain_graph=True)
loss.backward()
print("with retain_graph=True both count, x2.0:", torch.allclose(last.weight.grad, 2 * whole, atol=1e-6))

# %% 13. Break it: a loss with no way back
logits = model(images)
broken = {
    "mistakes counted": (logits.argmax(dim=1) != labels).float().mean(),
    "wrapped anew": torch.tensor(loss_fn(logits, labels).item()),
    "one loss each": nn.CrossEntropyLoss(reduction="none")(logits, labels),
}
for name, value in broken.items():
    try:
        value.backward()
    except RuntimeError as error:
        print(f"{name}: {error}")
