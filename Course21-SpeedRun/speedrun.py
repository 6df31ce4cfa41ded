"""Course 21 · SpeedRun — how fast can a machine learn CIFAR-10 to 94 %?

Run   python Course21-SpeedRun/speedrun.py --quick        a look, 10 s on a CPU
      python Course21-SpeedRun/speedrun.py --data FOLDER  the ladder, on a GPU
See   outputs/Course21-SpeedRun/ladder.json
Read  notes.md

A ladder from Course 19's recipe on, one change a rung. The ideas are those of
others (notes, section 9), written anew. What only measures is measuring.py.
"""

import dataclasses
import itertools
import math
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from measuring import Ladder, main, synchronize
from muon import Muon, compile_once, orthogonalised
from torch import Tensor, nn

from common.device import has_fast_bfloat16
from common.models import CifarCNN

# ---- The rungs -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Recipe:
    """The settings of one training. The defaults are Course 19's modern recipe."""

    epochs: float = 10
    batch_size: int = 64
    lr: float = 0.05  # highest learning rate of SGD, for the mean loss of a batch of this size
    momentum: float = 0.9
    weight_decay: float = 5e-4
    schedule: str | tuple = "onecycle"  # or a triangle: first factor, place of the peak (0…1), last factor
    label_smoothing: float = 0.1
    shift: int = 4  # pixels: how far a training picture is moved at most
    alternate: bool = False  # mirror a picture in every other epoch, not at random
    wide: bool = False  # WideNet instead of the course CNN
    half: bool = False  # convolutions and products in 16 bits
    whiten: bool = False  # the first layer is computed from the pictures; its bias learns in the first 30 % of steps
    copies: bool = False  # 3x3 convolutions begin as copies of their input
    logit_scale: float = 1
    bias_factor: float = 1  # how much faster the biases of BatchNorm learn than the other weights
    lookahead: bool = False
    views: int = 1  # of a test picture: 1; 2: mirrored, too; 6: both also moved by a pixel, in two directions
    muon: bool = False  # Muon instead of SGD for the 3x3 convolutions
    compile: bool = False
    small: float = 0  # the share (0…1) of the epochs, from the first on, that see pictures of 24x24


AIRBENCH94 = {"epochs": 9.9, "lr": 1.5, "momentum": 0.85, "weight_decay": 0.00133, "schedule": (0.2, 0.23, 0.07)}
AIRBENCH94 |= {"label_smoothing": 0.2, "bias_factor": 64}
MUON = {"muon": True, "batch_size": 2000, "epochs": 8, "schedule": (1, 0, 0), "logit_scale": 1 / 256}
RUNGS = {  # name: what the rung adds, and the settings that it changes; all else is as on the rung above
    "course19": ("Course 19's recipe", {}),
    "wide": ("a wider network of 3x3 convolutions", {"wide": True}),
    "batch": ("batches of 1,024, lr times 16", {"batch_size": 1024, "lr": 0.8}),
    "half": ("half precision", {"half": True}),
    "whiten": ("a whitening first layer", {"whiten": True}),
    "copies": ("convolutions begin as copies", {"copies": True, "logit_scale": 1 / 9}),
    "settings": ("the settings of airbench94", AIRBENCH94),
    "flips": ("flips in turn, smaller shifts", {"alternate": True, "shift": 2}),
    "lookahead": ("Lookahead", {"lookahead": True}),
    "views": ("six views of each test picture", {"views": 6}),
    "muon": ("Muon, batches of 2,000, 8 epochs", MUON | {"lookahead": False}),
    "compile": ("torch.compile with CUDA graphs", {"compile": True}),
    "small": ("the first three epochs at 24x24", {"small": 3 / 8}),
}


