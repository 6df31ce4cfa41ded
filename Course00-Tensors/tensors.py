"""Course 00 · Tensors — what is a tensor, and where do gradients come from?

Run   python Course00-Tensors/tensors.py
See   outputs/Course00-Tensors        (the pictures that it draws)
Read  notes.md, whose sections carry the numbers of the cells below
"""

# %% 1. Setup
import sys

import matplotlib.pyplot as plt
import numpy as np
import torch
import torchvision

from common.data import cifar10
from common.device import pick_device
from common.paths import output_dir

torch.manual_seed(0)  # random numbers are the same on every run
print("Python     ", sys.version.split()[0])
print("PyTorch    ", torch.__version__)
print("torchvision", torchvision.__version__)
print("ready:", torch.ones(2) + torch.ones(2))

# %% 2. Boxes of numbers: rank and shape
one_number = torch.tensor(7.0)
row = torch.tensor([1.0, 2.0, 3.0])
row_in_a_box = torch.tensor([[1.0, 2.0, 3.0]])
two_rows = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
picture = torch.zeros(3, 32, 48)  # filled with zeros
batch = torch.rand(64, 3, 32, 48)  # filled with random numbers from 0 to 1
for name, tensor in [
    ("one_number", one_number),
    ("row", row),
    ("row_in_a_box", row_in_a_box),
    ("two_rows", two_rows),
    ("picture", picture),
    ("batch", batch),
]:
    print(f"{name:12}", tuple(tensor.shape))
print("rank of batch:", batch.ndim)

# %% 3. What is in the box: dtype
whole = torch.tensor([1, 2, 3])
print("1.0, 2.0, 3.0 ", row.dtype)
print("1, 2, 3       ", whole.dtype)
print("1, 2, 3 halved", (whole / 2).dtype)
print("True, False   ", torch.tensor([True, False]).dtype)

bright = torch.tensor(250, dtype=torch.uint8)  # uint8: one byte, 0 to 255
print("250 + 10 as uint8:  ", (bright + 10).item())
print("250 + 10 as float32:", (bright.float() + 10).item())

# %% 4. Indexing
table = torch.tensor([[0, 1, 2, 3], [10, 11, 12, 13], [20, 21, 22, 23]])
print("table\n", table)
print("table[1]         ", table[1])
print("table[1:2]       ", table[1:2])
print("table[:, 2]      ", table[:, 2])
print("table[-1, ::2]   ", table[-1, ::2])
print("table[table > 12]", table[table > 12])
print("table[1, 2]      ", table[1, 2], "with .item():", table[1, 2].item())

# %% 5. Reshape and permute
rows = torch.arange(6).reshape(2, 3)  # (6,) -> (2, 3)
print("rows\n", rows)
print("rows.reshape(3, 2)\n", rows.reshape(3, 2))
print("rows.permute(1, 0)\n", rows.permute(1, 0))  # (2, 3) -> (3, 2)
print("reshape(-1)     ", tuple(rows.reshape(-1).shape))  # -1: PyTorch works this length out
print("permute(1, 2, 0)", tuple(picture.permute(1, 2, 0).shape))  # (3, 32, 48) -> (32, 48, 3)
print("unsqueeze(0)    ", tuple(picture.unsqueeze(0).shape))  # (3, 32, 48) -> (1, 3, 32, 48)

# %% 6. Broadcasting
column = torch.tensor([[0], [10], [20]])  # (3, 1)
print("column + row is table:", torch.equal(column + torch.arange(4), table))
per_colour = torch.tensor([0.5, 1.0, 2.0]).reshape(3, 1, 1)
print("batch * per_colour:", tuple((batch * per_colour).shape))

# %% 7. A real batch: pictures are tensors
array = cifar10(train=False).data[:64]  # (64, 32, 32, 3): a NumPy array of bytes
images = torch.from_numpy(array).permute(0, 3, 1, 2)  # (64, 32, 32, 3) -> (64, 3, 32, 32)
print("images", tuple(images.shape), images.dtype)

floats = images.float() / 255  # 0…255 -> 0…1
mean = floats.mean(dim=(0, 2, 3), keepdim=True)  # one mean for each colour
centred = floats - mean  # broadcasting
print("mean", tuple(mean.shape))
print("mean of what is left:", centred.mean(dim=(0, 2, 3)).abs().round(decimals=3))

image = images[8]  # (3, 32, 32)
panels = {
    "image": image,
    "image[:, 4:28, 4:28]": image[:, 4:28, 4:28],
    "image[:, ::4, ::4]": image[:, ::4, ::4],
    "image.flip(2)": image.flip(2),
    "image.permute(0, 2, 1)": image.permute(0, 2, 1),
    "255 - image": 255 - image,
    "image + 100": image + 100,
    "image.reshape(32, 32, 3)": image.reshape(32, 32, 3).permute(2, 0, 1),
}
fig, axes = plt.subplots(2, 4, figsize=(8, 4.4), layout="constrained")
for ax, (title, panel) in zip(axes.flat, panels.items(), strict=True):
    ax.imshow(panel.permute(1, 2, 0).numpy())  # (3, H, W) -> (H, W, 3), as matplotlib expects it
    ax.set_title(title, fontsize=10)
    ax.axis("off")
