"""Course 14 · Loss-Network — how does every weight learn its share of the blame?

Run   python Course14-Loss-Network/loss_network.py
See   outputs/Course14-Loss-Network    (a picture; drawing.py draws the other)
Read  notes.md, whose sections carry the numbers of the cells below
"""

# %% 1. Setup
import copy
from collections import Counter

import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from common.data import cifar10
from common.models import CifarCNN
from common.paths import output_dir

torch.manual_seed(14)
to_float = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
test_set = cifar10(train=False, transform=to_float)
images, labels = next(iter(DataLoader(test_set, batch_size=64)))  # (64, 3, 32, 32), (64,)
model = CifarCNN(num_classes=len(test_set.classes)).eval()  # eval: no picture's answer depends on the others
loss_fn = nn.CrossEntropyLoss()
print("images", tuple(images.shape), "labels", tuple(labels.shape))

# %% 2. One weight and one bias, by hand
x, target = torch.tensor(2.0), torch.tensor(5.0)
w = torch.tensor(3.0, requires_grad=True)
b = torch.tensor(1.0, requires_grad=True)
product = w * x
output = product + b
error = output - target
small_loss = error**2
small_loss.backward()
print(f"loss {small_loss.item():.0f}")
print(f"d loss / d w: by hand {2 * 2 * 2}, backward {w.grad.item():.0f}")  # 2 * error * x
print(f"d loss / d b: by hand {2 * 2}, backward {b.grad.item():.0f}")  # 2 * error * 1


# %% 3. Read the graph that forward left behind
def name_of(node):
    """An operation, or the leaf where the way back ends, or nothing."""
    if node is None:
        return "no gradient"
    if hasattr(node, "variable"):  # a node called AccumulateGrad, which adds to the .grad of this tensor
        return "w.grad" if node.variable is w else "b.grad"
    return type(node).__name__.removesuffix("Backward0")


node = small_loss.grad_fn
while node is not None:
    inputs = [next_node for next_node, _ in node.next_functions]
    print(f"{name_of(node)} <- {', '.join(name_of(next_node) for next_node in inputs)}")
    node = None if hasattr(inputs[0], "variable") else inputs[0]

# %% 4. Predict what .grad holds, then look
first, last = model.features[0], model.classifier[-1]  # the first convolution, the last linear layer
loss = loss_fn(model(images), labels)
print("before backward:", first.weight.grad)
loss.backward()
print("after backward: ", tuple(first.weight.shape), "->", tuple(first.weight.grad.shape))
print("every parameter has one of its own shape:", all(p.grad.shape == p.shape for p in model.parameters()))
print("images", images.grad)

# %% 5. One step against the gradient
step = 0.05
steps = {}  # direction -> the loss after a step that way
for direction, sign in (("against", -1), ("along", 1)):
    new_w, new_b = w.item() + sign * step * w.grad.item(), b.item() + sign * step * b.grad.item()
    steps[direction] = (new_w * 2 + new_b - 5) ** 2
    print(f"{direction:7} the gradient: w {new_w:.1f}, b {new_b:.1f}, loss {steps[direction]:.0f}")

moved = copy.deepcopy(model)  # the model itself stays as it is
with torch.no_grad():
    for p, original in zip(moved.parameters(), model.parameters(), strict=True):
        p -= step * original.grad
    after = loss_fn(moved(images), labels)
print("course CNN, a step with all parameters at once: the loss falls:", bool(after < loss))

# %% 6. What do three `backward()` calls leave in `.grad`?
model.zero_grad()
norms = []
for _ in range(3):  # the same batch and the same weights three times, without zero_grad()
    loss_fn(model(images), labels).backward()
    norms.append(last.weight.grad.norm().item())  # the root of the sum of all squares
print("without zero_grad:", [f"x{norm / norms[0]:.1f}" for norm in norms])
model.zero_grad()
print("after zero_grad:  ", last.weight.grad)


# %% 7. Check one gradient by finite differences
def loss_of(weight):
    """The loss of section 2, in plain Python."""
    return (weight * 2 + 1 - 5) ** 2


h = 1
print(f"section 2: backward {w.grad.item():.3f}, pushed {(loss_of(3 + h) - loss_of(3 - h)) / (2 * h):.3f}")

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

# %% 8. Store the number, not the loss
tensors, numbers = [], []
for _ in range(3):  # three batches; here the same one three times
    loss = loss_fn(model(images), labels)
    tensors.append(loss)
    numbers.append(loss.item())
print("numbers", [round(number, 1) for number in numbers])
print("the first tensor remembers", tensors[0].grad_fn.name())
model.zero_grad()
tensors[0].backward()
print("and its whole graph is there: backward() fills", tuple(first.weight.grad.shape))
with torch.no_grad():
    loss = loss_fn(model(images), labels)
print("under no_grad:", loss.grad_fn)

# %% 9. Break it: backward twice
model.zero_grad()
loss = loss_fn(model(images), labels)
loss.backward()
once = last.weight.grad.norm()
try:
    loss.backward()
except RuntimeError as error:
    print("RuntimeError:", str(error).split(" (or")[0])
