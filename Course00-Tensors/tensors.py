"""Course 00 · Tensors — what is a tensor, and where do gradients come from?

Run   python Course00-Tensors/tensors.py
See   outputs/Course00-Tensors        (the two pictures that it draws)
Read  notes.md, whose sections carry the numbers of the cells below
"""

# %% 1. Setup
import contextlib
import io
import sys

import matplotlib.pyplot as plt
import numpy as np
import torch
import torchvision

from common.data import cifar10
from common.device import pick_device
from common.paths import output_dir

torch.manual_seed(0)
print("Python     ", sys.version.split()[0])
print("PyTorch    ", torch.__version__)
print("torchvision", torchvision.__version__)
print("ready:", torch.ones(2) + torch.ones(2))

# %% 2. Where does it compute?
print("an accelerator is here:", torch.accelerator.is_available())
device, reason = pick_device()
print(reason)
here = torch.ones(3)  # made on the CPU, as long as nobody says otherwise
there = here.to(device)  # a copy on the accelerator; where there is none, the tensor itself
print("made on the", here.device, "and the same after the journey:", torch.equal(there.cpu(), here))

# %% 3. Explore: dir, help and the question mark
print("drawers of torch:", len(dir(torch)))
print("methods that start with arg:", [name for name in dir(torch.Tensor) if name.startswith("arg")])
print("methods with squeeze in them:", [name for name in dir(torch.Tensor) if "squeeze" in name])
with contextlib.redirect_stdout(io.StringIO()) as manual:  # on a terminal, help() would stop here and wait for a q
    help(torch.numel)
print(manual.getvalue())
try:
    compile("torch.numel?", "a script", "exec")
except SyntaxError as error:
    print("the question mark in a script: SyntaxError:", error.msg)

# %% 4. Boxes of numbers: rank and shape
one_number = torch.tensor(7.0)
row = torch.tensor([1.0, 2.0, 3.0])
row_in_a_box = torch.tensor([[1.0, 2.0, 3.0]])
two_rows = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
picture = torch.zeros(3, 32, 48)  # filled with zeros: nobody types 4608 numbers
batch = torch.rand(64, 3, 32, 48)  # filled with random numbers from 0 to 1
for name, tensor in [
    ("one_number", one_number),
    ("row", row),
    ("row_in_a_box", row_in_a_box),
    ("two_rows", two_rows),
    ("picture", picture),
    ("batch", batch),
]:
    print(f"{name:12} rank {tensor.ndim}, numbers {tensor.numel():6}, shape {tuple(tensor.shape)}")

# %% 5. What is in the box: dtype
array = np.array([1.0, 2.0, 3.0])
shared = torch.from_numpy(array)
copied = torch.tensor(array)
whole = torch.tensor([1, 2, 3])
print("1.0, 2.0, 3.0 ", row.dtype)
print("1, 2, 3       ", whole.dtype)
print("True, False   ", torch.tensor([True, False]).dtype)
print("from NumPy    ", shared.dtype)
print("1, 2, 3 halved", whole / 2, (whole / 2).dtype)

array[0] = 100
print("the array changed: shared", shared[0].item(), "copied", copied[0].item())

bright = torch.tensor(250, dtype=torch.uint8)  # uint8: one byte, 0 to 255
print("250 + 10 in uint8:  ", (bright + torch.tensor(10, dtype=torch.uint8)).item())
print("250 + 10 in float32:", bright.to(torch.float32).item() + 10)

# %% 6. Indexing
table = torch.tensor([[0, 1, 2, 3], [10, 11, 12, 13], [20, 21, 22, 23]])  # 12 stands in row 1, column 2
print("table[1]        ", table[1])  # (3, 4) -> (4,)
print("table[:, 2]     ", table[:, 2])  # (3, 4) -> (3,)
print("table[1:2]      ", table[1:2])  # (3, 4) -> (1, 4)
print("table[1, 2]     ", table[1, 2], "and .item() makes", table[1, 2].item())
print("table[-1, ::2]  ", table[-1, ::2])
print("table[table > 12]", table[table > 12])

grid = table.clone()  # numbers of its own
top = grid[0]  # a window onto grid: no numbers of its own
top[3] = 99
print("grid after a write through the window:", grid[0].tolist(), "and table:", table[0].tolist())

