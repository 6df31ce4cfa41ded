"""Course 08 · Conv2d — what does one convolution layer do to a batch of images?

Run   python Course08-Conv2d/conv2d.py
See   tensorboard --logdir logs        (runs under Course08-Conv2d)
Read  notes.md, whose sections carry the numbers of the cells below
"""

# %% 1. Setup
import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.utils.data import DataLoader
from torch.utils.tensorboard import SummaryWriter
from torchvision.transforms import v2

from common.data import cifar10
from common.paths import fresh_log_dir, output_dir

torch.manual_seed(8)
to_float = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
test_loader = DataLoader(cifar10(train=False, transform=to_float), batch_size=64)
images, labels = next(iter(test_loader))  # (64, 3, 32, 32), (64,)
print("images", tuple(images.shape), images.dtype)

# %% 2. What the layer owns
conv = nn.Conv2d(in_channels=3, out_channels=6, kernel_size=3)
print(conv)
print("weight", tuple(conv.weight.shape))  # (out_channels, in_channels, kH, kW): six kernels, each 3 channels deep
print("bias", tuple(conv.bias.shape))  # one number per output channel
print("parameters", sum(p.numel() for p in conv.parameters()), "= 6 * (3*3*3 + 1)")

# %% 3. Predict the output size, then look
feature_maps = conv(images)  # (64, 3, 32, 32) -> (64, 6, 30, 30)
print("feature maps", tuple(feature_maps.shape))


def conv_size(size, kernel_size, stride=1, padding=0, dilation=1):
    """Height or width after a convolution: floor((I + 2p - d(k-1) - 1) / s) + 1."""
    return (size + 2 * padding - dilation * (kernel_size - 1) - 1) // stride + 1


for k, s, p, d in [(3, 1, 0, 1), (5, 1, 2, 1), (3, 2, 1, 1), (3, 1, 0, 2), (4, 4, 0, 1)]:
    layer = nn.Conv2d(3, 6, kernel_size=k, stride=s, padding=p, dilation=d)
    print(f"k={k} s={s} p={p} d={d}: predicted {conv_size(32, k, s, p, d)}, actual {layer(images).shape[-1]}")

# %% 4. One output number, by hand
patch = images[0, :, 10:13, 20:23]  # (3, 3, 3): what a kernel sees for output row 10, column 20
by_hand = (patch * conv.weight[4]).sum() + conv.bias[4]
print("by hand equals layer:", torch.allclose(by_hand, feature_maps[0, 4, 10, 20], atol=1e-6))

# %% 5. Vary one thing: dilation
# One bright pixel and a kernel of ones: the output shows from where the kernel can see that pixel.
dot = torch.zeros(1, 1, 7, 7)
dot[0, 0, 3, 3] = 1
for dilation in (1, 2):
    spread = nn.Conv2d(1, 1, kernel_size=3, padding=dilation, dilation=dilation, bias=False)
    nn.init.ones_(spread.weight)
    print(f"dilation {dilation}: {spread.weight.numel()} weights")
    print(spread(dot)[0, 0].int())  # (1, 1, 7, 7) -> (1, 1, 7, 7)

# %% 6. Vary one thing: groups
all_to_all = nn.Conv2d(6, 6, kernel_size=3, padding=1, bias=False)
depthwise = nn.Conv2d(6, 6, kernel_size=3, padding=1, bias=False, groups=6)
for layer in (all_to_all, depthwise):
    before = layer(feature_maps)  # (64, 6, 30, 30) -> (64, 6, 30, 30)
    brighter = feature_maps.clone()
    brighter[:, 0] += 1  # only channel 0 of the input changes …
    changed = (layer(brighter) != before).any(dim=3).any(dim=2).any(dim=0)  # … and these channels of the output
    print(f"groups={layer.groups}: weight {tuple(layer.weight.shape)}, changed {changed.nonzero().flatten().tolist()}")

# %% 7. A real batch: six kernels that mean something
blur = torch.full((3, 3), 1 / 9)
down = torch.tensor([[-1.0, -2.0, -1.0], [0.0, 0.0, 0.0], [1.0, 2.0, 1.0]]) / 4  # Sobel: brighter below than above?
sharp = torch.tensor([[0.0, -1.0, 0.0], [-1.0, 5.0, -1.0], [0.0, -1.0, 0.0]])
centre = torch.tensor([[0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
grey = torch.ones(3, 1, 1) / 3  # the same kernel on red, green and blue: it sees the mean of the three
kernels = {
    "blur": grey * blur,
    "sharpen": grey * sharp,
    "horizontal edges": grey * down,
    "vertical edges": grey * down.T,
    "red": torch.tensor([1.0, 0.0, 0.0])[:, None, None] * centre,
    "red minus blue": torch.tensor([1.0, 0.0, -1.0])[:, None, None] * centre,
}
with torch.no_grad():
    conv.weight.copy_(torch.stack(list(kernels.values())))  # (6, 3, 3, 3)
    conv.bias.zero_()
    feature_maps = conv(images)  # (64, 3, 32, 32) -> (64, 6, 30, 30)
for name, channel in zip(kernels, feature_maps.unbind(1), strict=True):
    print(f"{name:16} all of it in 0...1: {bool((channel >= 0).all() and (channel <= 1).all())}")

# %% 8. Show six channels in TensorBoard
# An image has 1 or 3 channels; a feature map has as many as there are kernels.
first = feature_maps[0]  # (6, 30, 30)
low, high = first.amin(dim=(1, 2), keepdim=True), first.amax(dim=(1, 2), keepdim=True)
as_grey_images = ((first - low) / (high - low)).unsqueeze(1)  # (6, 30, 30) -> (6, 1, 30, 30): six pictures of ONE input
with SummaryWriter(fresh_log_dir("Course08-Conv2d")) as writer:
    writer.add_images("input", images[:8], 0)
    writer.add_images("feature maps of the first image", as_grey_images, 0)
print("logged", tuple(as_grey_images.shape), "in 0...1")

fig, axes = plt.subplots(2, 7, figsize=(12, 3.8), layout="constrained")
for row, picture, maps in zip(axes, images[[0, 3]], feature_maps[[0, 3]], strict=True):
    row[0].imshow(picture.permute(1, 2, 0).numpy())  # (3, 32, 32) -> (32, 32, 3): matplotlib wants the channels last
    for ax, channel in zip(row[1:], maps, strict=True):
        ax.imshow(channel.numpy(), cmap="gray")
for ax, title in zip(axes[0], ["input", *kernels], strict=True):
    ax.set_title(title, fontsize=10)
for ax in axes.flat:
    ax.axis("off")
fig.savefig(output_dir("Course08-Conv2d") / "feature_maps.png", dpi=100)

# %% 9. Break it: the reshape that lies
lies = feature_maps.reshape(-1, 3, 30, 30)  # (64, 6, 30, 30) -> (128, 3, 30, 30)
print("128 pictures from 64 images:", tuple(lies.shape))
print("picture 1 is channels 3-5 of image 0:", torch.equal(lies[1], feature_maps[0, 3:6]))

# %% 10. Break it: a batch with the wrong number of channels
try:
    conv(images[:, :1])  # (64, 1, 32, 32)
except RuntimeError as error:
    print("RuntimeError:", str(error).split(", but")[0])

# %% 11. Break it: bytes instead of floats
try:
    conv((images * 255).to(torch.uint8))
except RuntimeError as error:
    print("RuntimeError:", error)
