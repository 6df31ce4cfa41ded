"""Course 08 · Conv2d — what does one convolution layer do to a batch of images?

Run   python Course08-Conv2d/conv2d.py
See   tensorboard --logdir logs        (runs under Course08-Conv2d)
      outputs/Course08-Conv2d/         (the picture that it draws)
Read  notes.md, whose sections carry the numbers of the cells below
"""

# %% 1. Setup
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

torch.manual_seed(8)
to_float = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
test_loader = DataLoader(cifar10(train=False, transform=to_float), batch_size=64)
images, labels = next(iter(test_loader))  # (64, 3, 32, 32), (64,)
print("images", tuple(images.shape), images.dtype)

# %% 2. What the layer owns
conv = nn.Conv2d(in_channels=3, out_channels=6, kernel_size=3)
print(conv)
print("weight", tuple(conv.weight.shape))  # (out_channels, in_channels, kH, kW): six kernels, each with three tables
print("bias", tuple(conv.bias.shape))  # one number per output channel
print("parameters", sum(p.numel() for p in conv.parameters()))

# %% 3. One output number, by hand
feature_maps = conv(images)  # (64, 3, 32, 32) -> (64, 6, 30, 30)
print("feature maps", tuple(feature_maps.shape))
patch = images[0, :, 10:13, 20:23]  # what a kernel sees for output row 10, column 20
products = patch * conv.weight[4]
print("patch", tuple(patch.shape), "products", products.numel())
by_hand = products.sum() + conv.bias[4]
print("by hand equals layer:", torch.allclose(by_hand, feature_maps[0, 4, 10, 20], atol=1e-6))

# %% 4. Predict the output size, then look


def conv_size(size, kernel_size, stride=1, padding=0):
    """Height or width after a convolution: floor((I + 2p - k) / s) + 1."""
    return (size + 2 * padding - kernel_size) // stride + 1


for k, s, p in [(3, 1, 0), (5, 1, 2), (3, 2, 1), (4, 4, 0)]:
    layer = nn.Conv2d(3, 6, kernel_size=k, stride=s, padding=p)
    print(f"k={k} s={s} p={p}: predicted {conv_size(32, k, s, p)}, actual {tuple(layer(images).shape)}")

# %% 5. The layer, written by hand


class HandmadeConv2d(nn.Module):
    def __init__(self, in_channels, out_channels, kernel_size):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel_size, kernel_size) * 0.1)
        self.bias = nn.Parameter(torch.zeros(out_channels))

    def forward(self, images):
        return F.conv2d(images, self.weight, self.bias)


handmade = HandmadeConv2d(in_channels=3, out_channels=6, kernel_size=3)
print("the same before loading:", torch.equal(handmade(images), conv(images)))
print("loading:", handmade.load_state_dict(conv.state_dict()))
print("the same after loading:", torch.equal(handmade(images), conv(images)))

