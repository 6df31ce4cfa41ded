"""Course 09 · Pool: the answers, how they are judged, and the mistakes that people make."""

from itertools import product

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from practice import Exercise, Mistake, PyTorchCalls, called, changed

# ---- 1 ----


def try_pooled(pooled):
    image = torch.tensor([[1.0, -2, 4, 0, -3], [3, 0, 2, 5, -1], [-4, -1, 6, 2, -2]])
    yield "the output", pooled, nn.MaxPool2d(2, ceil_mode=True)(image[None])[0].tolist()


# ---- 2 ----


def pooled_size(size, window, stride=None, ceil_mode=False):
    stride = stride or window
    places = (size - window) // stride + 1
    all_seen = (places - 1) * stride + window >= size
    if ceil_mode and not all_seen and places * stride < size:
        places += 1
    return places


def try_pooled_size(pooled_size):
    pooling = PyTorchCalls("pool")
    yield "pooled_size(7, 2)", pooled_size(7, 2), 3
    # (4, 2, 3): a step over a gap, and still one window more. (33, 5, 9): that window would begin behind the edge.
    sizes = [*product((5, 6, 32, 3, 4), (1, 2, 3), (None, 1, 2, 3)), (32, 7, 4), (33, 5, 9)]
    for (size, window, stride), ceil_mode in product(sizes, (False, True)):
        right = nn.MaxPool2d(window, stride, ceil_mode=ceil_mode)(torch.zeros(1, 1, size, size)).shape[-1]
        with pooling:
            row = called(pooled_size, size, window, stride=stride, ceil_mode=ceil_mode)
        yield *row, right
    yield "it calls a pooling of PyTorch", bool(pooling.names), False


# ---- 3 ----


class SmallNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, kernel_size=3, padding=1)
        self.pool = nn.AdaptiveMaxPool2d(16)  # the same windows as MaxPool2d(2) where the map is 32x32
        self.linear = nn.Linear(8 * 16 * 16, 10)

    def forward(self, images):
        x = self.pool(torch.relu(self.conv(images)))
        return self.linear(x.flatten(1))


def try_small_net(SmallNet):
    network = SmallNet()
    state = network.state_dict()
    shapes = {name: tuple(parameter.shape) for name, parameter in state.items()}
    before = {"conv.weight": (8, 3, 3, 3), "conv.bias": (8,), "linear.weight": (10, 2048), "linear.bias": (10,)}
    yield "the names and shapes of the state_dict", shapes, before
    weight, bias, last_weight, last_bias = [state[name] for name in before]
    for n, height, width in [
        (2, 32, 32), (2, 48, 48), (2, 40, 61), (1, 35, 32), (2, 32, 40), (2, 96, 70), (2, 128, 128)
    ]:  # fmt: skip
        images = torch.randn(n, 3, height, width)
        given = images.clone()
        logits = network(given)
        yield f"the shape of the logits for a batch of {n}, pictures of {height}x{width}", _shape(logits), (n, 10)
        yield f"the pictures of {height}x{width}, afterwards", given, images
        yield f"the same pictures of {height}x{width} again: the logits", network(given), logits
        if (height, width) == (32, 32):
            maps = F.max_pool2d(F.conv2d(images, weight, bias, padding=1).clamp(min=0), 2)
            yield "the logits for pictures of 32x32", logits, maps.reshape(2, 2048) @ last_weight.T + last_bias
        for row, column in [(0, 0), (0, -1), (-1, 0), (-1, -1)]:
            brighter = images.clone()
            brighter[:, :, row, column] += 10_000
            counts = not torch.allclose(network(brighter), logits, atol=1e-3)
            yield f"pictures of {height}x{width}: the pixel in row {row}, column {column} counts", counts, True
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    nothing = torch.equal(network(images), torch.zeros(2, 10))
    yield "with all weights and biases at 0, all logits for pictures of 128x128 are 0", nothing, True


def _shape(value):
    """The shape of a tensor; anything else stays."""
    return tuple(value.shape) if isinstance(value, Tensor) else value