fig.savefig(output_dir("Course00-Tensors") / "pictures.png", dpi=110)


# %% 8. A slope by hand, then by PyTorch
def f(x):
    """The curve of this lesson: x² + 2x."""
    return x**2 + 2 * x


x = torch.tensor(3.0, requires_grad=True)
y = f(x)
y.backward()
print("y =", y.item())
print(f"slope by a small step: {(f(3.01) - f(2.99)) / 0.02:.1f}")
print("by the rule 2x + 2:   ", 2 * 3.0 + 2)
print("by PyTorch:           ", x.grad.item())

# %% 9. Break it: backward three times
x = torch.tensor(3.0, requires_grad=True)
first_loop, second_loop = [], []
for _ in range(3):
    f(x).backward()
    first_loop.append(x.grad.item())
for _ in range(3):
    x.grad = None
    f(x).backward()
    second_loop.append(x.grad.item())
print("three times:     ", first_loop)
print("with x.grad=None:", second_loop)

# %% 10. Vary one thing: the learning rate
fig, axes = plt.subplots(1, 3, figsize=(9, 3), layout="constrained", sharey=True)
curve = torch.linspace(-7, 5, 200)
for ax, rate in zip(axes, (0.02, 0.2, 1.02), strict=True):
    x = torch.tensor(3.0, requires_grad=True)
    path = [x.item()]
    for _ in range(10):
        f(x).backward()
        with torch.no_grad():  # the step itself is not recorded
            x -= rate * x.grad
        x.grad = None
        path.append(x.item())
    print(f"rate {rate:4}: x arrives at {path[-1]:4.1f}")
    ax.plot(curve.numpy(), f(curve).numpy(), color="#0072B2")
    ax.plot(path, [f(at) for at in path], "o-", color="#D55E00", linewidth=1)
    ax.plot(path[0], f(path[0]), "o", color="white", markeredgecolor="#D55E00", markersize=9, markeredgewidth=2)
    ax.annotate("start", (path[0], f(path[0])), (9, -9), textcoords="offset points", fontsize=11)
    ax.set(title=f"learning rate {rate}", xlabel="x", xticks=range(-6, 5, 2))
    ax.spines[["top", "right"]].set_visible(False)
axes[0].set_ylabel("x² + 2x")
fig.savefig(output_dir("Course00-Tensors") / "downhill.png", dpi=110)

# %% 11. Break it: a column minus a row
answers = torch.tensor([[1.0], [2.0], [3.0]])  # (3, 1)
targets = torch.tensor([1.0, 2.0, 3.0])  # (3,)
difference = answers - targets
print(difference)
print(f"mean of the squares: {(difference**2).mean():.1f}")
in_line = answers.squeeze(1)  # (3, 1) -> (3,)
print(f"after squeeze(1):    {((in_line - targets) ** 2).mean():.1f}")

# ---- Second reading --------------------------------------------------------------------------------------------------

# %% 12. Where does it compute?
print("an accelerator is here:", torch.accelerator.is_available())
device, reason = pick_device()
print(reason)
here = torch.ones(3)  # made on the CPU, because nothing else is said
there = here.to(device)  # a copy on the accelerator; without one, the tensor itself
print("made on:", here.device)
print("the same numbers there:", torch.equal(there.cpu(), here))

# %% 13. Explore: dir, help and the question mark
print("drawers of torch:", len(dir(torch)))
print("begin with arg:", [name for name in dir(torch.Tensor) if name.startswith("arg")])
print("hold squeeze:  ", [name for name in dir(torch.Tensor) if "squeeze" in name])
print(torch.numel.__doc__)  # the text of help(torch.numel), which would wait for a key here
try:
    compile("torch.numel?", "a script", "exec")
except SyntaxError as error:
    print("the question mark in a script: SyntaxError:", error.msg)

# %% 14. NumPy: share or copy
array = np.array([1.0, 2.0, 3.0])
shared = torch.from_numpy(array)
copied = torch.tensor(array)
array[0] = 100
print("shared", shared[0].item(), "copied", copied[0].item(), shared.dtype)

# %% 15. One line in memory: views and strides
copy = table.clone()  # numbers of its own
top = copy[0]  # no numbers of its own: a view of copy
top[3] = 99
print("copy: ", copy[0].tolist())
print("table:", table[0].tolist())