# %% 6. A real batch: six kernels that mean something
blur = torch.full((3, 3), 1 / 9)
down = torch.tensor([[-1.0, -2.0, -1.0], [0.0, 0.0, 0.0], [1.0, 2.0, 1.0]]) / 4  # brighter below than above?
sharp = torch.tensor([[0.0, -1.0, 0.0], [-1.0, 5.0, -1.0], [0.0, -1.0, 0.0]])
centre = torch.tensor([[0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
grey = torch.ones(3, 1, 1) / 3  # the same kernel on red, green and blue: it sees the mean of the three
kernels = {
    "blur": grey * blur,
    "sharpen": grey * sharp,
    "red": torch.tensor([1.0, 0.0, 0.0])[:, None, None] * centre,
    "horizontal edges": grey * down,
    "vertical edges": grey * down.T,
    "red minus blue": torch.tensor([1.0, 0.0, -1.0])[:, None, None] * centre,
}
with torch.no_grad():
    conv.weight.copy_(torch.stack(list(kernels.values())))  # (6, 3, 3, 3)
    conv.bias.zero_()
    feature_maps = conv(images)  # (64, 3, 32, 32) -> (64, 6, 30, 30)
for name, channel in zip(kernels, feature_maps.unbind(1), strict=True):
    print(f"{name:16} all of it in 0...1: {bool((channel >= 0).all() and (channel <= 1).all())}")

# %% 7. Show six channels in TensorBoard
# An image has 1 or 3 channels; a feature map has as many as there are kernels.
first = feature_maps[2]  # (6, 30, 30): the maps of one image, a truck in the drawn stand-in
low, high = first.min(), first.max()  # one scale for all six, so that the same grey is the same number
as_grey_images = ((first - low) / (high - low)).unsqueeze(1)  # (6, 30, 30) -> (6, 1, 30, 30): six images of ONE input
with SummaryWriter(fresh_log_dir("Course08-Conv2d")) as writer:
    writer.add_images("input", images[:8], 0)
    writer.add_images("feature maps of the third image", as_grey_images, 0)
print("logged", tuple(as_grey_images.shape), "in 0...1")

fig, axes = plt.subplots(2, 4, figsize=(9, 4.6), layout="constrained")
signed = LinearSegmentedColormap.from_list("signed", ["#0072B2", "white", "#D55E00"])  # below 0, 0, above 0
scales = ({"cmap": "gray", "vmin": 0, "vmax": 1}, {"cmap": signed, "vmin": -0.5, "vmax": 0.5})
for row, scale, three in zip(axes, scales, (slice(0, 3), slice(3, 6)), strict=True):
    row[0].imshow(images[2].permute(1, 2, 0).numpy())  # (3, 32, 32) -> (32, 32, 3): matplotlib wants the channels last
    for ax, channel in zip(row[1:], first[three], strict=True):
        shown = ax.imshow(channel.numpy(), **scale)
    for ax, title in zip(row, ["input", *list(kernels)[three]], strict=True):
        ax.set_title(title, fontsize=12)
        ax.axis("off")
    fig.colorbar(shown, ax=row[-1])
fig.savefig(output_dir("Course08-Conv2d") / "feature_maps.png", dpi=110)

# %% 8. Break it: the reshape that lies
lies = feature_maps.reshape(-1, 3, 30, 30)
print(f"{len(feature_maps)} images in, {len(lies)} out:", tuple(lies.shape))
for n in range(64):
    for c in range(4):
        if torch.equal(lies[1], feature_maps[n, c : c + 3]):
            print(f"image 1 of the output: channels {c} to {c + 2} of image {n}")

# %% 9. Break it: a batch with the wrong number of channels
try:
    conv(images[:, :1])  # (64, 1, 32, 32)
except RuntimeError as error:
    print("RuntimeError:", str(error).split(", but")[0])

# ---- Second reading --------------------------------------------------------------------------------------------------

# %% 10. A kernel that is not square
flat_kernel = nn.Conv2d(3, 6, kernel_size=(3, 5))
print("weight", tuple(flat_kernel.weight.shape))
print("maps  ", tuple(flat_kernel(images).shape), "predicted", (conv_size(32, 3), conv_size(32, 5)))
same_size = nn.Conv2d(3, 6, kernel_size=(3, 5), padding=(1, 2))
print("padded", tuple(same_size(images).shape))

# %% 11. Vary one thing: dilation
# One bright pixel and a kernel of ones: the output shows from where the kernel can see that pixel.
dot = torch.zeros(1, 1, 7, 7)
dot[0, 0, 3, 3] = 1
for dilation in (1, 2):
    spread = nn.Conv2d(1, 1, kernel_size=3, padding=dilation, dilation=dilation, bias=False)
    nn.init.ones_(spread.weight)
    print(f"dilation {dilation}: {spread.weight.numel()} weights")
    print(spread(dot)[0, 0].int())  # (1, 1, 7, 7) -> (1, 1, 7, 7)

for k, s, p, d in [(3, 1, 0, 2), (3, 1, 2, 2), (5, 2, 0, 3)]:
    reach = d * (k - 1) + 1  # what takes the place of k in the formula
    layer = nn.Conv2d(3, 6, kernel_size=k, stride=s, padding=p, dilation=d)
    print(f"k={k} s={s} p={p} d={d}: predicted {conv_size(32, reach, s, p)}, actual {layer(images).shape[-1]}")

# %% 12. Vary one thing: groups
all_to_all = nn.Conv2d(6, 6, kernel_size=3, padding=1, bias=False)
depthwise = nn.Conv2d(6, 6, kernel_size=3, padding=1, bias=False, groups=6)
for layer in (all_to_all, depthwise):
    before = layer(feature_maps)  # (64, 6, 30, 30) -> (64, 6, 30, 30)
    brighter = feature_maps.clone()
    brighter[:, 0] += 1  # only channel 0 of the input changes …
    changed = (layer(brighter) != before).any(dim=3).any(dim=2).any(dim=0)  # … and these channels of the output
    print(f"groups={layer.groups}: weight {tuple(layer.weight.shape)}, changed {changed.nonzero().flatten().tolist()}")

# %% 13. Which layers mix images?
batch_norm = nn.BatchNorm2d(6)
for training in (True, False):
    for layer in (conv, batch_norm.train(training)):
        batch = images if layer is conv else feature_maps
        alone, in_company = layer(batch[:1])[0], layer(batch)[0]  # the same image, alone and as one of 64
        same = torch.allclose(alone, in_company, atol=1e-5)
        print(f"{training=}, {type(layer).__name__}: the same alone and in company: {same}")

# %% 14. Break it: bytes instead of floats
try:
    conv((images * 255).to(torch.uint8))
except RuntimeError as error:
    print("RuntimeError:", error)
