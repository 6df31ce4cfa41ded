"""Course 09 · Pool — why throw away three pixels of four?

Run   python Course09-Pool/pool.py
See   tensorboard --logdir logs        (runs under Course09-Pool)
Read  notes.md, whose sections carry the numbers of the cells below
"""

# %% 1. Setup
from math import ceil, floor, inf

import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torch.utils.tensorboard import SummaryWriter
from torchvision.transforms import v2

from common.data import cifar10
from common.paths import fresh_log_dir, output_dir

torch.manual_seed(9)
image = torch.tensor(
    [
        [1.0, 4.0, 2.0, 0.0, 3.0],
        [3.0, 2.0, 6.0, 1.0, 5.0],
        [0.0, 8.0, 1.0, 7.0, 2.0],
        [5.0, 1.0, 3.0, 2.0, 4.0],
        [2.0, 6.0, 0.0, 9.0, 1.0],
    ]
)
batch = image[None, None]  # (5, 5) -> (1, 1, 5, 5): one picture, one channel
print(image.int())
print("batch", tuple(batch.shape))

# %% 2. One window, by hand
window = image[0:2, 0:2]  # (5, 5) -> (2, 2)
print(window.int())
print("largest", window.max().item(), "mean", window.mean().item())

# %% 3. The whole picture, by hand and by the layers


def pool_by_hand(image, size, reduce):
    """Cut a picture into windows of size x size that do not overlap, and reduce each to one number."""
    rows, columns = image.shape[0] // size, image.shape[1] // size  # only windows that lie wholly inside
    pooled = torch.zeros(rows, columns)
    for i in range(rows):
        for j in range(columns):
            window = image[i * size : (i + 1) * size, j * size : (j + 1) * size]
            pooled[i, j] = reduce(window)
    return pooled


max_pool, avg_pool = nn.MaxPool2d(kernel_size=2), nn.AvgPool2d(kernel_size=2)
largest, mean = max_pool(batch), avg_pool(batch)  # (1, 1, 5, 5) -> (1, 1, 2, 2)
print(largest[0, 0])
print(mean[0, 0])
print("max by hand: ", torch.equal(pool_by_hand(image, 2, torch.max), largest[0, 0]))
print("mean by hand:", torch.equal(pool_by_hand(image, 2, torch.mean), mean[0, 0]))
print("weights to learn:", len(list(max_pool.parameters())) + len(list(avg_pool.parameters())))

# %% 4. The stride that you did not give
print(max_pool)
for layer in (nn.MaxPool2d(3), nn.MaxPool2d(3, stride=2), nn.MaxPool2d(3, stride=1)):
    print(f"window 3, stride {layer.stride}:", layer(batch)[0, 0].int().tolist())

# %% 5. Vary one thing: ceil_mode
by_mode = {ceil_mode: nn.MaxPool2d(3, ceil_mode=ceil_mode)(batch) for ceil_mode in (False, True)}
for ceil_mode, result in by_mode.items():
    print(f"ceil_mode={ceil_mode}:", result[0, 0].int().tolist())

# %% 6. Adaptive pooling: say the size, not the window
to_three = nn.AdaptiveMaxPool2d(3)
print("5x5 to 3x3:", to_three(batch)[0, 0].int().tolist())
for height, width in [(8, 8), (7, 5), (30, 45)]:
    features = torch.rand(1, 64, height, width)  # such as 64 feature maps of one picture
    print(f"{height}x{width} to 4x4: {tuple(nn.AdaptiveAvgPool2d(4)(features).shape)}")
whole = nn.AdaptiveAvgPool2d(1)(features)  # (1, 64, 30, 45) -> (1, 64, 1, 1)
print("to 1x1 is the mean of each channel:", torch.allclose(whole[..., 0, 0], features.mean(dim=(2, 3))))

