"""Course 07 · Conv — what does one kernel do to one picture?

Run   python Course07-Conv/conv.py
See   outputs/Course07-Conv            (the picture that it draws)
Read  notes.md, whose sections carry the numbers of the cells below
"""

# %% 1. Setup
import warnings
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
print("the same numbers, sliced:", torch.equal(strided, output[:, :, ::2, ::2]))

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

# %% 8. A whole picture: blur, sharpen, edges
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
    print(f"{name:16} sum {k.sum().item():.0f}: 0.5 -> {abs(middle):.1f}")

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

# %% 9. Break it: channels last
channels_last = np.zeros((160, 120, 3), dtype=np.float32)  # height, width, channels: as Pillow and OpenCV give it
try:
    F.conv2d(torch.from_numpy(channels_last).unsqueeze(0), torch.ones(1, 3, 3, 3))
except RuntimeError as error:
    print(fill(f"RuntimeError: {error}", 80))
channels_first = torch.from_numpy(channels_last).permute(2, 0, 1)  # (160, 120, 3) -> (3, 160, 120)
print("cured:", tuple(F.conv2d(channels_first.unsqueeze(0), torch.ones(1, 3, 3, 3)).shape))

# %% 10. Break it: bytes
light_grey = torch.full((1, 1, 3, 3), 200, dtype=torch.uint8)
ones = torch.ones(1, 1, 3, 3)
try:
    F.conv2d(light_grey, ones)
except RuntimeError as error:
    print("weights floats: RuntimeError:", error)
wrong = F.conv2d(light_grey, ones.to(torch.uint8))
print("weights bytes: ", wrong.item())
print("all floats:    ", int(F.conv2d(light_grey.float(), ones).item()))

# ---- Second reading --------------------------------------------------------------------------------------------------