def recipe_of(rung: str, device: torch.device, count: int) -> Recipe:
    """The settings of a rung for so many training pictures, without what this device cannot do."""
    climbed = list(RUNGS)[: list(RUNGS).index(rung) + 1]
    recipe = Recipe(**{setting: value for name in climbed for setting, value in RUNGS[name][1].items()})
    half = recipe.half and (device.type == "cuda" or has_fast_bfloat16(device))
    size = min(recipe.batch_size, count // 4)
    lr = recipe.lr * size / recipe.batch_size  # half the pictures in a step: half the step
    compiled = recipe.compile and device.type == "cuda"
    return dataclasses.replace(recipe, half=half, compile=compiled, batch_size=size, lr=lr)


# ---- Pictures --------------------------------------------------------------------------------------------------------


def normalised(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """uint8 (N, H, W, 3) -> float32 (N, 3, H, W), channels last in memory, mean 0 and standard deviation 1."""
    return (images / 255).sub_(mean).div_(std).permute(0, 3, 1, 2)


def move_and_flip(images: Tensor, shift: Tensor, flip: Tensor) -> Tensor:
    """Each picture moved by its shift, rows and columns, with mirrored borders, and then mirrored where flip is set.

    images (N, H, W, 3) with H = W; shift int64 (N, 2); flip bool (N,). All pictures at once.
    """
    along, last = torch.arange(images.shape[1], device=images.device), images.shape[1] - 1
    places = last - (last - (along + shift[:, :, None]).abs()).abs()  # (N, 2, H); -1 becomes 1, and H becomes H - 2
    rows, columns = places.unbind(1)
    columns = torch.where(flip[:, None], columns.flip(1), columns)
    return images[torch.arange(len(images), device=images.device)[:, None, None], rows[:, :, None], columns[:, None]]


def batches(images: Tensor, labels: Tensor, mean: Tensor, std: Tensor, recipe: Recipe) -> Iterator:
    """Batches of one epoch after the other, without end. A few operations prepare a whole epoch (unlike Course 19)."""
    count, device = len(images), images.device
    flip = torch.rand(count, device=device) < 0.5
    for epoch in itertools.count(1):
        flip = ~flip if recipe.alternate else torch.rand(count, device=device) < 0.5
        shift = torch.randint(-recipe.shift, recipe.shift + 1, (count, 2), device=device)
        pictures = normalised(move_and_flip(images, shift, flip), mean, std)
        if epoch <= math.ceil(recipe.small * recipe.epochs):
            pictures = F.interpolate(pictures, scale_factor=0.75, mode="bilinear", antialias=True)
        order = torch.randperm(count, device=device)[: count - count % recipe.batch_size]  # no smaller last batch
        for index in order.split(recipe.batch_size):
            yield pictures[index].contiguous(memory_format=torch.channels_last), labels[index]


# ---- The network -----------------------------------------------------------------------------------------------------


class WideNet(nn.Module):
    """A 2x2 convolution, six of 3x3 and a linear layer: (N, 3, 32, 32) -> (N, num_classes)."""

    def __init__(self, width: int, num_classes: int, logit_scale: float):
        super().__init__()
        self.first = nn.Conv2d(3, 24, kernel_size=2)  # (N, 3, 32, 32) -> (N, 24, 31, 31)
        self.rest = nn.Sequential(
            nn.GELU(),
            *two_convolutions(24, width),  # -> (N, width, 15, 15)
            *two_convolutions(width, 4 * width),  # -> (N, 4 * width, 7, 7)
            *two_convolutions(4 * width, 4 * width),  # -> (N, 4 * width, 3, 3)
        )
        self.head = nn.Linear(4 * width, num_classes, bias=False)
        self.logit_scale = logit_scale

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.rest(self.first(images)).amax(dim=(2, 3))) * self.logit_scale


def two_convolutions(in_channels: int, out_channels: int) -> list[nn.Module]:
    """With a pool between. BatchNorm without scales, and with a tiny eps: the scale of the weights does not matter."""
    kernel = {"kernel_size": 3, "padding": 1, "bias": False}
    conv1, conv2 = nn.Conv2d(in_channels, out_channels, **kernel), nn.Conv2d(out_channels, out_channels, **kernel)
    norm1, norm2 = (nn.BatchNorm2d(out_channels, eps=1e-12, momentum=0.4) for _ in range(2))
    norm1.weight.requires_grad_(False), norm2.weight.requires_grad_(False)
    return [conv1, nn.MaxPool2d(2), norm1, nn.GELU(), conv2, norm2, nn.GELU()]


def whitening_filters(images: Tensor, eps: float = 5e-4) -> Tensor:
    """Filters (24, 3, 2, 2): 12 whose outputs have variance 1 and no correlation, and their negatives (for GELU).

    images (N, 3, H, W) as the network sees them. eps keeps directions that hardly vary from being blown up.
    """
    patches = F.unfold(images, kernel_size=2).transpose(1, 2).flatten(0, 1)  # (N * 31 * 31, 12)
    variances, directions = torch.linalg.eigh(torch.cov(patches.T))  # (12,), and (12, 12) with directions as columns
    filters = (directions / (variances + eps).sqrt()).T.reshape(12, 3, 2, 2)
    return torch.cat([filters, -filters])


@torch.no_grad()
def start_again(network: nn.Module, recipe: Recipe, images: Tensor) -> None:
    """New first weights, in place: what was compiled stays valid. images (N, 3, H, W), normalised."""
    for layer in network.modules():
        if hasattr(layer, "reset_parameters"):
            layer.reset_parameters()
        if recipe.copies and isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3):
            nn.init.dirac_(layer.weight[: layer.in_channels])  # the other filters stay random
    if recipe.whiten:
        network.first.weight.copy_(whitening_filters(images))
        network.first.weight.requires_grad_(False)
        network.first.bias.requires_grad_(True)
    if recipe.muon:
        network.head.weight.div_(network.head.weight.std())


