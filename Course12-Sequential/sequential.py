"""Course 12 · Sequential — how do layers become a network?

Run   python Course12-Sequential/sequential.py
See   outputs/Course12-Sequential          (the pictures)
      tensorboard --logdir logs            (the graph of section 17)
Read  notes.md, whose sections carry the numbers of the cells below
"""

# %% 1. Setup
import math
import warnings
from collections import OrderedDict
from itertools import pairwise

import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.utils.data import DataLoader
from torch.utils.tensorboard import SummaryWriter
from torchvision.transforms import v2

from common.data import cifar10
from common.models import CifarCNN, ClassicCNN, LeNet
from common.paths import fresh_log_dir, output_dir

torch.manual_seed(12)
num_classes = 10
to_float = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
test_loader = DataLoader(cifar10(train=False, transform=to_float), batch_size=64)
images, labels = next(iter(test_loader))  # (64, 3, 32, 32), (64,)
print("images", tuple(images.shape))

# %% 2. The course CNN, layer by layer
layers = [
    ("conv1", nn.Conv2d(3, 32, kernel_size=5, padding=2, bias=False)),
    ("norm1", nn.BatchNorm2d(32)),
    ("relu1", nn.ReLU()),
    ("pool1", nn.MaxPool2d(2)),
    ("conv2", nn.Conv2d(32, 32, kernel_size=5, padding=2, bias=False)),
    ("norm2", nn.BatchNorm2d(32)),
    ("relu2", nn.ReLU()),
    ("pool2", nn.MaxPool2d(2)),
    ("conv3", nn.Conv2d(32, 64, kernel_size=5, padding=2, bias=False)),
    ("norm3", nn.BatchNorm2d(64)),
    ("relu3", nn.ReLU()),
    ("pool3", nn.MaxPool2d(2)),
    ("flatten", nn.Flatten()),
    ("linear1", nn.Linear(64 * 4 * 4, 64)),
    ("relu4", nn.ReLU()),
    ("linear2", nn.Linear(64, num_classes)),
]
x = images
for name, layer in layers:
    x = layer(x)
    print(f"{name:8} {tuple(x.shape)}")
logits = x  # (64, 10)

# %% 3. The same network as a Sequential
sequential = nn.Sequential(*[layer for _, layer in layers])
print("the same logits:", torch.allclose(sequential(images), logits, atol=1e-4))
print("layers", len(sequential))
print("sequential[0] is a", type(sequential[0]).__name__)
print("sequential[:4] gives", tuple(sequential[:4](images).shape))
print("names", [name for name, _ in sequential.named_parameters()][:4])

# %% 4. Names instead of numbers: OrderedDict
named = nn.Sequential(OrderedDict(layers))
print("names", [name for name, _ in named.named_parameters()][:4])
print("named.conv1 is sequential[0]:", named.conv1 is sequential[0])
two_relus = OrderedDict([("relu", nn.ReLU()), ("pool", nn.MaxPool2d(2)), ("relu", nn.ReLU())])
print("3 layers given,", len(nn.Sequential(two_relus)), "kept")


# %% 5. The same network as a class
class CourseCNN(nn.Module):
    """__init__ makes the layers, forward says in which order they work."""

    def __init__(self, num_classes):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, kernel_size=5, padding=2, bias=False)
        self.norm1 = nn.BatchNorm2d(32)
        self.conv2 = nn.Conv2d(32, 32, kernel_size=5, padding=2, bias=False)
        self.norm2 = nn.BatchNorm2d(32)
        self.conv3 = nn.Conv2d(32, 64, kernel_size=5, padding=2, bias=False)
        self.norm3 = nn.BatchNorm2d(64)
        self.linear1 = nn.Linear(64 * 4 * 4, 64)
        self.linear2 = nn.Linear(64, num_classes)
        self.relu = nn.ReLU()  # owns no numbers: one ReLU serves four times
        self.pool = nn.MaxPool2d(2)  # and one pool three times

    def forward(self, images):
        x = self.pool(self.relu(self.norm1(self.conv1(images))))  # (N, 3, 32, 32) -> (N, 32, 16, 16)
        x = self.pool(self.relu(self.norm2(self.conv2(x))))  # -> (N, 32, 8, 8)
        x = self.pool(self.relu(self.norm3(self.conv3(x))))  # -> (N, 64, 4, 4)
        x = self.relu(self.linear1(x.flatten(1)))  # -> (N, 1024) -> (N, 64)
        return self.linear2(x)  # -> (N, 10)