# %% 7. A real batch
to_float = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
test_loader = DataLoader(cifar10(train=False, transform=to_float), batch_size=64)
images, labels = next(iter(test_loader))  # (64, 3, 32, 32), (64,)
pooled = max_pool(images)  # (64, 3, 32, 32) -> (64, 3, 16, 16)
print("images", tuple(images.shape), "pooled", tuple(pooled.shape))
print(f"numbers left: {pooled.numel() / images.numel():.0%}")
with SummaryWriter(fresh_log_dir("Course09-Pool")) as writer:
    writer.add_images("input", images, 0)
    writer.add_images("max pooled", pooled, 0)

sizes = (1, 2, 4, 8)
kinds = {"max": F.max_pool2d, "average": F.avg_pool2d}  # the same poolings as functions
fig, axes = plt.subplots(2, 4, figsize=(7.6, 4.2), layout="constrained")
for row, (kind, pool) in zip(axes, kinds.items(), strict=True):
    for ax, size in zip(row, sizes, strict=True):
        small = pool(images[2], size)  # (3, 32, 32) -> (3, 32 / size, 32 / size)
        ax.imshow(small.permute(1, 2, 0).numpy())  # channels last for matplotlib
        ax.set_title(f"{kind} {size}×{size}" if size > 1 else "input", fontsize=13)
        ax.axis("off")
fig.savefig(output_dir("Course09-Pool") / "pooled.png", dpi=110)

# %% 8. What it is for: a step to the side
dot = torch.zeros(8, 1, 1, 8)  # eight pictures of one row of pixels; in picture n, pixel n is bright
dot[range(8), 0, 0, range(8)] = 1
for size in (1, 2, 4):
    seen = F.max_pool2d(dot, (1, size))  # (8, 1, 1, 8) -> (8, 1, 1, 8 / size)
    noticed = (seen[1:] != seen[:-1]).flatten(1).any(dim=1)  # does picture n + 1 differ from picture n?
    print(f"window {size}: of 7 steps to the right, {int(noticed.sum())} change the output")

# %% 9. What it is for: less work, a wider view
conv = nn.Conv2d(3, 8, kernel_size=3, padding=1)
for name, pictures in [("without pooling", images), ("after pooling", pooled)]:
    products = conv(pictures).numel() * conv.weight[0].numel()  # one product per weight, for each output number
    print(f"{name}: {products // len(pictures):,} multiplications per picture")

# An average pool, because a max pool has a gradient for one pixel of each window only (cell 12).
conv3, half = nn.Conv2d(1, 1, kernel_size=3), nn.AvgPool2d(2)
stacks = {
    "conv": [conv3],
    "conv, conv": [conv3, conv3],
    "conv, pool, conv": [conv3, half, conv3],
    "conv, pool, conv, pool, conv": [conv3, half, conv3, half, conv3],
}
fields = {}
for name, layers in stacks.items():
    start = torch.rand(1, 1, 32, 32, requires_grad=True)
    x = start
    for layer in layers:
        x = layer(x)
    x[0, 0, 1, 1].backward()  # one number of the output: which pixels does it depend on?
    depends = start.grad[0, 0] != 0  # (32, 32): True where a change of the pixel would change that number
    fields[name] = int(depends.any(dim=0).sum())  # how many columns
    print(f"{name}: one number sees {fields[name]} pixels in a row")

# %% 10. Break it: whole numbers
whole_numbers = batch.long()
print("max:    ", nn.MaxPool2d(2)(whole_numbers)[0, 0].tolist())
truncated = nn.AvgPool2d(2)(whole_numbers)
print("average:", truncated[0, 0].tolist(), "but it is", mean[0, 0].tolist())
for layer, numbers in [(nn.AdaptiveMaxPool2d(2), whole_numbers), (nn.AvgPool2d(2), batch.byte())]:
    try:
        layer(numbers)
    except NotImplementedError as error:
        print("NotImplementedError:", error)

# %% 11. Break it: the wrong axes
try:
    max_pool(image)
except RuntimeError as error:
    print("RuntimeError:", error)