# ---- Training --------------------------------------------------------------------------------------------------------


def make_optimizers(network: nn.Module, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """For the sum of a batch's losses: lr is divided by its size, and decay multiplied, as if it were their mean."""
    learning = {name: p for name, p in network.named_parameters() if p.requires_grad}
    biases = [p for name, p in learning.items() if p.ndim == 1 and name != "first.bias"]
    others = [p for name, p in learning.items() if p.ndim > 1 or name == "first.bias"]
    lr, decay = recipe.lr / recipe.batch_size, recipe.weight_decay * recipe.batch_size
    groups = [(others, lr, decay), (biases, lr * recipe.bias_factor, decay / recipe.bias_factor)]
    if recipe.muon:  # with the learning rates of airbench94_muon
        groups = [(biases + [network.first.bias], 0.053, 0.004 / 0.053), ([network.head.weight], 0.67, 0.004 / 0.67)]
    groups = [{"params": params, "lr": lr, "weight_decay": decay} for params, lr, decay in groups]
    optimizers = [torch.optim.SGD(groups, momentum=recipe.momentum, nesterov=True)]
    if recipe.muon:
        function = compile_once(orthogonalised, dynamic=False) if recipe.compile else orthogonalised
        optimizers.append(Muon([p for p in others if p.ndim == 4], lr=0.24, momentum=0.6, orthogonalise=function))
    return optimizers


def lr_factor(schedule: str | tuple, step: int, total: int) -> float:
    """What the learning rate is multiplied by at a step of 0…total-1."""
    if schedule == "onecycle":  # as torch's OneCycleLR: half a cosine up, and a longer one down
        top = 0.3 * total - 1
        begin, end, way = (1 / 25, 1, step / top) if step <= top else (1, 4e-6, (step - top) / (total - 1 - top))
        return begin + (end - begin) * (1 - math.cos(math.pi * way)) / 2
    (first, peak, last), way = schedule, step / total
    return first + (1 - first) * way / peak if way < peak else 1 + (last - 1) * (way - peak) / (1 - peak)


def look_ahead(slow: list[Tensor], fast: list[Tensor], decay: float) -> None:
    """Move the slow weights towards the fast ones, and put the fast ones where the slow ones are then. In place."""
    for average, weight in zip(slow, fast, strict=True):
        average.lerp_(weight, 1 - decay)
        weight.copy_(average)


def autocast(device: torch.device, recipe: Recipe) -> torch.autocast:
    """Half precision: float16 on a GPU (it rounds less, but loses small gradients: see train), bfloat16 on a CPU."""
    return torch.autocast(device.type, torch.float16 if device.type == "cuda" else torch.bfloat16, recipe.half)


def train(network: nn.Module, stream: Iterator, steps_per_epoch: int, recipe: Recipe) -> None:
    """Train in place, with the network that start_again() has left."""
    optimizers = make_optimizers(network, recipe)
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    highest = [group["lr"] for group in groups]
    fast, slow = [tensor for tensor in network.state_dict().values() if tensor.is_floating_point()], None
    total = math.ceil(recipe.epochs * steps_per_epoch)
    network.train()
    for step, (images, labels) in enumerate(itertools.islice(stream, total)):
        if recipe.whiten and step >= 0.3 * total:
            network.first.bias.requires_grad_(False)  # no backward pass below the second layer from here on
        for group, lr in zip(groups, highest, strict=True):
            group["lr"] = lr * lr_factor(recipe.schedule, step, total)
        with autocast(images.device, recipe):
            logits = network(images)
        loss = F.cross_entropy(logits.float(), labels, label_smoothing=recipe.label_smoothing, reduction="sum")
        loss.backward()  # the sum: gradients of the mean are so small that float16 would round many to 0
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        if recipe.lookahead and step >= 0.3 * total and step % 5 == 4:
            slow = slow or [tensor.clone() for tensor in fast]
            look_ahead(slow, fast, decay=0.95**5 * (step / total) ** 3)  # the averages grow longer
    if slow:
        look_ahead(slow, fast, decay=1)  # the averages are what is measured


def answer(network: nn.Module, images: Tensor, views: int) -> Tensor:
    """The mean logits of all views of each picture: (N, 3, H, W) -> (N, num_classes)."""
    images = images.contiguous(memory_format=torch.channels_last)  # one layout for all views: one graph
    logits = network(images).float().clone()  # a CUDA graph writes its next output to the same place
    if views > 1:
        logits = (logits + network(images.flip(3)).float()) / 2
    if views == 6:
        padded, size = F.pad(images, (1, 1, 1, 1), mode="reflect"), images.shape[3]
        moved = [answer(network, padded[:, :, i : i + size, i : i + size], views=2) for i in (0, 2)]
        logits = (logits + (moved[0] + moved[1]) / 2) / 2
    return logits


@torch.no_grad()
def accuracy(network: nn.Module, images: Tensor, labels: Tensor, recipe: Recipe) -> float:
    """The share (0…1) of right answers. images (N, 3, 32, 32), normalised."""
    network.eval()
    with autocast(images.device, recipe):
        found = [answer(network, some, recipe.views).argmax(dim=1) for some in images.split(2000)]
    return (torch.cat(found) == labels).float().mean().item()


def run_once(network: nn.Module, recipe: Recipe, pictures: dict, seed: int) -> tuple[float, float]:
    """Accuracy (0…1) and seconds: from the pictures as bytes on the device to the last answer."""
    images, labels, mean, std = (pictures[name] for name in ("images", "labels", "mean", "std"))
    torch.manual_seed(seed)
    synchronize(images.device)  # a GPU works on while the program goes on: the clock must wait
    start = time.perf_counter()
    start_again(network, recipe, normalised(images[:: len(images) // 2000 or 1], mean, std))
    train(network, batches(images, labels, mean, std, recipe), len(images) // recipe.batch_size, recipe)
    found = accuracy(network, normalised(pictures["test images"], mean, std), pictures["test labels"], recipe)
    synchronize(images.device)
    return found, time.perf_counter() - start


def build(recipe: Recipe, width: int, num_classes: int, device: torch.device) -> nn.Module:
    """The network of a rung, once for all its runs, because compiling takes longer than a run."""
    network = WideNet(width, num_classes, recipe.logit_scale) if recipe.wide else CifarCNN(num_classes)
    network = network.to(device, memory_format=torch.channels_last)
    if recipe.compile:
        torch.compiler.reset()  # forgets the rung before
        network.compile(mode="reduce-overhead", dynamic=False)  # CUDA graphs: one launch for hundreds of operations
    return network


LADDER = Ladder(__doc__, {name: adds for name, (adds, _) in RUNGS.items()}, recipe_of, build, run_once)

if __name__ == "__main__":
    sys.exit(main(LADDER))
