"""Course 12 · Sequential: the answers, how they are judged, and the mistakes that people make."""

import copy
from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common.models import CifarCNN, LeNet
from practice import Exercise, Mistake, changed

# ---- 1 ----


def try_in_features(in_features):
    images = torch.zeros(1, 3, 48, 64)
    right = tuple(network().features(images).numel() for network in (CifarCNN, LeNet))
    if not isinstance(in_features, list | tuple) or len(in_features) != 2:
        yield "the two numbers", in_features, right
    yield from zip(("the course CNN", "LeNet"), in_features, right, strict=True)


# ---- 2 ----


def split_at_flatten(network):
    for place, layer in enumerate(network):
        if isinstance(layer, nn.Flatten):
            return network[:place], network[place:]


def split_a_copy(network):
    return split_at_flatten(copy.deepcopy(network))


def split_children(network):
    layers = list(network.children())
    place = [isinstance(layer, nn.Flatten) for layer in layers].index(True)
    return nn.Sequential(*layers[:place]), nn.Sequential(*layers[place:])


def try_split_at_flatten(split_at_flatten):
    named = OrderedDict(conv=nn.Conv2d(3, 4, 3), pool=nn.MaxPool2d(2), flat=nn.Flatten(), last=nn.Linear(4 * 3 * 5, 7))
    relu = nn.ReLU()  # stands three times in the last network
    networks = [
        nn.Sequential(
            nn.Conv2d(3, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(2 * 6 * 10, 5), nn.ReLU(), nn.Linear(5, 3)
        ),
        nn.Sequential(named),
        nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 12, 4)),
        nn.Sequential(nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU()), nn.Flatten(), nn.ReLU(), nn.Linear(2 * 6 * 10, 4)),
        nn.Sequential(nn.Conv2d(3, 2, 3), nn.Unflatten(1, (1, 2)), nn.Flatten()),  # Flatten is the last layer
        nn.Sequential(nn.Conv2d(3, 2, 3), relu, nn.Conv2d(2, 2, 3), relu, nn.Flatten(), relu, nn.Linear(2 * 4 * 8, 4)),
    ]
    for network in networks:
        images = torch.rand(5, 3, 8, 12)
        layers = list(network)
        what = f"split_at_flatten({', '.join(type(layer).__name__ for layer in layers)})"
        modes = [n % 2 == 0 for n, _ in enumerate(network.modules())]
        for module, mode in zip(network.modules(), modes, strict=True):
            module.training = mode
        halves = split_at_flatten(network)
        if not isinstance(halves, list | tuple) or len(halves) != 2:
            yield what, halves, "two Sequentials"
        for name, half in zip(("first", "second"), halves, strict=True):
            if not isinstance(half, nn.Sequential):
                yield f"{what}: the {name} half is", type(half), nn.Sequential
        place = [isinstance(layer, nn.Flatten) for layer in layers].index(True)
        for name, half, expected in zip(("first", "second"), halves, (layers[:place], layers[place:]), strict=True):
            kinds = [[type(layer).__name__ for layer in part] for part in (half, expected)]
            yield f"{what}: the layers of the {name} half", *kinds
            shared = all(a is b for a, b in zip(half, expected, strict=True))
            yield f"{what}: the {name} half has the layers of the network itself", shared, True
        yield f"{what}: number of layers in the network afterwards", len(network), len(layers)
        yield f"{what}: the modes of the network and its layers", [m.training for m in network.modules()], modes
        can_learn = all(p.requires_grad for p in network.parameters())
        yield f"{what}: all parameters of the network can still learn", can_learn, True
        yield f"{what}: one half after the other", halves[1](halves[0](images)), network(images)


# ---- 3 ----


