"""Course 07 · Conv — what does one kernel do to one picture?

Run   python Course07-Conv/conv.py
See   outputs/Course07-Conv            (the two figures that it draws)
Read  notes.md, whose sections carry the numbers of the cells below
"""

# %% 1. Setup
from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch.nn import functional as F
from torchvision.transforms import v2

from common.data import ants_bees
from common.paths import output_dir

torch.manual_seed(7)
image = torch.tensor(
    [
        [1.0, 2.0, 0.0, 3.0, 1.0],
        [0.0, 1.0, 2.0, 3.0, 1.0],
        [1.0, 2.0, 1.0, 0.0, 0.0],
        [5.0, 2.0, 3.0, 1.0, 1.0],
        [2.0, 1.0, 0.0, 1.0, 1.0],
    ]
)
kernel = torch.tensor([[1.0, 2.0, 1.0], [0.0, 1.0, 0.0], [2.0, 1.0, 0.0]])
print("image", tuple(image.shape), "kernel", tuple(kernel.shape))

# %% 2. One number, by hand
patch = image[0:3, 0:3]  # (5, 5) -> (3, 3): what lies under the kernel in the top left corner
products = patch * kernel
print(products.int())
print("sum", int(products.sum()))

# %% 3. Slide the kernel
places = len(image) - len(kernel) + 1  # from the left edge to the right edge, and as many from top to bottom
by_hand = torch.zeros(places, places)
for row in range(places):
    for column in range(places):
        patch = image[row : row + len(kernel), column : column + len(kernel)]
        by_hand[row, column] = (patch * kernel).sum()
print(by_hand.int())

# %% 4. The same in one call
batch = image.reshape(1, 1, *image.shape)  # (5, 5) -> (1, 1, 5, 5): one picture with one channel
weight = kernel.reshape(1, 1, *kernel.shape)  # (3, 3) -> (1, 1, 3, 3): one kernel that looks at one channel
output = F.conv2d(batch, weight)  # (1, 1, 5, 5) -> (1, 1, 3, 3)
print("output", tuple(output.shape))
print("the loops give the same:", torch.equal(output[0, 0], by_hand))

# %% 5. Vary one thing: stride
for stride in (1, 2):
    strided = F.conv2d(batch, weight, stride=stride)
    print(f"stride {stride}: {tuple(strided.shape[2:])}")
    print(strided[0, 0].int())
print("stride 2 keeps every second number:", torch.equal(strided, output[:, :, ::2, ::2]))

# %% 6. Vary one thing: padding
print(F.pad(image, [1, 1, 1, 1]).int())  # (5, 5) -> (7, 7): a rim of zeros, left, right, top and bottom
padded = F.conv2d(batch, weight, padding=1)  # (1, 1, 5, 5) -> (1, 1, 5, 5)
print(padded[0, 0].int())
print("the nine numbers in the middle:", torch.equal(padded[:, :, 1:-1, 1:-1], output))

# %% 7. Predict the output size, then look


def conv_size(size, kernel_size, stride=1, padding=0):
    """Height or width after the kernel has passed: floor((I + 2p - k) / s) + 1."""
    return (size + 2 * padding - kernel_size) // stride + 1


for size, k, s, p in [(5, 3, 1, 0), (5, 3, 2, 1), (6, 3, 2, 0), (32, 5, 1, 2), (224, 7, 2, 3)]:
    actual = F.conv2d(torch.zeros(1, 1, size, size), torch.zeros(1, 1, k, k), stride=s, padding=p).shape[-1]
    print(f"size={size} k={k} s={s} p={p}: predicted {conv_size(size, k, s, p)}, actual {actual}")