# ---- 4 ----


def seen(layers):
    pixels, step = 1, 1
    for window, stride in layers:
        pixels += (window - 1) * step
        step *= stride
    return pixels


def try_seen(seen):
    one, half = (3, 1), (2, 2)
    for layers in [
        [one],
        [one, one],
        [one, half, one],
        [(7, 2), (3, 2), one, one],
        [half] * 3,
        [(5, 3), (4, 2), half],
        [(3, 2)] * 8,  # 511 pixels: wider than any picture here
        [],
    ]:
        row = torch.zeros(1, 1, 600, requires_grad=True)
        x = row
        for window, stride in layers:
            x = F.avg_pool1d(x, window, stride)
        x[0, 0, 0].backward()
        given = list(layers)
        yield *called(seen, given), int((row.grad != 0).sum())
        yield "layers, afterwards", given, layers


# ---- 5 ----


def pool2d(images, window, stride=None, kind="max"):
    (height, width), (down, right) = window, stride or window
    rows = (images.shape[2] - height) // down + 1
    columns = (images.shape[3] - width) // right + 1
    pooled = torch.zeros(*images.shape[:2], rows, columns)
    for i in range(rows):
        for j in range(columns):
            seen = images[:, :, i * down : i * down + height, j * right : j * right + width]
            pooled[:, :, i, j] = seen.amax(dim=(2, 3)) if kind == "max" else seen.mean(dim=(2, 3))
    return pooled


def try_pool2d(pool2d):
    images = torch.randn(2, 3, 7, 10) - 0.5
    before = images.clone()
    pooling = PyTorchCalls("pool")
    yield "images (2, 3, 7, 10), window (2, 2)", pool2d(images, (2, 2)), F.max_pool2d(images, 2)
    for window, stride in [((2, 2), None), ((2, 3), None), ((3, 3), (2, 2)), ((3, 2), (1, 4)), ((1, 10), (3, 1))]:
        for kind, right in [("max", F.max_pool2d), ("average", F.avg_pool2d)]:
            what = f"images (2, 3, 7, 10), {window=}, {stride=}, {kind=}"
            with pooling:
                pooled = pool2d(images, window, stride=stride, kind=kind)
            yield what, pooled, right(images, window, stride)
    yield "the images, afterwards", images, before
    low = 1e30 * images - 1e31
    yield "numbers around -1e31, window (2, 2)", pool2d(low, (2, 2)), F.max_pool2d(low, 2)
    turned = images.transpose(2, 3)  # its numbers lie in a different order
    yield "images.transpose(2, 3), window (2, 3)", pool2d(turned, (2, 3)), F.max_pool2d(turned, (2, 3))
    yield "it calls a pooling of PyTorch", bool(pooling.names), False


# ---- The exercises ----

