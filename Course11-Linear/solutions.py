"""Course 11 · Linear: the answers, how they are judged, and the mistakes that people make."""

import torch
from torch import nn
from torch.nn import functional as F

from practice import Exercise, Mistake, called, changed

# ---- 1 ----


def try_shapes(shapes):
    images = torch.zeros(16, 3, 24, 32)
    right = [
        tuple(nn.Linear(32, 5)(images).shape),
        tuple(nn.Linear(24 * 32, 5)(images.flatten(2)).shape),
        tuple(nn.Linear(3 * 24 * 32, 5)(nn.Flatten()(images)).shape),
    ]
    if not isinstance(shapes, list | tuple) or len(shapes) != 3:
        yield "the list of three shapes", shapes, right
    for line, (shape, expected) in enumerate(zip(shapes, right, strict=True), start=1):
        yield f"line {line}", shape, expected


# ---- 2 ----


def where(place, height, width):
    channel, rest = divmod(place, height * width)
    row, column = divmod(rest, width)
    return channel, row, column


def try_where(where):
    for channels, height, width in [(3, 32, 32), (3, 5, 7), (2, 8, 3), (5, 4, 6)]:
        places = torch.arange(channels * height * width).reshape(channels, height, width)
        last = channels - 1, height - 1, width - 1
        for c, i, j in [(0, 0, 0), (0, 3, 2), (channels - 1, 2, 1), last, (1, 0, 0), (0, 1, 0), (0, *last[1:])]:
            yield *called(where, places[c, i, j].item(), height, width), (c, i, j)


# ---- 3 ----


def linear_classifier(images, num_classes):
    numbers = torch.flatten(images[0])
    return nn.Sequential(nn.Flatten(), nn.Linear(len(numbers), num_classes))


def try_linear_classifier(linear_classifier):
    for shape, num_classes in [((6, 3, 5, 7), 10), ((1, 1, 4, 6), 3)]:
        images = torch.rand(shape)
        given = images.clone()
        network = linear_classifier(given, num_classes)
        what = f"the network for images {shape} and {num_classes} classes"
        if not isinstance(network, nn.Module):
            yield what, network, nn.Module
        yield f"{what}: images afterwards", given, images
        for n in (len(images), 4, 1):  # the last batch is smaller or larger than the first
            yield (
                f"{what}: what {n} pictures give",
                shape_or_error(network, torch.rand(n, *shape[1:])),
                (n, num_classes),
            )
        shapes = sorted(tuple(p.flatten(1).shape if p.dim() > 1 else p.shape) for p in network.parameters())
        pixels = images[0].numel()
        yield f"{what}: the shapes of bias and weight", shapes, [(num_classes,), (num_classes, pixels)]
        weight, bias = sorted(network.parameters(), key=torch.Tensor.dim, reverse=True)
        templates = weight.flatten(1).unflatten(1, shape[1:])  # of a convolution of the full size, too
        scores = [torch.stack([(image * template).sum() for template in templates]) for image in images]
        yield f"{what}: the scores", network(images), torch.stack(scores) + bias
        yield f"{what}: the scores have a graph, for training", network(images).requires_grad, True


def shape_or_error(network, images):
    """The shape of what comes out, or in words why nothing does."""
    try:
        return tuple(network(images).shape)
    except RuntimeError as error:
        return f"RuntimeError: {error}"


# ---- 4 ----


def nearest_mean(images, labels, num_classes):
    rows = images.flatten(1)
    means = torch.stack([rows[labels == label].mean(dim=0) for label in range(num_classes)])
    linear = nn.Linear(rows.shape[1], num_classes)
    with torch.no_grad():
        linear.weight.copy_(means)
        linear.bias.copy_(-(means**2).sum(dim=1) / 2)
    return linear