channels_last = images[0].permute(1, 2, 0)  # (3, 32, 32) -> (32, 32, 3)
print("no message at all:", tuple(channels_last.shape), "->", tuple(max_pool(channels_last).shape))

# ---- Second reading --------------------------------------------------------------------------------------------------

# %% 12. Where the gradient goes
slopes = {}
for name, pool in [
    ("max, window 2", nn.MaxPool2d(2)),
    ("average, window 2", nn.AvgPool2d(2)),
    ("max, window 3, stride 2", nn.MaxPool2d(3, stride=2)),
]:
    x = image.clone().requires_grad_()
    pool(x[None, None]).sum().backward()
    slopes[name] = x.grad  # (5, 5): one slope for each pixel
    print(name)
    print(x.grad)

tie = torch.full((1, 1, 2, 2), 7.0, requires_grad=True)
nn.MaxPool2d(2)(tie).sum().backward()
print("four equal pixels:", tie.grad[0, 0].tolist())

# %% 13. Where the largest was: return_indices and MaxUnpool2d
remember = nn.MaxPool2d(2, return_indices=True)
values, indices = remember(batch)  # (1, 1, 2, 2) twice
print("values ", values[0, 0].int().tolist())
print("indices", indices[0, 0].tolist())
for index in indices.flatten().tolist():
    row, column = divmod(index, image.shape[1])
    print(f"index {index} = row {row}, column {column}: {image[row, column]:.0f}")
unpooled = nn.MaxUnpool2d(2)(values, indices, output_size=batch.shape)  # (1, 1, 2, 2) -> (1, 1, 5, 5)
print(unpooled[0, 0].int())

# %% 14. Predict the output size, then look


def pool_size(size, window, stride=None, padding=0, ceil_mode=False):
    """Height or width after pooling: (I + 2p - k) / s, rounded down or up, + 1."""
    stride = stride or window
    places = (ceil if ceil_mode else floor)((size + 2 * padding - window) / stride) + 1
    if ceil_mode and (places - 1) * stride >= size + padding:
        places -= 1  # the last window would begin beyond the picture
    return places


for size, k, s, p, up in [(32, 2, 2, 0, False), (5, 2, 2, 0, True), (32, 3, 2, 1, False), (5, 1, 3, 0, True)]:
    actual = nn.MaxPool2d(k, s, p, ceil_mode=up)(torch.zeros(1, 1, size, size)).shape[-1]
    print(f"size={size} k={k} s={s} p={p} ceil_mode={up}: predicted {pool_size(size, k, s, p, up)}, actual {actual}")

# %% 15. The windows of adaptive pooling


def spans(size, windows):
    """From where to where (end not included) each window of an adaptive pooling reaches."""
    return [(floor(i * size / windows), ceil((i + 1) * size / windows)) for i in range(windows)]


print("5 pixels, 3 windows:", spans(5, 3))
print("30 pixels, 4 windows:", spans(30, 4))
adaptive = torch.zeros(3, 3)
for i, (top, bottom) in enumerate(spans(5, 3)):
    for j, (left, right) in enumerate(spans(5, 3)):
        adaptive[i, j] = image[top:bottom, left:right].max()
print("by hand equals the layer:", torch.equal(adaptive, to_three(batch)[0, 0]))

# %% 16. More of ceil_mode: the mean, and the picture of the videos
overhang = nn.AvgPool2d(3, ceil_mode=True)(batch)  # (1, 1, 5, 5) -> (1, 1, 2, 2)
print("upper right:", overhang[0, 0, 0, 1].item(), "=", image[:3, 3:].int().flatten().tolist(), "added, divided by 6")
known = torch.tensor(
    [
        [1.0, 2.0, 0.0, 3.0, 1.0],
        [0.0, 1.0, 2.0, 3.0, 1.0],
        [1.0, 2.0, 1.0, 0.0, 0.0],
        [5.0, 2.0, 3.0, 1.0, 1.0],
        [2.0, 1.0, 0.0, 1.0, 1.0],
    ]
)
for ceil_mode in (False, True):
    print(f"ceil_mode={ceil_mode}:", nn.MaxPool2d(3, ceil_mode=ceil_mode)(known[None, None])[0, 0].int().tolist())