model = CourseCNN(num_classes)
print("before:", torch.allclose(model(images), logits, atol=1e-4))
model.load_state_dict(named.state_dict())  # the names are the same, so the numbers find their places
print("after: ", torch.allclose(model(images), logits, atol=1e-4))
shapes = [tuple(value.shape) for value in model.state_dict().values()]
print("as in common.models:", shapes == [tuple(value.shape) for value in CifarCNN().state_dict().values()])

# %% 6. Predict every size of LeNet, then look
lenet = LeNet(num_classes)
x, size = images, 32
for layer in lenet.features:
    if isinstance(layer, nn.Conv2d):
        size = (size + 2 * layer.padding[0] - layer.kernel_size[0]) // layer.stride[0] + 1
    elif isinstance(layer, nn.MaxPool2d):
        size = (size - layer.kernel_size) // layer.stride + 1
    x = layer(x)
    print(f"{type(layer).__name__:9} predicted {size}x{size}, actual {tuple(x.shape)}")
print("so the first linear layer takes 16 * 5 * 5 =", 16 * size * size, "and has", lenet.classifier[1].in_features)

# %% 7. Predict which layer owns the most numbers, then look
total = sum(p.numel() for p in named.parameters())
for name, layer in named.named_children():
    count = sum(p.numel() for p in layer.parameters())
    if count:
        print(f"{name:8} {count:6} {count / total:4.0%}")
for network in (CifarCNN(), ClassicCNN(), LeNet()):
    print(type(network).__name__, sum(p.numel() for p in network.parameters()))

# %% 8. Break it: forget a pool
no_last_pool = nn.Sequential(OrderedDict((name, layer) for name, layer in layers if name != "pool3"))
try:
    no_last_pool(images)
except RuntimeError as error:
    print("RuntimeError:", str(error).split(": ")[-1])


# %% 9. Break it: keep the layers in a plain list
class PlainList(nn.Module):
    """Looks like a network, works like a network, and has no parameters."""

    def __init__(self):
        super().__init__()
        self.layers = [nn.Linear(64 * 4 * 4, 64), nn.ReLU(), nn.Linear(64, num_classes)]  # no nn.ModuleList, on purpose

    def forward(self, features):
        for layer in self.layers:
            features = layer(features)
        return features


features = named[:13](images)  # conv1 … flatten: (64, 3, 32, 32) -> (64, 1024)
plain = PlainList()
print("logits", tuple(plain(features).shape))
print("parameters", sum(p.numel() for p in plain.parameters()), "state_dict", dict(plain.state_dict()))
try:
    torch.optim.SGD(plain.parameters(), lr=0.01)  # what changes the weights in training
except ValueError as error:
    print("ValueError:", error)
try:
    plain.to(torch.float64)(features.to(torch.float64))
except RuntimeError as error:
    print("RuntimeError:", str(error).split(": ")[-1])
plain.layers = nn.ModuleList(plain.layers)
print("in a ModuleList:", sum(p.numel() for p in plain.parameters()), "parameters")

# ---- Second reading --------------------------------------------------------------------------------------------------

# %% 10. A list that you loop over yourself: ModuleList
stages = nn.ModuleList()
for in_channels, out_channels in pairwise([3, 32, 32, 64]):
    conv = nn.Conv2d(in_channels, out_channels, kernel_size=5, padding=2, bias=False)
    stages.append(nn.Sequential(conv, nn.BatchNorm2d(out_channels), nn.ReLU(), nn.MaxPool2d(2)))
feature_maps = [images]
for stage in stages:
    feature_maps.append(stage(feature_maps[-1]))
print("kept on the way:", [tuple(maps.shape[1:]) for maps in feature_maps])
try:
    stages(images)