EXERCISES = [
    Exercise(
        number=1,
        name="pooled",
        section=5,
        answer=[[3, 5, -1], [-1, 6, -2]],
        trial=try_pooled,
        hints=(
            "Windows begin in the columns 0, 2 and 4, and in the rows 0 and 2.",
            "The window in the lower right corner sees one pixel.",
        ),
        mistakes=(
            Mistake("That is without ceil_mode: the last row and column are not used.", [[3, 5]]),
            Mistake(
                "Behind the edge there are no zeros: a window sees only the pixels that exist.", [[3, 5, 0], [0, 6, 0]]
            ),
            Mistake("Windows reach over the lower edge, too.", [[3, 5, -1]]),
            Mistake("Windows reach over the right edge, too.", [[3, 5], [-1, 6]]),
            Mistake(
                "That is stride 1. The stride of a pool is its window, if none is given.",
                [[3, 4, 5, 5], [3, 6, 6, 5]],
                4,
            ),
            Mistake("Max pooling keeps the largest number, not the mean.", [[0.5, 2.75, -2], [-2.5, 4, -2]], 2),
        ),
    ),
    Exercise(
        number=2,
        name="pooled_size",
        section=5,
        answer=pooled_size,
        trial=try_pooled_size,
        hints=(
            "Begin without ceil_mode: section 4. Then ask whether a window more is needed, and whether it is allowed.",
            "Windows begin at 0, stride, 2 · stride, … Where does the last one end, and where would one more begin?",
        ),
        mistakes=(
            Mistake(
                "The stride of a pool is its window, if none is given.",
                changed(pooled_size, "stride or window", "stride or 1"),
                4,
            ),
            Mistake(
                "Here ceil_mode=True changes nothing yet, but no window sees the last pixels.",
                changed(pooled_size, "ceil_mode and ", "False and "),
            ),
            Mistake(
                "If all pixels are seen already, ceil_mode adds nothing.", changed(pooled_size, "not all_seen and ", "")
            ),
            Mistake(
                "The window that was added sees no pixel: it begins behind the edge.",
                changed(pooled_size, " and places * stride < size", ""),
            ),
            Mistake(
                "The first place of the window counts, too.", changed(pooled_size, "// stride + 1", "// stride"), 4
            ),
            Mistake(
                "Windows that overlap have more places than that.",
                changed(pooled_size, "stride = stride or window", "stride = window"),
                4,
            ),
            Mistake(
                "A window that steps over a gap may still begin inside the picture. Where does it begin?",
                changed(pooled_size, "places * stride < size", "stride <= window"),
            ),
            Mistake(
                "The layer does the work here. Work the height out from the numbers.",
                changed(
                    pooled_size,
                    "    return places",
                    "    nothing = torch.zeros(1, 1, size, size)\n"
                    "    return nn.MaxPool2d(window, stride, ceil_mode=ceil_mode)(nothing).shape[2]",
                ),
            ),
        ),
    ),
    Exercise(
        number=3,
        name="SmallNet",
        section=6,
        answer=SmallNet,
        trial=try_small_net,
        hints=(
            "nn.Linear needs 8 · 16 · 16 numbers. Which layer gives 16x16 whatever comes in?",
            "The layer of section 6 comes in two kinds. One gives 32x32 maps the same numbers as MaxPool2d(2).",
        ),
        mistakes=(
            Mistake(
                "Larger pictures still give more numbers than the Linear layer has inputs.",
                changed(SmallNet, "AdaptiveMaxPool2d(16)", "MaxPool2d(2)"),
            ),
            Mistake(
                "The sizes fit. But pictures of 32x32 get the mean of each window now, and no longer the maximum.",
                changed(SmallNet, "AdaptiveMaxPool2d(16)", "AdaptiveAvgPool2d(16)"),
            ),
            Mistake(
                "The weights that were trained do not fit a smaller Linear layer: it needs 8 · 16 · 16 inputs.",
                changed(changed(SmallNet, "MaxPool2d(16)", "AvgPool2d(1)"), "8 * 16 * 16", "8"),
            ),
            Mistake(
                "Now pictures of 48x48 fit, and no others. And the trained weights do not.",
                changed(changed(SmallNet, "AdaptiveMaxPool2d(16)", "MaxPool2d(2)"), "8 * 16 * 16", "8 * 24 * 24"),
            ),
            Mistake(
                "Some pixels count no longer: the picture is cut, or pixels are left out.",
                changed(SmallNet, "self.conv(images)", "self.conv(images[:, :, :32, :32])"),
            ),
            Mistake(
                "interpolate looks at a few pixels only. In a large picture, most pixels do not count.",
                changed(SmallNet, "self.conv(images)", "self.conv(F.interpolate(images, (32, 32), mode='bilinear'))"),
            ),
            Mistake(
                "Some pixels count no longer: of a large picture, only the first 2048 numbers are used.",
                changed(
                    changed(SmallNet, "AdaptiveMaxPool2d(16)", "MaxPool2d(2)"), "flatten(1)", "flatten(1)[:, :2048]"
                ),
            ),
            Mistake(
                "The logits of larger pictures do not come from the trained weights alone. New layers are random.",
                changed(
                    changed(SmallNet, "AdaptiveMaxPool2d(16)", "MaxPool2d(2)"),
                    "return self.linear(x.flatten(1))",
                    "x = x.flatten(1)\n"
                    "        return self.linear(x) if x.shape[1] == 2048 else nn.Linear(x.shape[1], 10)(x)",
                ),
            ),
        ),
    ),
    Exercise(
        number=4,
        name="seen",
        section=9,
        answer=seen,
        trial=try_seen,
        hints=(
            "Keep two numbers: how many pixels are seen, and the step between neighbours, in pixels of the picture.",
            "Each layer adds (window - 1) steps. Its stride makes the step longer for all layers behind it.",
        ),
        mistakes=(
            Mistake(
                "The strides are not used: behind a stride of 2, neighbours are two pixels apart.",
                changed(seen, " * step", ""),
            ),
            Mistake(
                "The stride of a layer changes the step for the layers behind it, not for the layer itself.",
                changed(
                    changed(seen, "        step *= stride\n", ""), "pixels +=", "step *= stride\n        pixels +="
                ),
            ),
            Mistake(
                "The list is empty afterwards: go through layers without pop(), or take a copy.",
                changed(
                    changed(seen, "for window, stride in layers:", "while layers:"),
                    "        pixels +=",
                    "        window, stride = layers.pop(0)\n        pixels +=",
                ),
            ),
            Mistake("A window of 3 adds two pixels to the one that is there.", changed(seen, "(window - 1)", "window")),
            Mistake("Steps multiply: two strides of 2 make 4.", changed(seen, "step *= stride", "step = stride")),
            Mistake(
                "A pool does not double what is seen. It doubles the step.",
                changed(changed(seen, "(window - 1) * step", "window - 1"), "step *= stride", "pixels *= stride"),
            ),
            Mistake(
                "Without layers, and before the first one, a number sees one pixel.",
                changed(seen, "pixels, step = 1, 1", "pixels, step = 0, 1"),
            ),
        ),
    ),
    Exercise(
        number=5,
        name="pool2d",
        section=3,
        answer=pool2d,
        trial=try_pool2d,
        hints=(
            "pool_by_hand of section 3 does it for one picture and square windows. Begin with its two loops.",
            "`images[:, :, a:b, c:d]` is the same window of all pictures and channels.",
            "The output's row i belongs to the window that begins in row i · stride[0].",
        ),
        mistakes=(
            Mistake(
                "The stride of a pool is its window, if none is given.",
                changed(pool2d, "stride or window", "stride or (1, 1)"),
                4,
            ),
            Mistake("The stride that was given is not used.", changed(pool2d, "stride or window", "window"), 4),
            Mistake(
                "kind is not used: an average was asked for.",
                changed(pool2d, 'if kind == "max" else seen.mean(dim=(2, 3))', ""),
                2,
            ),
            Mistake(
                "Each picture and each channel is pooled separately.",
                changed(pool2d, "seen.amax(dim=(2, 3))", "seen.max()"),
            ),
            Mistake(
                "The largest of negative numbers is negative: no zero may take part.",
                changed(pool2d, "seen.amax(dim=(2, 3))", "seen.amax(dim=(2, 3)).clamp(min=0)"),
            ),
            Mistake(
                "Rows first: window (2, 3) has two rows.",
                changed(pool2d, "(height, width), (down, right)", "(width, height), (right, down)"),
            ),
            Mistake(
                "The window does not move by the stride.", changed(changed(pool2d, "i * down", "i"), "j * right", "j")
            ),
            Mistake(
                "The last window is missing: the first place counts, too.", changed(pool2d, "// down + 1", "// down"), 4
            ),
            Mistake(
                "PyTorch does the pooling here. Write it with slices and loops.",
                changed(
                    pool2d,
                    "    return pooled",
                    "    return (F.max_pool2d if kind == 'max' else F.avg_pool2d)(images, window, stride)",
                ),
            ),
        ),
    ),
]