# %% 17. Vary one thing: padding
below_zero = torch.full((1, 1, 4, 4), -5.0)
padded_max = nn.MaxPool2d(2, padding=1)(below_zero)  # (1, 1, 4, 4) -> (1, 1, 3, 3)
print("largest of -5 and the rim:", padded_max[0, 0].unique().tolist())
same_rim = F.pad(below_zero, [1, 1, 1, 1], value=-inf)
print("the same as a rim of minus infinity:", torch.equal(nn.MaxPool2d(2)(same_rim), padded_max))

ones = torch.ones(1, 1, 4, 4)
counted = nn.AvgPool2d(2, padding=1)(ones)  # (1, 1, 4, 4) -> (1, 1, 3, 3)
not_counted = nn.AvgPool2d(2, padding=1, count_include_pad=False)(ones)
print("mean of ones and the rim:", counted[0, 0].tolist())
print("count_include_pad=False: ", not_counted[0, 0].tolist())

# %% 18. Vary one thing: dilation
spread = nn.MaxPool2d(2, stride=1, dilation=2)(batch)  # (1, 1, 5, 5) -> (1, 1, 3, 3)
print(spread[0, 0].int())
print("the first number is the largest of", image[0:3:2, 0:3:2].flatten().int().tolist())

# %% 19. A step to the side, measured on whole pictures
here, aside = images[..., 4:28, 4:28], images[..., 4:28, 5:29]  # (64, 3, 24, 24): the same, one pixel to the side
change, unmoved = {"max": [], "average": []}, {"max": [], "average": []}
for kind, pool in kinds.items():
    for size in sizes:
        before, after = pool(here, size), pool(aside, size)  # (64, 3, 24, 24) -> (64, 3, 24 / size, 24 / size)
        change[kind].append((before - after).abs().mean().item())
        unmoved[kind].append((before == after).double().mean().item())
        print(f"{kind:7} window {size}: values change by {change[kind][-1]:.3f}, {unmoved[kind][-1]:.0%} not at all")

fig, axes = plt.subplots(1, 2, figsize=(8.4, 3.6), layout="constrained")
for kind, colour, marker in [("max", "#D55E00", "o"), ("average", "#0072B2", "s")]:
    axes[0].plot(sizes, change[kind], marker=marker, color=colour, label=kind)
    axes[1].plot(sizes, unmoved[kind], marker=marker, color=colour, label=kind)
axes[0].set(ylim=(0, None))
axes[0].set_title("mean change after a step of one pixel", fontsize=12)
axes[1].set(ylim=(0, 1))
axes[1].set_title("share of values that do not change", fontsize=12)
for ax in axes:
    ax.set(xscale="log", xticks=sizes, xticklabels=sizes)
    ax.set_xlabel("width of the window", fontsize=12)
    ax.minorticks_off()
    ax.grid(alpha=0.3)
    ax.legend(frameon=False, fontsize=12)
fig.savefig(output_dir("Course09-Pool") / "shift.png", dpi=110)

# %% 20. Break it: a window that does not fit
try:
    nn.MaxPool2d(6)(batch)
except RuntimeError as error:
    print("RuntimeError:", error)
try:
    nn.MaxPool2d(2, padding=2)(batch)
except RuntimeError as error:
    print("RuntimeError:", error)

# %% 21. Break it: unpooling without the size
guessed = nn.MaxUnpool2d(2)(values, indices)  # (1, 1, 2, 2) -> (1, 1, 4, 4)
print(guessed[0, 0].int())
try:
    nn.MaxUnpool2d(2)(*remember(known[None, None]))
except RuntimeError as error:
    print("RuntimeError:", error)