def try_nearest_mean(nearest_mean):
    for shape, counts in [((2, 3, 4), [9, 5, 3, 7]), ((1, 5, 2), [12, 1])]:
        labels = torch.cat([torch.full((count,), label) for label, count in enumerate(counts)])
        labels = labels[torch.randperm(len(labels))]
        strength = torch.linspace(0.3, 1.5, len(counts))  # some classes have weaker templates than others
        patterns = strength[:, None, None, None] * torch.randn(len(counts), *shape)
        images = patterns[labels] + torch.rand(len(labels), *shape)
        before = images.clone(), labels.clone()
        linear = nearest_mean(images, labels, len(counts))
        what = f"nearest_mean(images, labels, {len(counts)}), images {tuple(images.shape)}"
        if not isinstance(linear, nn.Linear):
            yield what, linear, nn.Linear
        yield f"{what}: the shape of its weight", tuple(linear.weight.shape), (len(counts), images[0].numel())
        yield f"{what}: images and labels afterwards", (images, labels), before
        means = [images[labels == label].mean(dim=0) for label in range(len(counts))]
        pairs = torch.randint(len(counts), (2, 300))
        new = patterns[pairs].mean(dim=0) + torch.randn(300, *shape)  # of a class, or halfway between two
        far = torch.stack([((new - mean) ** 2).sum(dim=(1, 2, 3)) for mean in means], dim=1)  # (300, classes)
        two = far.sort(dim=1).values
        clear = two[:, 1] - two[:, 0] > 0.01  # no picture that is almost as near to a second class
        scores = F.linear(new.flatten(1), linear.weight, linear.bias)  # from its numbers, and nothing else
        yield f"{what}: the classes of new pictures", scores.argmax(dim=1)[clear], far.argmin(1)[clear]
        yield "afterwards, gradients are recorded again", torch.is_grad_enabled(), True


# ---- 5 ----


def as_linear(conv, height, width):
    size = (conv.in_channels, height, width)
    numbers = conv.in_channels * height * width
    single_ones = torch.eye(numbers).unflatten(1, size)  # one picture for each place
    with torch.no_grad():
        bias = conv(torch.zeros(1, *size)).flatten()
        columns = conv(single_ones).flatten(1) - bias
        linear = nn.Linear(numbers, len(bias))
        linear.weight.copy_(columns.T)
        linear.bias.copy_(bias)
    return linear


def try_as_linear(as_linear):
    for args, kwargs, height, width in [
        ((1, 2, 3), {}, 6, 9),
        ((3, 4, 3), {"padding": 1}, 8, 5),
        ((2, 3, (2, 5)), {"stride": (3, 1), "padding": (0, 2)}, 7, 6),
    ]:
        conv = nn.Conv2d(*args, **kwargs)
        images = torch.rand(4, args[0], height, width)
        right = conv(images).flatten(1)
        linear = as_linear(conv, height, width)
        what = f"as_linear(conv, {height}, {width}), conv: {conv.extra_repr()}"
        if not isinstance(linear, nn.Linear):
            yield what, linear, nn.Linear
        shape = tuple(linear.weight.shape)
        yield f"{what}: the shape of its weight", shape, (right.shape[1], images[0].numel())
        bias = None if linear.bias is None else tuple(linear.bias.shape)
        yield f"{what}: the shape of its bias", bias, (right.shape[1],)
        by_hand = images.flatten(1) @ linear.weight.T + linear.bias
        yield f"{what}: what comes out", by_hand, right
        yield f"{what}: what conv gives afterwards", conv(images).flatten(1), right
        yield "afterwards, conv can be trained", all(p.requires_grad for p in conv.parameters()), True
        yield "afterwards, gradients are recorded again", torch.is_grad_enabled(), True


# ---- The exercises ----