model.zero_grad()
loss = loss_fn(model(images), labels)
loss.backward(retain_graph=True)
loss.backward()
print(f"with retain_graph=True both count: x{last.weight.grad.norm() / once:.1f}")

# %% 10. Break it: a loss with no way back
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

# ---- Second reading --------------------------------------------------------------------------------------------------

# %% 11. The graph of the course CNN
model.zero_grad()
loss = loss_fn(model(images), labels)


def nodes_behind(*losses):
    """All nodes of the graph that can be reached from these losses, each once, nearest first."""
    todo, seen = [loss.grad_fn for loss in losses], []
    while todo:
        node = todo.pop(0)
        if node is not None and node not in seen:
            seen.append(node)
            todo += [next_node for next_node, _ in node.next_functions]
    return seen


kinds = Counter(type(node).__name__ for node in nodes_behind(loss))
print(kinds.total() - kinds["AccumulateGrad"], "operations,", kinds["AccumulateGrad"], "ends at parameters")
print("convolutions", kinds["ConvolutionBackward0"], "pools", kinds["MaxPool2DWithIndicesBackward0"])
loss.backward()
with torch.no_grad():
    blame = torch.softmax(model(images), dim=1)  # (64, 10)
    blame[torch.arange(64), labels] -= 1  # probabilities minus truth, for each picture
print("gradient of the last bias is the mean blame:", torch.allclose(last.bias.grad, blame.mean(dim=0), atol=1e-6))

# %% 12. Half a batch at a time
whole = last.weight.grad.clone()  # of the whole batch, from the cell above
model.zero_grad()
for half in (slice(0, 32), slice(32, 64)):  # half the memory at a time
    (loss_fn(model(images[half]), labels[half]) / 2).backward()
from_halves = last.weight.grad.clone()
print("two halves add up to the whole batch:", torch.allclose(from_halves, whole, atol=1e-6))

# %% 13. Clip the gradient
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
(1000 * loss_fn(model(images), labels)).backward()  # as if one batch had a huge loss
wild = torch.cat([p.grad.flatten() for p in model.parameters()])  # (145706,): the gradient of all weights, in a row
returned = nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
tamed = torch.cat([p.grad.flatten() for p in model.parameters()])
print("course CNN: it returns the norm before:", torch.allclose(returned, wild.norm(), rtol=1e-4))
same_direction = torch.allclose(tamed / tamed.norm(), wild / wild.norm(), atol=1e-6)
print(f"the norm after is {tamed.norm():.2f}, the direction is kept: {same_direction}")

# %% 14. Vary one thing: the step of the check
hs = [10.0**-k for k in range(1, 13)]
mistakes = {}
for dtype in (torch.float32, torch.float64):
    point = torch.tensor(0.5, dtype=dtype, requires_grad=True)
    torch.sigmoid(point).backward()
    exact = 1 / (1 + torch.tensor(0.5, dtype=torch.float64).neg().exp())
    exact = exact * (1 - exact)  # the derivative of sigmoid
    with torch.no_grad():
        pushed = [(torch.sigmoid(point + h) - torch.sigmoid(point - h)).item() / (2 * h) for h in hs]
    mistakes[dtype] = [abs(p - exact.item()) / exact.item() for p in pushed]
    print(f"{dtype}: best of twelve right to six digits: {min(mistakes[dtype]) < 1e-6}")
    print(f"               the smallest step is the best: {mistakes[dtype][-1] == min(mistakes[dtype])}")
print("gradcheck, which does all this for you:", torch.autograd.gradcheck(torch.sigmoid, (point,)))

fig, ax = plt.subplots(figsize=(7, 3.8), layout="constrained")
for (dtype, values), colour, style in zip(mistakes.items(), ("#D55E00", "#0072B2"), ("s--", "o-"), strict=True):
    ax.loglog(hs, values, style, color=colour, label=str(dtype).removeprefix("torch."))
ax.set(title="finite differences: not too large, not too small", xlabel="step h", ylabel="relative error of the slope")
ax.invert_xaxis()
ax.grid(alpha=0.3)
ax.legend(frameon=False)
fig.savefig(output_dir("Course14-Loss-Network") / "finite_differences.png", dpi=110)

# %% 15. Break it: a sum of losses that keeps every graph alive
gradients = {}
for way in ("one backward at the end", "a backward for each batch"):
    model.zero_grad()
    total = 0.0
    for _ in range(4):  # four batches; here the same one four times
        share = loss_fn(model(images), labels) / 4
        if way == "one backward at the end":
            total = total + share  # a tensor: it keeps the graph of every share
        else:
            share.backward()  # frees what this graph kept
            total += share.item()
    behind = nodes_behind(total) if torch.is_tensor(total) else []
    graphs = [type(node).__name__ for node in behind].count("NllLossBackward0")
    print(f"{way:25} total is a {type(total).__name__}, graphs behind it: {graphs}")
    if way == "one backward at the end":
        total.backward()
    gradients[way] = last.weight.grad.clone()
print("the same gradient:", torch.allclose(*gradients.values(), atol=1e-6))