# %% 8. VALID, SAME and FULL
modes = {"VALID": 0, "SAME": (len(kernel) - 1) // 2, "FULL": len(kernel) - 1}  # how wide the rim of zeros is
fig, axes = plt.subplots(1, 3, figsize=(9, 3.6), layout="constrained")
for ax, (mode, rim) in zip(axes, modes.items(), strict=True):
    for i in range(-rim, len(image) + rim):
        for j in range(-rim, len(image) + rim):
            inside = 0 <= i < len(image) and 0 <= j < len(image)
            colour = "#DCEBF5" if inside else "white"
            ax.add_patch(plt.Rectangle((j, i), 1, 1, facecolor=colour, edgecolor="#999999", linewidth=0.8))
            number = int(image[i, j]) if inside else 0
            ax.text(j + 0.5, i + 0.5, number, ha="center", va="center", color="black" if inside else "#AAAAAA")
    last = len(image) + rim - len(kernel)  # the last place; the first is -rim
    for corner, colour, style in [(-rim, "#D55E00", "-"), (last, "#0072B2", "--")]:
        frame = plt.Rectangle(
            (corner, corner), *kernel.shape, fill=False, edgecolor=colour, linewidth=3, linestyle=style
        )
        ax.add_patch(frame)
    ax.set(xlim=(-2.1, 7.1), ylim=(7.1, -2.1), aspect="equal")
    ax.set_title(f"{mode}: 5×5 becomes {last + rim + 1}×{last + rim + 1}")
    ax.axis("off")
fig.savefig(output_dir("Course07-Conv") / "valid_same_full.png", dpi=100)

by_mode = {mode: F.conv2d(batch, weight, padding=rim) for mode, rim in modes.items()}
for mode, result in by_mode.items():
    print(f"{mode:5} padding {modes[mode]}: {tuple(batch.shape[2:])} -> {tuple(result.shape[2:])}")
print('padding="valid":', torch.equal(F.conv2d(batch, weight, padding="valid"), by_mode["VALID"]))
print('padding="same": ', torch.equal(F.conv2d(batch, weight, padding="same"), by_mode["SAME"]))

# %% 9. Convolution or cross-correlation?
dot = torch.zeros(1, 1, 5, 5)
dot[0, 0, 2, 2] = 1  # one bright pixel
counting = torch.arange(1.0, 10.0).reshape(1, 1, 3, 3)  # 1 ... 9, so that every weight can be told from the others
correlated = F.conv2d(dot, counting)
convolved = F.conv2d(dot, counting.flip(2, 3))  # turned by 180 degrees: rows and columns in reverse order
print("F.conv2d of one bright pixel:")
print(correlated[0, 0].int())
print("with the kernel flipped first:")
print(convolved[0, 0].int())

signal, weights = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([4.0, 5.0])
ours = F.conv1d(signal.reshape(1, 1, -1), weights.reshape(1, 1, -1).flip(2), padding=len(weights) - 1).flatten()
swapped = F.conv1d(weights.reshape(1, 1, -1), signal.reshape(1, 1, -1).flip(2), padding=len(signal) - 1).flatten()
print("NumPy's convolve:  ", np.convolve(signal.numpy(), weights.numpy()))
print("conv1d, flipped:   ", ours.numpy())
print("places changed:    ", swapped.numpy())
print("(1+2x+3x²)(4+5x):  ", np.polynomial.polynomial.polymul(signal.numpy(), weights.numpy()))

# %% 10. A real picture: blur, sharpen, edges
to_grey = v2.Compose(
    [v2.ToImage(), v2.Grayscale(), v2.Resize(112), v2.CenterCrop(112), v2.ToDtype(torch.float32, scale=True)]
)
insects = ants_bees("val", to_grey)
bee, label = insects[insects.targets.index(insects.class_to_idx["bees"]) + 1]  # (1, 112, 112), 0...1
bee = bee.unsqueeze(0)  # (1, 112, 112) -> (1, 1, 112, 112)

down = torch.tensor([[-1.0, -2.0, -1.0], [0.0, 0.0, 0.0], [1.0, 2.0, 1.0]]) / 4  # brighter below than above?
kernels = {
    "blur": torch.full((7, 7), 1 / 49),  # the mean of the 49 pixels around
    "sharpen": torch.tensor([[0.0, -1.0, 0.0], [-1.0, 5.0, -1.0], [0.0, -1.0, 0.0]]),  # more unlike its neighbours
    "horizontal edges": down,
    "vertical edges": down.T,
}
filtered = {name: F.conv2d(bee, k[None, None], padding="same") for name, k in kernels.items()}  # each (1, 1, 112, 112)
flat = torch.full((1, 1, 9, 9), 0.5)
for name, k in kernels.items():
    middle = F.conv2d(flat, k[None, None])[0, 0, 0, 0].item()
    print(f"{name:16} weights add up to {k.sum().item():.0f}: flat 0.5 becomes {abs(middle):.1f}")

strength = (filtered["horizontal edges"] ** 2 + filtered["vertical edges"] ** 2).sqrt()  # an edge in any direction
panels = {"input": bee, **filtered, "edge strength": strength}
fig, axes = plt.subplots(2, 3, figsize=(6, 4.4), layout="constrained")
for ax, (name, panel) in zip(axes.flat, panels.items(), strict=True):
    signed = name.endswith("al edges")
    low, high = (-0.4, 0.4) if signed else (0, 0.4) if name == "edge strength" else (0, 1)
    ax.imshow(panel[0, 0].numpy(), cmap="gray", vmin=low, vmax=high, interpolation="nearest")
    ax.set_title(name)
    ax.axis("off")
fig.savefig(output_dir("Course07-Conv") / "kernels.png", dpi=100)

# %% 11. What the rim of zeros does
white = torch.ones(1, 1, 5, 5)
blur = torch.ones(1, 1, 3, 3) / 9
ninths = (F.conv2d(white, blur, padding="same") * 9)[0, 0].round().int()  # (1, 1, 5, 5) -> (5, 5)
print("ninths that are left:")
print(ninths)
repeated = F.conv2d(F.pad(white, [1, 1, 1, 1], mode="replicate"), blur)  # the rim repeats the nearest pixel
print("with a repeated rim, all 1:", torch.allclose(repeated, white))

# %% 12. Break it: two axes where four are wanted
try:
    F.conv2d(image, kernel)
except RuntimeError as error:
    print("RuntimeError:", error)

# %% 13. Break it: channels last
channels_last = np.zeros((160, 120, 3), dtype=np.float32)  # height, width, channels: as Pillow and OpenCV hand it out
try:
    F.conv2d(torch.from_numpy(channels_last).unsqueeze(0), torch.ones(1, 3, 3, 3))
except RuntimeError as error:
    print(fill(f"RuntimeError: {error}", 110))
channels_first = torch.from_numpy(channels_last).permute(2, 0, 1)  # (160, 120, 3) -> (3, 160, 120)
print("cured:", tuple(F.conv2d(channels_first.unsqueeze(0), torch.ones(1, 3, 3, 3)).shape))

# %% 14. Break it: bytes
light_grey = torch.full((1, 1, 3, 3), 200, dtype=torch.uint8)
try:
    F.conv2d(light_grey, torch.ones(1, 1, 3, 3))
except RuntimeError as error:
    print("RuntimeError:", error)
ones = torch.ones(1, 1, 3, 3, dtype=torch.uint8)
wrong = F.conv2d(light_grey, ones)
print("nine times 200 in bytes: ", wrong.item())
print("nine times 200 in floats:", F.conv2d(light_grey.float(), ones.float()).item())

# %% 15. Break it: sizes that do not go together
for picture, options in [(batch, {"stride": 2, "padding": "same"}), (batch, {"padding": "full"}), (batch[..., :2], {})]:
    try:
        F.conv2d(picture, weight, **options)
    except RuntimeError as error:
        print(fill(f"RuntimeError: {error}", 110))