except NotImplementedError as error:
    print("NotImplementedError:", error)

# %% 11. Layers to choose by name: ModuleDict
heads = nn.ModuleDict(
    {"which class": nn.Linear(64 * 4 * 4, num_classes), "animal or machine": nn.Linear(64 * 4 * 4, 2)}
)
for question, head in heads.items():
    print(f"{question:17} {tuple(head(features).shape)}")

# %% 12. Vary one thing: how large the first weights are
width, depth = 256, 20
noise = torch.randn(64, width)  # 64 samples of 256 numbers, spread 1


def spreads_through(init, activation):
    """The spread of the numbers after 0, 1, 2, … layers whose weights init has filled."""
    x, spread = noise, [noise.std().item()]
    for _ in range(depth):
        linear = nn.Linear(width, width, bias=False)
        with torch.no_grad():
            init(linear.weight)
            x = activation(linear(x))  # (64, 256) -> (64, 256)
        spread.append(x.std().item())
    return spread


inits = {
    "normal, std 1": lambda weight: nn.init.normal_(weight, std=1),
    "Kaiming normal": lambda weight: nn.init.kaiming_normal_(weight, nonlinearity="relu"),
    "PyTorch's default": lambda weight: nn.init.kaiming_uniform_(weight, a=math.sqrt(5)),  # as nn.Linear does it
    "normal, std 0.01": lambda weight: nn.init.normal_(weight, std=0.01),
}
spreads = {}
for name, init in inits.items():
    spreads["ReLU", name] = spreads_through(init, nn.ReLU())
    print(f"{name:17} after {depth} layers: 10^{round(math.log10(spreads['ReLU', name][-1]))}")

colours = dict(zip(inits, ["#D55E00", "#009E73", "#0072B2", "#E69F00"], strict=True))
fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for (_, name), spread in spreads.items():
    ax.semilogy(spread, "o-", color=colours[name], markersize=4, label=name)
ax.set(title="20 linear layers, each with a ReLU", xlabel="layer", ylabel="spread of the numbers", ylim=(1e-21, 1e23))
ax.set_xticks(range(0, depth + 1, 5))
ax.grid(alpha=0.3)
ax.legend(frameon=False, loc="upper left")
fig.savefig(output_dir("Course12-Sequential") / "initialisation.png", dpi=110)

# %% 13. Vary one thing: more ways to begin, and Tanh
inits["Xavier normal"] = nn.init.xavier_normal_
inits["constant 0.01"] = lambda weight: nn.init.constant_(weight, 0.01)
colours |= {"Xavier normal": "#CC79A7", "constant 0.01": "#999999"}
for activation in (nn.ReLU(), nn.Tanh()):
    for name, init in inits.items():
        spread = spreads[type(activation).__name__, name] = spreads_through(init, activation)
        print(f"{type(activation).__name__:4} {name:17} after {depth} layers: 10^{round(math.log10(spread[-1]))}")

fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for name, marker in zip(inits, "^ovPsD", strict=True):
    marker_size = 10 if name == "normal, std 1" else 4  # large, because the line of "constant 0.01" lies on it
    ax.semilogy(spreads["Tanh", name], color=colours[name], marker=marker, markersize=marker_size, label=name)
ax.set(title="20 linear layers, each with a Tanh", xlabel="layer", ylabel="spread of the numbers", ylim=(1e-17, 1e1))
ax.set_xticks(range(0, depth + 1, 5))
ax.grid(alpha=0.3)
ax.legend(frameon=False, loc="lower left")
fig.savefig(output_dir("Course12-Sequential") / "tanh.png", dpi=110)

# %% 14. Predict what 64 equal units learn, then look
for name in ("constant 0.01", "Kaiming normal"):
    hidden, out = nn.Linear(width, 64, bias=False), nn.Linear(64, num_classes, bias=False)
    inits[name](hidden.weight)
    inits[name](out.weight)
    out(torch.tanh(hidden(noise)))[:, 0].square().mean().backward()
    gradient = hidden.weight.grad  # (64, 256): one row per unit
    print(f"{name:14} all 64 rows of the gradient equal: {torch.allclose(gradient, gradient[:1].expand(64, -1))}")