EXERCISES = [
    Exercise(
        number=1,
        name="shapes",
        section=3,
        answer=[(16, 3, 24, 5), (16, 3, 5), (16, 5)],
        trial=try_shapes,
        hints=(
            "The layer changes the last axis and keeps all axes in front of it.",
            "flatten(2) joins the axes 2 and 3. nn.Flatten() joins all but the first one.",
        ),
        mistakes=(
            Mistake(
                "In line 1 nothing is flattened: three axes stand in front of the last one, and they are kept.",
                [(16, 5), (16, 3, 5), (16, 5)],
            ),
            Mistake(
                "The last axis of line 1 has 32 numbers before the layer. How many come out for them?",
                [(16, 3, 24, 32), (16, 3, 5), (16, 5)],
            ),
            Mistake("flatten(2) begins with axis 2. Which two axes stay?", [(16, 3, 24, 5), (16, 5), (16, 5)], 4),
            Mistake(
                "torch.flatten joins everything, but nn.Flatten() keeps the batch.",
                [(16, 3, 24, 5), (16, 3, 5), (5,)],
                4,
            ),
        ),
    ),
    Exercise(
        number=2,
        name="where",
        section=4,
        answer=where,
        trial=try_where,
        hints=(
            "How many numbers does one channel have? How often do they fit into `place`, and what is left?",
            "`//` says how often something fits, `%` what is left. Do it twice: for channels, then for rows.",
        ),
        mistakes=(
            Mistake(
                "How many numbers are in one row: height or width?", changed(where, "(rest, width)", "(rest, height)")
            ),
            Mistake(
                "Rows are counted from the start of their channel: first take away the channels before it.",
                changed(where, "divmod(place, height * width)", "place // (height * width), place"),
            ),
            Mistake(
                "`//` and `%` are exchanged: what is left in a row is the column.",
                changed(where, "row, column = divmod", "column, row = divmod"),
            ),
            Mistake(
                "This is the place in a picture whose colours are the last axis. Here they are the first.",
                changed(where, "channel, rest = divmod(place, height * width)", "rest, channel = divmod(place, 3)"),
                "Course00 7",
            ),
            Mistake(
                "The order is channel, row, column.", changed(where, "channel, row, column", "row, column, channel")
            ),
            Mistake(
                "`/` gives a number with a fraction. A place is a whole number.",
                changed(
                    changed(
                        where, "divmod(place, height * width)", "place / (height * width), place % (height * width)"
                    ),
                    "divmod(rest, width)",
                    "rest / width, rest % width",
                ),
            ),
        ),
    ),
    Exercise(
        number=3,
        name="linear_classifier",
        section=10,
        answer=linear_classifier,
        trial=try_linear_classifier,
        hints=(
            "Two places know about the batch: the layer that flattens, and in_features.",
            "How many numbers has one picture? `images[0]` is one.",
        ),
        mistakes=(
            Mistake(
                "The whole batch becomes one row. Its pictures must stay apart.",
                changed(changed(linear_classifier, "images[0]", "images"), "nn.Flatten()", "nn.Flatten(start_dim=0)"),
            ),
            Mistake(
                "Each picture is a row now, but in_features still counts the numbers of the whole batch.",
                changed(linear_classifier, "images[0]", "images"),
            ),
            Mistake(
                "in_features is right now, but the layer that flattens still joins the pictures.",
                changed(linear_classifier, "nn.Flatten()", "nn.Flatten(start_dim=0)"),
                4,
            ),
            Mistake(
                "`len` gives the size of the first axis. After flatten(1) this axis counts the pictures.",
                changed(linear_classifier, "torch.flatten(images[0])", "torch.flatten(images, 1)"),
                4,
            ),
            Mistake(
                "start_dim=2 joins height and width only. The channels belong to the row as well.",
                changed(linear_classifier, "nn.Flatten()", "nn.Flatten(start_dim=2)"),
                4,
            ),
            Mistake(
                "Now nothing is flattened.",
                changed(linear_classifier, "nn.Flatten(), ", ""),
                11,
            ),
        ),
    ),
    Exercise(
        number=4,
        name="nearest_mean",
        section=7,
        answer=nearest_mean,
        trial=try_nearest_mean,
        hints=(
            "`rows[labels == 2]` are the pictures of class 2. Their mean is row 2 of the weight.",
            "Section 2 of linear.py sets the weight and the bias of a layer. The bias has one number for each class.",
            "The bias makes up for templates with large numbers: without it their scores would be too high.",
        ),
        mistakes=(
            Mistake(
                "The bias is 0 or the same for all classes. Then a template with large numbers gets too many pictures.",
                changed(nearest_mean, "-(means**2).sum(dim=1) / 2", "torch.zeros(num_classes)"),
            ),
            Mistake(
                "The bias still has its random numbers.",
                changed(nearest_mean, "linear.bias.copy_(-(means**2).sum(dim=1) / 2)", "pass"),
            ),
            Mistake("The second part of the score is halved.", changed(nearest_mean, ".sum(dim=1) / 2", ".sum(dim=1)")),
            Mistake(
                "The bias is subtracted in the formula, and added here.",
                changed(nearest_mean, "-(means**2)", "(means**2)"),
            ),
            Mistake(
                "These are sums. A class with many pictures must not have a larger template.",
                changed(nearest_mean, "].mean(dim=0)", "].sum(dim=0)"),
            ),
            Mistake(
                "All classes have the same scores: each mean must be that of the pictures of its own class.",
                changed(nearest_mean, "rows[labels == label]", "rows"),
            ),
            Mistake(
                "The bias is the square of a sum. The formula has the sum of squares.",
                changed(nearest_mean, "(means**2).sum(dim=1)", "means.sum(dim=1) ** 2"),
            ),
            Mistake(
                "The bias has the mean of the squares. The formula has their sum.",
                changed(nearest_mean, "(means**2).sum(dim=1)", "(means**2).mean(dim=1)"),
            ),
            Mistake(
                "A weight must not be changed in place while a graph is made.",
                changed(nearest_mean, "torch.no_grad()", "torch.enable_grad()"),
                "Course08 6",
            ),
            Mistake(
                "Gradients are switched off for all that follows, too. `with` ends by itself.",
                changed(nearest_mean, "with torch.no_grad():", "torch.set_grad_enabled(False)\n    if True:"),
                "Course00 17",
            ),
        ),
    ),
    Exercise(
        number=5,
        name="as_linear",
        section=8,
        answer=as_linear,
        trial=try_as_linear,
        hints=(
            "What does conv give for a picture of zeros? Its flattened answer is the bias of the linear layer.",
            "If only number p of x is 1, then x @ weight.T is column p of the weight.",
            "`torch.eye(n)` has n rows, each with a single 1. `unflatten(1, (C, H, W))` makes n pictures of them.",
        ),
        mistakes=(
            Mistake(
                "conv adds its bias to each answer, so the bias is in each column of the weight, too.",
                changed(as_linear, ".flatten(1) - bias", ".flatten(1)"),
            ),
            Mistake(
                "The bias of conv has one number for each channel. Here each place of each map needs one.",
                changed(as_linear, "bias = conv(torch.zeros(1, *size)).flatten()", "bias = conv.bias"),
                "Course08 2",
            ),
            Mistake(
                "The weight has one row for each output. Here each row belongs to an input.",
                changed(as_linear, "columns.T", "columns"),
                2,
            ),
            Mistake(
                "Height and width are exchanged in the pictures.",
                changed(as_linear, "unflatten(1, size)", "unflatten(1, (size[0], width, height))"),
            ),
            Mistake(
                "The bias of the linear layer is 0.",
                changed(as_linear, "linear.bias.copy_(bias)", "linear.bias.zero_()"),
            ),
            Mistake(
                "The bias of the linear layer still has its random numbers.",
                changed(as_linear, "linear.bias.copy_(bias)", "pass"),
            ),
            Mistake(
                "flatten(1) puts all places of channel 0 first. Here the bias changes its channel at each place.",
                changed(as_linear, "bias.copy_(bias)", "bias.copy_(conv.bias.repeat(len(bias) // len(conv.bias)))"),
                "Course08 2",
            ),
            Mistake(
                "A weight must not be changed in place while a graph is made.",
                changed(as_linear, "torch.no_grad()", "torch.enable_grad()"),
                "Course08 6",
            ),
            Mistake(
                "Gradients are switched off for all that follows, too. `with` ends by itself.",
                changed(as_linear, "with torch.no_grad():", "torch.set_grad_enabled(False)\n    if True:"),
                "Course00 17",
            ),
        ),
    ),
]