six = torch.arange(6)
view = six.view(2, 3)  # (6,) -> (2, 3)
turned = view.permute(1, 0)  # (2, 3) -> (3, 2)
for name, tensor in [("view", view), ("turned", turned)]:
    same = tensor.data_ptr() == six.data_ptr()  # the address of the first number in memory
    print(f"{name:6} stride {tensor.stride()}, contiguous {tensor.is_contiguous()}, numbers of six: {same}")

# %% 16. Look inside the graph
x = torch.tensor(3.0, requires_grad=True)
y = f(x)
print("x is a leaf:", x.is_leaf, "made by", x.grad_fn)
print("y is a leaf:", y.is_leaf, "made by", type(y.grad_fn).__name__)


def show_graph(node, depth=0):
    """Print an operation and, further to the right, those that made its inputs."""
    print("   " * depth + type(node).__name__)
    for before, _ in node.next_functions:
        if before is not None:  # None: a plain number, such as the 2 in 2 * x
            show_graph(before, depth + 1)


show_graph(y.grad_fn)

weights = torch.tensor([0.5, -1.0, 2.0], requires_grad=True)
inputs = torch.tensor([10.0, 20.0, 30.0])
(weights * inputs).sum().backward()
print("gradient of the weights:", weights.grad)

# %% 17. Leave the graph: detach and no_grad
x = torch.tensor(3.0, requires_grad=True)
y = f(x)
print("y             requires grad:", y.requires_grad)
print("y.detach()    requires grad:", y.detach().requires_grad)
with torch.no_grad():
    print("under no_grad requires grad:", f(x).requires_grad)
try:
    y.numpy()
except RuntimeError as error:
    print("RuntimeError:", str(error).replace(". ", ".\n    "))  # in two lines
print("y.detach().numpy()", y.detach().numpy(), "and y.item()", y.item())

(x * x).backward()
print("slope of x * x:         ", x.grad.item())
x.grad = None
(x * x.detach()).backward()
print("slope of x * x.detach():", x.grad.item())

# %% 18. Break it: shapes that do not fit
try:
    table + torch.ones(3)
except RuntimeError as error:
    print("RuntimeError:", str(error).replace(" at ", "\n    at "))  # in two lines
print("with unsqueeze(1):", tuple((table + torch.ones(3).unsqueeze(1)).shape))  # (3, 4) + (3, 1)
for one, other in [
    ((3, 4), (4,)),
    ((3, 4), (3, 1)),
    ((64, 3, 32, 48), (3, 1, 1)),
    ((5, 1, 4), (3, 1)),
]:
    print(f"{str(one):15} with {str(other):9} -> {tuple(torch.broadcast_shapes(one, other))}")

# %% 19. Break it: view after permute
try:
    turned.view(6)
except RuntimeError as error:
    print("RuntimeError:", str(error).replace(" (", "\n    (").replace(". ", ".\n    "))  # in three lines
print("reshape(6)          ", turned.reshape(6))
print("contiguous().view(6)", turned.contiguous().view(6))

# %% 20. Break it: two dtypes in one product
from_numpy = torch.from_numpy(np.ones((3, 2)))
try:
    two_rows @ from_numpy  # float32 @ float64
except RuntimeError as error:
    print("RuntimeError:", error)
product = two_rows @ from_numpy.float()  # (2, 3) @ (3, 2) -> (2, 2)
print("two_rows @ from_numpy.float()\n", product)
print("dtype of a sum of the two:", (row + from_numpy[:, 0]).dtype)

# %% 21. Break it: backward twice on one result
x = torch.tensor(3.0, requires_grad=True)
y = f(x)
y.backward()
try:
    y.backward()
except RuntimeError as error:
    print("RuntimeError:", str(error).split(" (or")[0])
y = f(x)  # the cure: compute y again, which records it again
y.backward()
print("x.grad after two backwards that worked:", x.grad.item())

# %% 22. Break it: change a leaf in place
w = torch.tensor(3.0, requires_grad=True)
f(w).backward()
try:
    w -= 0.2 * w.grad
except RuntimeError as error:
    print("RuntimeError:", error)
not_a_leaf = w - 0.2 * w.grad  # no error, and no leaf either: its gradient would not be kept
print("w - 0.2 * w.grad is a leaf:", not_a_leaf.is_leaf)
with torch.no_grad():
    w -= 0.2 * w.grad
print(f"under no_grad w is {w.item():.1f}, still a leaf: {w.is_leaf}")

# %% 23. Break it: .data hides a change
z = torch.tensor(0.0, requires_grad=True)
y = z.exp()  # the slope of exp is exp itself: autograd keeps y for backward
y.data.mul_(5)  # changes y, and autograd does not notice
y.backward()
print("slope of exp at 0:", z.grad.item(), "but it is 1.0")
y = z.exp()
y.detach().mul_(5)
try:
    y.backward()
except RuntimeError as error:
    print("RuntimeError:", str(error).split(":")[0])