# %% 15. Initialise a network by layer type
def begin(module):
    """What a layer starts with, by its type. Other modules are left as they are."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    elif isinstance(module, nn.Linear):
        nn.init.xavier_normal_(module.weight)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.ones_(module.weight)
        nn.init.zeros_(module.bias)


network = CifarCNN(num_classes)
network.apply(begin)  # calls begin(module) for every module inside, and for the network itself
conv2, linear1 = network.features[4], network.classifier[1]
print(f"conv2    std {conv2.weight.std():.3f}, Kaiming: {math.sqrt(2 / (32 * 5 * 5)):.3f}")
print(f"linear1  std {linear1.weight.std():.3f}, Xavier:  {math.sqrt(2 / (1024 + 64)):.3f}")

# %% 16. A real batch: two networks, three ways to begin
logit_spreads = {}
for network in (ClassicCNN(num_classes), CifarCNN(num_classes)):
    for name in ("PyTorch's default", "Kaiming normal", "normal, std 0.01"):
        for module in network.modules():  # the network itself and everything inside it
            if isinstance(module, nn.Conv2d | nn.Linear):
                inits[name](module.weight)
        with torch.no_grad():
            spread = network(images).std(dim=0).mean().item()  # how differently the 64 pictures are answered
        logit_spreads[type(network).__name__, name] = spread
        print(f"{type(network).__name__:10} {name:17} spread of the logits {spread:.6f}")

# %% 17. The graph in TensorBoard
with SummaryWriter(fresh_log_dir("Course12-Sequential")) as writer, warnings.catch_warnings(action="ignore"):
    writer.add_graph(CifarCNN(num_classes).eval(), images[:1])  # traces with torch.jit, which PyTorch itself deprecates
print("logged the graph of CifarCNN")

# %% 18. Break it: one number for normal_
meant = nn.init.normal_(torch.empty(width, width), std=0.1)
slip = nn.init.normal_(torch.empty(width, width), 0.1)  # looks like std=0.1
for name, weight in (("normal_(w, std=0.1)", meant), ("normal_(w, 0.1)", slip)):
    print(f"{name:19} mean {weight.mean().abs():.1f}, std {weight.std():.1f}")


# %% 19. Break it: register a layer and never use it
class Forgotten(CourseCNN):
    """The course CNN with one more layer, which forward() does not know."""

    def __init__(self):
        super().__init__(num_classes)
        self.linear3 = nn.Linear(64, 64)


forgotten = Forgotten()
forgotten(images).sum().backward()
print("parameters", sum(p.numel() for p in forgotten.parameters()), "instead of", total)
print("without a gradient:", [name for name, p in forgotten.named_parameters() if p.grad is None])

# %% 20. Break it: two paths that share layers
times_three = nn.Sequential(*[nn.Linear(64, 64)] * 3)  # the same layer in three places
three_layers = nn.Sequential(*[nn.Linear(64, 64) for _ in range(3)])
print("layer * 3:   ", sum(p.numel() for p in times_three.parameters()), "parameters")
print("three layers:", sum(p.numel() for p in three_layers.parameters()), "parameters")


class TwoPaths(nn.Module):
    """Registers its layers twice, by name and in a Sequential, as many notes do who try both."""

    def __init__(self):
        super().__init__()
        self.linear1 = nn.Linear(64 * 4 * 4, 64)
        self.linear2 = nn.Linear(64, num_classes)
        self.model = nn.Sequential(self.linear1, nn.ReLU(), self.linear2)

    def forward(self, features):
        return self.model(features)


two_paths = TwoPaths()
print("parameters():", [name for name, _ in two_paths.named_parameters() if name.endswith("weight")])
print("state_dict():", [name for name in two_paths.state_dict() if name.endswith("weight")])
two_paths.linear2 = nn.Linear(64, 2)  # a new last layer, for two classes …
print("linear2 replaced, answers", tuple(two_paths(features).shape))  # … on the path that forward() does not take