class Branches(nn.Module):
    def __init__(self, in_channels, width):
        super().__init__()
        self.branches = nn.ModuleList()
        for k in (1, 3, 5):
            self.branches.append(nn.Conv2d(in_channels, width, kernel_size=k, padding=k // 2))
        self.norm = nn.BatchNorm2d(3 * width)

    def forward(self, images):
        maps = [branch(images) for branch in self.branches]
        return self.norm(torch.cat(maps, dim=1))


def try_branches(Branches):
    for n, in_channels, width in [(5, 3, 4), (2, 1, 6)]:
        images = torch.randn(n, in_channels, 7, 9)
        branches = Branches(in_channels, width)
        shapes = sorted(tuple(p.shape) for p in branches.parameters())  # an optimizer gets them before the first batch
        out = branches(images)
        what = f"Branches({in_channels}, {width})"
        yield f"what {what} returns for a batch", type(out), Tensor
        yield f"the shape that {what} returns for {tuple(images.shape)}", tuple(out.shape), (n, 3 * width, 7, 9)
        kernels = [(width, in_channels, k, k) for k in (1, 3, 5)]
        yield f"the shapes of the parameters of {what}", shapes, sorted(kernels + [(width,)] * 3 + [(3 * width,)] * 2)
        convs = sorted((m for m in branches.modules() if isinstance(m, nn.Conv2d)), key=lambda conv: conv.kernel_size)
        sizes = [conv.kernel_size for conv in convs]
        yield f"the kernels of the convolutions that {what} has registered", sizes, [(1, 1), (3, 3), (5, 5)]
        (norm,) = [m for m in branches.modules() if isinstance(m, nn.BatchNorm2d)]
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
        maps = [
            F.conv2d(images, conv.weight, conv.bias, padding=k // 2) for conv, k in zip(convs, (1, 3, 5), strict=True)
        ]
        right = F.batch_norm(torch.cat(maps, dim=1), None, None, norm.weight, norm.bias, training=True)
        out = branches(images)
        yield f"what {what} computes", out, right
        out.sum().backward()
        without = [name for name, parameter in branches.named_parameters() if parameter.grad is None]
        yield f"parameters of {what} that get no gradient", without, []
        yield f"what {what} returns in float64", branches.double()(images.double()).dtype == torch.float64, True


# ---- 4 ----


def unused(model, batch):
    model.zero_grad()
    model(batch).sum().backward()
    names = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    model.zero_grad()
    return names


class Forgetful(nn.Module):
    """Of its layers, forward uses some: those that are named in `used`."""

    def __init__(self, used):
        super().__init__()
        self.first = nn.Linear(6, 4)
        self.norm = nn.BatchNorm1d(4)
        self.second = nn.Linear(4, 4)
        self.dead = nn.Linear(4, 4)
        self.used = used
        nn.init.constant_(self.dead.bias, -1000.0)

    def forward(self, x):
        x = self.first(x)
        for name in self.used:
            x = getattr(self, name)(x)
        if "dead" in self.used:
            x = x.relu()  # all zero: the gradients behind it are 0, and not None
        return x


class Branching(nn.Module):
    """Uses one layer of a block, one parameter of a layer and two heads. What `lost` returns, nobody takes."""

    def __init__(self):
        super().__init__()
        self.block = nn.Sequential(nn.Linear(6, 4), nn.Linear(4, 4))
        self.lost = nn.Linear(4, 3)
        self.partly = nn.Linear(4, 3)
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        x = self.block[0](x)
        self.lost(x)
        return torch.cat([F.linear(x, self.partly.weight), self.head(x)], dim=1)


def try_unused(unused):
    norm, second, dead = (["norm.weight", "norm.bias"], ["second.weight", "second.bias"], ["dead.weight", "dead.bias"])
    for used, right in [
        (["norm", "dead"], second),
        (["norm", "second", "dead"], []),
        (["second"], norm + dead),
        ([], norm + second + dead),
    ]:
        for has_old in (False, True):
            model = Forgetful(used)
            if has_old:
                sum(p.sum() for p in model.parameters()).backward()  # every parameter has a gradient
            what = f"forward uses {', '.join(['first', *used])}" + (", and there are old gradients" if has_old else "")
            before = [p.detach().clone() for p in model.parameters()]
            batch = torch.rand(5, 6)
            batch_before = batch.clone()
            names = unused(model, batch)
            yield what, names, right
            left = [name for name, p in model.named_parameters() if p.grad is not None]
            yield f"{what}: parameters that have a gradient afterwards", left, []
            yield f"{what}: all layers in training mode afterwards", all(m.training for m in model.modules()), True
            yield f"{what}: all parameters can still learn", all(p.requires_grad for p in model.parameters()), True
            yield f"{what}: the numbers of the parameters", list(model.parameters()), before
            yield f"{what}: the batch afterwards", batch, batch_before
    right = ["block.1.weight", "block.1.bias", "lost.weight", "lost.bias", "partly.bias"]
    yield "a model with a block and two heads, which does not use all it computes", unused(Branching(), batch), right


# ---- 5 ----


def build(plan, num_classes, height, width):
    layers, channels = [], 3
    for entry in plan:
        if entry == "pool":
            layers.append(nn.MaxPool2d(2))
            height, width = height // 2, width // 2
        else:
            conv = nn.Conv2d(channels, entry, kernel_size=5, padding=2, bias=False)
            layers += [conv, nn.BatchNorm2d(entry), nn.ReLU()]
            channels = entry
    layers += [nn.Flatten(), nn.Linear(channels * height * width, 64), nn.ReLU(), nn.Linear(64, num_classes)]
    return nn.Sequential(*layers)


def try_build(build):
    torch.manual_seed(12)  # a number that no answer is likely to set
    for plan, num_classes, height, width in [
        ([32, "pool", 32, "pool", 64, "pool"], 10, 32, 32),
        ([4, 8, "pool", 6], 3, 13, 22),
        (["pool", 5, "pool", "pool"], 7, 30, 17),
        ([4, 4, 4], 2, 4, 5),
        (["pool", "pool", 6], 4, 4, 6),  # the convolution gets maps of one pixel
        ([], 2, 4, 5),
    ]:
        what = f"build({plan}, {num_classes}, {height}, {width})"
        given, seed = list(plan), torch.initial_seed()
        network = build(given, num_classes, height, width)
        yield f"{what}: the list afterwards", given, plan
        yield f"{what}: the seed of the random numbers afterwards", torch.initial_seed(), seed
        if not isinstance(network, nn.Module):
            yield what, network, nn.Module
        images = torch.randn(3, 3, height, width)  # below 0, too: a ReLU at the wrong place must show
        yield f"{what}: the shape that comes out", shape_or_error(network, images), (3, num_classes)
        shapes = sorted(tuple(p.shape) for p in network.parameters())
        yield f"{what}: the shapes of its parameters", shapes, sorted(right_shapes(plan, num_classes, height, width))
        yield f"{what}: all layers in training mode", all(m.training for m in network.modules()), True
        for parameter in network.parameters():
            if parameter.dim() == 1:
                nn.init.normal_(parameter)  # BatchNorm begins with ones and zeros, which would hide a wrong order
        network.train()
        out = network(images)
        yield f"{what}: what it computes", out, by_hand(plan, in_order(network), images)
        out.sum().backward()
        without = [name for name, parameter in network.named_parameters() if parameter.grad is None]
        yield f"{what}: parameters that get no gradient", without, []


def sized_by_a_trial_run(plan, num_classes, height, width):
    layers, channels = [], 3
    for entry in plan:
        if entry == "pool":
            layers.append(nn.MaxPool2d(2))
        else:
            layers += [nn.Conv2d(channels, entry, kernel_size=5, padding=2, bias=False), nn.BatchNorm2d(entry)]
            layers.append(nn.ReLU())
            channels = entry
    features = nn.Sequential(*layers, nn.Flatten())
    numbers = features(torch.zeros(1, 3, height, width)).shape[1]
    return nn.Sequential(*features, nn.Linear(numbers, 64), nn.ReLU(), nn.Linear(64, num_classes))


def right_shapes(plan, num_classes, height, width):
    """The shapes of all parameters: those of a convolution, then two of BatchNorm, and so on."""
    channels = [3, *(entry for entry in plan if entry != "pool")]
    shapes = []
    for before, after in zip(channels, channels[1:], strict=False):
        shapes += [(after, before, 5, 5), (after,), (after,)]
    shrink = 2 ** plan.count("pool")
    numbers = channels[-1] * (height // shrink) * (width // shrink)
    return [*shapes, (64, numbers), (64,), (num_classes, 64), (num_classes,)]


def in_order(network):
    """All parameters in the order of use, which need not be the order in which they were registered."""
    convs, norms, linears = (
        [[*m.parameters()] for m in network.modules() if isinstance(m, kind)]
        for kind in (nn.Conv2d, nn.BatchNorm2d, nn.Linear)
    )
    linears.sort(key=lambda linear: len(linear[0]) != 64)  # the hidden one first
    blocks = [*zip(convs, norms, strict=True), linears]
    return [parameter for block in blocks for layer in block for parameter in layer]


def by_hand(plan, parameters, x):
    """The network of a plan, in training mode, without a single layer."""
    numbers = iter(parameters)
    for entry in plan:
        if entry == "pool":
            x = F.max_pool2d(x, 2)
        else:
            x = F.conv2d(x, next(numbers), padding=2)
            x = F.batch_norm(x, None, None, next(numbers), next(numbers), training=True).clamp(min=0)
    hidden = F.linear(x.flatten(1), next(numbers), next(numbers)).clamp(min=0)
    return F.linear(hidden, next(numbers), next(numbers))


def shape_or_error(network, images):
    """The shape of what comes out, or in words why nothing does."""
    try:
        return tuple(network(images).shape)
    except (RuntimeError, ValueError, TypeError, NotImplementedError) as error:
        return f"{type(error).__name__}: {error}"


# ---- The exercises ----

EXERCISES = [
    Exercise(
        number=1,
        name="in_features",
        section=6,
        answer=(3072, 1872),
        trial=try_in_features,
        hints=(
            "Follow height and width, each by itself, through all layers: 48 and 64.",
            "In the course CNN a convolution keeps both and a pool halves them. In LeNet a convolution takes 4 away.",
        ),
        mistakes=(
            Mistake("This is the number for pictures of 32x32.", (1024, 400), 2),
            Mistake("This is LeNet's number for pictures of 32x32.", (3072, 400)),
            Mistake("The pictures are not square: height and width shrink each by itself.", (64 * 6 * 6, 1872), 2),
            Mistake("The pictures are not square: height and width shrink each by itself.", (64 * 8 * 8, 1872), 2),
            Mistake("The course CNN has three pools.", (64 * 12 * 16, 1872), 2),
            Mistake("LeNet's convolutions have no padding, so they make the maps smaller.", (3072, 16 * 12 * 16)),
            Mistake("The maps of LeNet are not square either.", (3072, 16 * 9 * 9)),
            Mistake("The maps of LeNet are not square either.", (3072, 16 * 13 * 13)),
            Mistake("Flatten puts the numbers of all channels into the row.", (6 * 8, 1872), 2),
            Mistake("Flatten puts the numbers of all channels into the row.", (3072, 9 * 13)),
        ),
    ),
    Exercise(
        number=2,
        name="split_at_flatten",
        section=3,
        answer=split_at_flatten,
        trial=try_split_at_flatten,
        hints=(
            "`isinstance(layer, nn.Flatten)` says whether a layer is one. At which place in the network is it?",
            "Section 3: a slice of a Sequential is a Sequential that has the same layers.",
        ),
        mistakes=(
            Mistake(
                "Flatten stands in the first half. The second half begins with it.",
                changed(
                    split_at_flatten, "network[:place], network[place:]", "network[:place + 1], network[place + 1:]"
                ),
            ),
            Mistake("Flatten is in none of the two halves.", changed(split_at_flatten, "[place:]", "[place + 1:]")),
            Mistake(
                "A list of layers is no network: nothing calls its layers.",
                changed(
                    split_at_flatten, "network[:place], network[place:]", "list(network)[:place], list(network)[place:]"
                ),
                9,
            ),
            Mistake(
                "These are copies. If one is trained, the network does not learn.",
                split_a_copy,
                4,
            ),
            Mistake(
                "`children()` gives a layer that stands several times in the network only once. The network has it "
                "each time.",
                split_children,
                20,
            ),
            Mistake(
                "Behind Flatten, a different layer may come before the first linear one.",
                changed(
                    split_at_flatten,
                    "enumerate(network):\n        if isinstance(layer, nn.Flatten)",
                    "enumerate(network, start=-1):\n        if isinstance(layer, nn.Linear)",
                ),
            ),
            Mistake(
                "Flatten does not stand at the same place in each network.",
                changed(split_at_flatten, "if isinstance(layer, nn.Flatten):", "if place == 2:"),
            ),
        ),
    ),
    Exercise(
        number=3,
        name="Branches",
        section=9,
        answer=Branches,
        trial=try_branches,
        hints=(
            "Read the error: how many channels has BatchNorm got, and how many did it expect?",
            "`torch.cat` joins along the axis `dim`, and without it along the first one. Which axis are the channels?",
            "Look at `Branches(3, 4).parameters()`: what is missing there, and why?",
        ),
        mistakes=(
            Mistake(
                "The maps of the three convolutions are joined, but not along the axis of the channels.",
                changed(changed(Branches, "nn.ModuleList()", "[]"), ", dim=1", ""),
            ),
            Mistake(
                "The error is gone. But a module does not look into a plain list: the convolutions are not registered.",
                changed(Branches, "nn.ModuleList()", "[]"),
            ),
            Mistake(
                "`torch.stack` makes a new axis. The maps must be joined along an axis that is there.",
                changed(Branches, "torch.cat(maps, dim=1)", "torch.stack(maps, dim=1)"),
            ),
            Mistake(
                "A Sequential gives the maps of one convolution to the next. Here all get the pictures.",
                changed(
                    changed(Branches, "nn.ModuleList()", "nn.Sequential()"),
                    "[branch(images) for branch in self.branches]",
                    "[self.branches(images)]",
                ),
                3,
            ),
        ),
    ),
    Exercise(
        number=4,
        name="unused",
        section="Course06 5",
        answer=unused,
        trial=try_unused,
        hints=(
            "`model.zero_grad()` sets each .grad to None.",
            "`model.named_parameters()` gives pairs: a name and a parameter, whose `.grad` you can look at.",
            "Clear, forward, backward, look, clear.",
        ),
        mistakes=(
            Mistake(
                "Old gradients were in the model: these parameters look as if they were used.",
                changed(unused, "model.zero_grad()\n    model(batch)", "model(batch)"),
            ),
            Mistake(
                "Your function leaves its gradients behind. They would be added to those of the next batch.",
                changed(unused, "model.zero_grad()\n    return", "return"),
                "Course00 9",
            ),
            Mistake("These are the parameters that are used.", changed(unused, "is None", "is not None")),
            Mistake(
                "These are the parameters themselves. Their names are asked.",
                changed(unused, "[name for", "[parameter for"),
                "Course06 5",
            ),
            Mistake(
                "These are layers. A parameter has the name of its layer, a dot and a name of its own.",
                changed(unused, "[name for", '[name.split(".")[0] for'),
                "Course06 5",
            ),
            Mistake(
                "A state_dict holds plain numbers, buffers too, and no gradients: `.grad` is None for all of them.",
                changed(unused, "model.named_parameters()", "model.state_dict().items()"),
                "Course06 7",
            ),
            Mistake(
                "A gradient may be 0 although the parameter is used, for example behind a ReLU. Is there one at all?",
                changed(unused, "parameter.grad is None", "parameter.grad is None or not parameter.grad.any()"),
                "Course10 7",
            ),
        ),
    ),
    Exercise(
        number=5,
        name="build",
        section=2,
        answer=build,
        trial=try_build,
        hints=(
            "Collect the layers in a list, in a loop over the plan, and end with `nn.Sequential(*layers)`.",
            "Three numbers change on the way: channels, height and width. Which entries change which of them?",
            "A convolution gets as many channels as the one before it has given.",
        ),
        mistakes=(
            Mistake(
                "64 * 4 * 4 is right for pictures of 32x32 and three pools only.",
                changed(build, "channels * height * width", "64 * 4 * 4"),
                8,
            ),
            Mistake(
                "4 * 4 is right for pictures of 32x32 and three pools only.",
                changed(build, "height * width", "4 * 4"),
                8,
            ),
            Mistake(
                "Behind each convolution, BatchNorm is missing.",
                changed(build, "nn.BatchNorm2d(entry), nn.ReLU()", "nn.ReLU()"),
            ),
            Mistake("Only the first convolution gets three channels.", changed(build, "channels = entry", "pass"), 2),
            Mistake(
                "The convolutions have a bias, which BatchNorm subtracts again.",
                changed(build, ", bias=False", ""),
            ),
            Mistake(
                "ReLU comes behind BatchNorm.",
                changed(build, "nn.BatchNorm2d(entry), nn.ReLU()", "nn.ReLU(), nn.BatchNorm2d(entry)"),
            ),
            Mistake(
                "A ReLU at the end makes all negative logits 0.",
                changed(build, "nn.Linear(64, num_classes)]", "nn.Linear(64, num_classes), nn.ReLU()]"),
            ),
            Mistake(
                "Between the two linear layers, a ReLU is missing: without it they are one layer.",
                changed(build, "64), nn.ReLU(), nn.Linear(64", "64), nn.Linear(64"),
                "Course10 5",
            ),
            Mistake(
                "Pictures need not be square: follow height and width, each by itself.",
                changed(build, "height * width", "height * height"),
            ),
            Mistake(
                "In training mode, BatchNorm needs more than one number per channel. For a run with a single picture, "
                "switch to eval(), then back to train().",
                sized_by_a_trial_run,
                "Course06 6",
            ),
            Mistake(
                "The network comes back in evaluation mode. A new network is in training mode.",
                changed(build, "nn.Sequential(*layers)", "nn.Sequential(*layers).eval()"),
                "Course06 6",
            ),
            Mistake(
                "The number of channels is that of the last convolution, which need not have the most.",
                changed(build, "channels = entry", "channels = max(channels, entry)"),
            ),
        ),
    ),
]