# %% 7. Reshape, view and permute
six = torch.arange(6)
rows = six.reshape(2, 3)  # (6,) -> (2, 3)
print("reshape(2, 3)\n", rows)
print("reshape(3, -1)\n", rows.reshape(3, -1))  # (2, 3) -> (3, 2): -1 means "work it out"
print("permute(1, 0)\n", rows.permute(1, 0))  # (2, 3) -> (3, 2)
print("picture.permute(1, 2, 0)", tuple(picture.permute(1, 2, 0).shape))  # (3, 32, 48) -> (32, 48, 3)
print("picture.unsqueeze(0)    ", tuple(picture.unsqueeze(0).shape))  # (3, 32, 48) -> (1, 3, 32, 48)

view = six.view(2, 3)
print("view shares its numbers with six:", view.data_ptr() == six.data_ptr())
print("steps in memory to the next row and column:", view.stride(), "permuted:", view.permute(1, 0).stride())
print("contiguous:", view.is_contiguous(), "permuted:", view.permute(1, 0).is_contiguous())

# %% 8. Broadcasting
column = torch.tensor([[0], [10], [20]])  # (3, 1)
print("column + row is the table of section 6:", torch.equal(column + torch.arange(4), table))
for one, other in [
    ((3, 1), (4,)),
    ((3, 4), (4,)),
    ((3, 4), (3, 1)),
    ((64, 3, 32, 48), (3, 1, 1)),
    ((5, 1, 4), (3, 1)),
]:
    print(f"{str(one):15} with {str(other):9} -> {tuple(torch.broadcast_shapes(one, other))}")
try:
    table + torch.ones(3)
except RuntimeError as error:
    print("RuntimeError:", error)

# %% 9. A real batch: pictures are tensors
pixels = torch.from_numpy(cifar10(train=False).data[:64])  # (64, 32, 32, 3), uint8
images = pixels.permute(0, 3, 1, 2)  # (64, 32, 32, 3) -> (64, 3, 32, 32)
print("images", tuple(images.shape), images.dtype)
print("numbers in one picture:", images[0].numel(), "= 3*32*32")

floats = images.to(torch.float32) / 255  # 0…255 -> 0…1
mean = floats.mean(dim=(0, 2, 3), keepdim=True)  # (64, 3, 32, 32) -> (1, 3, 1, 1): one mean a colour
centred = floats - mean  # (64, 3, 32, 32) - (1, 3, 1, 1): broadcasting
print("mean", tuple(mean.shape), "and after it is taken away:", centred.mean(dim=(0, 2, 3)).abs().round(decimals=3))

fig, axes = plt.subplots(2, 7, figsize=(12, 3.9), layout="constrained")
for row_of_axes, image in zip(axes, images[[2, 8]], strict=True):
    panels = {
        "picture": image,
        "[:, 4:28, 4:28]": image[:, 4:28, 4:28],
        "[:, ::4, ::4]": image[:, ::4, ::4],
        ".flip(2)": image.flip(2),
        ".permute(0, 2, 1)": image.permute(0, 2, 1),
        "255 - picture": 255 - image,
        ".reshape(32, 32, 3)": image.reshape(32, 32, 3).permute(2, 0, 1),  # back to (3, 32, 32), and it is too late
    }
    for ax, panel in zip(row_of_axes, panels.values(), strict=True):
        ax.imshow(panel.permute(1, 2, 0).numpy())  # (3, H, W) -> (H, W, 3): matplotlib wants the colours last
        ax.axis("off")
for ax, title in zip(axes[0], panels, strict=True):
    ax.set_title(title, fontsize=10)
fig.savefig(output_dir("Course00-Tensors") / "pictures.png", dpi=100)

# %% 10. Autograd: a slope by hand, then by PyTorch
x = torch.tensor(3.0, requires_grad=True)


def f(x):
    """x² + 2x, whose slope is 2x + 2."""
    return x**2 + 2 * x


y = f(x)
y.backward()
print("y =", y.item())
print("slope by the rules of calculus:", 2 * 3.0 + 2)
print(f"slope by a step to both sides:  {(f(3.01) - f(2.99)) / 0.02:.1f}")
print("slope by PyTorch:              ", x.grad.item())

weights = torch.tensor([0.5, -1.0, 2.0], requires_grad=True)
inputs = torch.tensor([10.0, 20.0, 30.0])
(weights * inputs).sum().backward()
print("gradient of the sum of weights * inputs:", weights.grad)

# %% 11. Look inside the graph
y = f(x)
print("x is a leaf:", x.is_leaf, "made by", x.grad_fn)
print("y is a leaf:", y.is_leaf, "made by", type(y.grad_fn).__name__)
stack = [(y.grad_fn, 0)]
while stack:
    node, depth = stack.pop()
    print("   " * depth + type(node).__name__)
    stack += [(before, depth + 1) for before, _ in reversed(node.next_functions) if before is not None]