# %% 11. VALID, SAME and FULL
modes = {"VALID": 0, "SAME": (len(kernel) - 1) // 2, "FULL": len(kernel) - 1}  # how wide the rim of zeros is
by_mode = {mode: F.conv2d(batch, weight, padding=rim) for mode, rim in modes.items()}
for mode, result in by_mode.items():
    print(f"{mode:5} padding {modes[mode]}: {tuple(batch.shape[2:])} -> {tuple(result.shape[2:])}")
print('padding="valid":', torch.equal(F.conv2d(batch, weight, padding="valid"), by_mode["VALID"]))
print('padding="same": ', torch.equal(F.conv2d(batch, weight, padding="same"), by_mode["SAME"]))

# %% 12. SAME with a kernel of even size
row = torch.tensor([[[1.0, 2.0, 3.0, 4.0]]])  # (1, 1, 4): one picture, one channel, four pixels in one row
for k in (3, 2, 5, 4):
    ones = torch.ones(1, 1, k)  # each output is the sum of k neighbours
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch warns that an even kernel may cost a copy of the input
        same = F.conv1d(row, ones, padding="same")  # (1, 1, 4) -> (1, 1, 4)
    left = (k - 1) // 2
    right = k - 1 - left
    as_padded = torch.equal(same, F.conv1d(F.pad(row, [left, right]), ones))
    print(f"k={k}: {[int(x) for x in same[0, 0]]}, as with {left} zeros left and {right} right: {as_padded}")
even = torch.ones(1, 1, 2, 2)
for mode, rim in (("VALID", [0, 0, 0, 0]), ("SAME", [0, 1, 0, 1]), ("FULL", [1, 1, 1, 1])):  # left, right, top, bottom
    print(f"{mode:5} 2x2 kernel: {tuple(F.conv2d(F.pad(batch, rim), even).shape[2:])}")

# %% 13. A kernel that is not square
wide = torch.full((1, 1, 3, 5), 1 / 15)  # 3 rows, 5 columns
for options in ({}, {"padding": (1, 2)}, {"padding": (1, 2), "stride": (1, 2)}):
    print(options, tuple(F.conv2d(bee, wide, **options).shape[2:]))
print("by the formula:", (conv_size(112, 3), conv_size(112, 5)))
across = torch.full((1, 1, 1, 7), 1 / 7)  # the mean of 7 pixels in a row …
two_passes = F.conv2d(bee, across, padding="same")
two_passes = F.conv2d(two_passes, across.transpose(2, 3), padding="same")  # … then of 7 in a column
print("7 + 7 weights blur as 49 do:", torch.allclose(two_passes, filtered["blur"], atol=1e-5))

# %% 14. Convolution or cross-correlation?
dot = torch.zeros(1, 1, 5, 5)
dot[0, 0, 2, 2] = 1  # one bright pixel
counting = torch.arange(1.0, 10.0).reshape(1, 1, 3, 3)  # 1 ... 9, so that every weight can be told from the others
correlated = F.conv2d(dot, counting)
convolved = F.conv2d(dot, counting.flip(2, 3))  # turned by 180 degrees: rows and columns in reverse order
print("F.conv2d of one bright pixel:")
print(correlated[0, 0].int())
print("with the kernel turned first:")
print(convolved[0, 0].int())
print("a half turn:", torch.equal(correlated, counting.rot90(2, dims=(2, 3))))
print("a mirror image, top to bottom:", torch.equal(correlated, counting.flip(2)))

# %% 15. Why anybody turns the kernel: polynomials
signal, weights = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([4.0, 5.0])
ours = F.conv1d(signal.reshape(1, 1, -1), weights.reshape(1, 1, -1).flip(2), padding=len(weights) - 1).flatten()
swapped = F.conv1d(weights.reshape(1, 1, -1), signal.reshape(1, 1, -1).flip(2), padding=len(signal) - 1).flatten()
print("NumPy's convolve:  ", np.convolve(signal.numpy(), weights.numpy()))
print("conv1d, flipped:   ", ours.numpy())
print("places changed:    ", swapped.numpy())
print("(1+2x+3x²)(4+5x):  ", np.polynomial.polynomial.polymul(signal.numpy(), weights.numpy()))

# %% 16. The continuous integral
for h in (0.1, 0.01, 0.001):  # the distance between two samples
    steps = round(1 / h)
    t = torch.arange(3 * steps, dtype=torch.float64) * h  # 0 … 3
    box, decay = torch.ones(steps, dtype=torch.float64), torch.exp(-t)  # 1 for one second; e^-t from then on
    full = F.conv1d(decay.reshape(1, 1, -1), box.reshape(1, 1, -1).flip(2), padding=steps - 1).flatten() * h
    exact = torch.where(t < 1, 1 - torch.exp(-t), torch.exp(1 - t) - torch.exp(-t))
    print(f"samples every {h}: largest error {(full[: len(t)] - exact).abs().max():.3f}")

# %% 17. What the rim of zeros does
white = torch.ones(1, 1, 5, 5)
blur = torch.ones(1, 1, 3, 3) / 9
ninths = (F.conv2d(white, blur, padding="same") * 9)[0, 0].round().int()  # (1, 1, 5, 5) -> (5, 5)
print("ninths that are left:")
print(ninths)
repeated = F.conv2d(F.pad(white, [1, 1, 1, 1], mode="replicate"), blur)  # the rim repeats the nearest pixel
print("with a repeated rim, all 1:", torch.allclose(repeated, white))

# %% 18. Break it: two axes where four are wanted
try:
    F.conv2d(image, kernel)
except RuntimeError as error:
    print("RuntimeError:", error)

# %% 19. Break it: sizes that do not go together
for picture, options in [(batch, {"stride": 2, "padding": "same"}), (batch, {"padding": "full"}), (batch[..., :2], {})]:
    try:
        F.conv2d(picture, weight, **options)
    except RuntimeError as error:
        print(fill(f"RuntimeError: {error}", 80))