# %% 12. Gradients accumulate
x.grad = None  # forget the gradient of section 10
for _ in range(3):
    f(x).backward()
    print("x.grad without forgetting:", x.grad.item())
for _ in range(3):
    x.grad = None
    f(x).backward()
    print("x.grad with x.grad = None:", x.grad.item())

# %% 13. Leave the graph: detach and no_grad
y = f(x)
print("y             requires grad:", y.requires_grad)
print("y.detach()    requires grad:", y.detach().requires_grad)
with torch.no_grad():
    print("under no_grad requires grad:", f(x).requires_grad)
try:
    y.numpy()
except RuntimeError as error:
    print("RuntimeError:", error)
print("y.detach().numpy()", y.detach().numpy(), "and y.item()", y.item())

x.grad = None
(x * x).backward()
print("slope of x * x:         ", x.grad.item())
x.grad = None
(x * x.detach()).backward()
print("slope of x * x.detach():", x.grad.item())

# %% 14. Vary one thing: the size of a step downhill
fig, axes = plt.subplots(1, 3, figsize=(11, 3.2), layout="constrained", sharey=True)
curve = torch.linspace(-7, 5, 200)
for ax, step_size in zip(axes, (0.02, 0.2, 1.02), strict=True):
    x = torch.tensor(3.0, requires_grad=True)
    path = [x.item()]
    for _ in range(10):
        f(x).backward()
        with torch.no_grad():
            x -= step_size * x.grad  # a step against the slope; it must not become part of the graph
        x.grad = None
        path.append(x.item())
    print(f"step size {step_size:4}: from x = {path[0]} to x = {path[-1]:.1f} in ten steps")
    ax.plot(curve.numpy(), f(curve).numpy(), color="#0072B2")
    ax.plot(path, [f(at) for at in path], "o-", color="#D55E00", linewidth=1)
    ax.set(title=f"step size {step_size}", xlabel="x")
    ax.spines[["top", "right"]].set_visible(False)
axes[0].set_ylabel("x² + 2x")
fig.savefig(output_dir("Course00-Tensors") / "downhill.png", dpi=100)

# %% 15. Break it: (3,) and (3, 1) make (3, 3)
target = torch.tensor([1.0, 2.0, 3.0])  # (3,)
answer = torch.tensor([[1.0], [2.0], [3.0]])  # (3, 1): every answer is right
difference = answer - target  # (3, 1) - (3,) -> (3, 3)
print(difference)
print(f"mean squared error {(difference**2).mean():.1f}, though every answer is right")
in_line = answer.squeeze(1)  # (3, 1) -> (3,)
print(f"after squeeze(1)   {((in_line - target) ** 2).mean():.1f}")

# %% 16. Break it: a view of what is not contiguous
turned = rows.permute(1, 0)  # (2, 3) -> (3, 2)
try:
    turned.view(6)
except RuntimeError as error:
    print("RuntimeError:", str(error).replace(" (", "\n    ("))  # in two lines
print("reshape(6)          ", turned.reshape(6))
print("contiguous().view(6)", turned.contiguous().view(6))

# %% 17. Break it: two dtypes in one product
from_numpy = torch.from_numpy(np.ones((3, 2)))
try:
    two_rows @ from_numpy  # float32 @ float64
except RuntimeError as error:
    print("RuntimeError:", error)
product = two_rows @ from_numpy.float()  # (2, 3) @ (3, 2) -> (2, 2)
print("two_rows @ from_numpy.float()\n", product)
print("and a sum says nothing:", (row + from_numpy[:, 0]).dtype)

# %% 18. Break it: backward twice
y = f(x)
y.backward()
try:
    y.backward()
except RuntimeError as error:
    print("RuntimeError:", str(error).split(" (or")[0])
y = f(x)  # the cure: compute y again, which builds its graph again
y.backward()
print("after computing y again: no error")

# %% 19. Break it: change a leaf in place
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

# %% 20. Break it: .data hides a change
x = torch.tensor(0.0, requires_grad=True)
y = x.exp()  # the slope of exp is exp itself: autograd keeps y for backward
y.data.mul_(5)  # somebody changes y behind its back
y.backward()
print("slope of exp at 0:", x.grad.item(), "but it is", 1.0)
y = x.exp()
y.detach().mul_(5)
try:
    y.backward()
except RuntimeError as error:
    print("RuntimeError:", str(error).split(":")[0])
