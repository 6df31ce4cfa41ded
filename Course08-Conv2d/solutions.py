"""Course 08 · Conv2d: the answers, how they are judged, and the mistakes that people make."""

from itertools import product

import torch
from torch import nn

from practice import Exercise, Mistake, PyTorchCalls, called, changed

# ---- 1 ----


def try_shape(shape):
    yield "the shape", shape, tuple(nn.Conv2d(3, 6, kernel_size=3, stride=2)(torch.zeros(64, 3, 32, 32)).shape)


# ---- 2 ----


def output_size(size, kernel_size, stride=1, padding=0, dilation=1):
    reach = dilation * (kernel_size - 1) + 1
    return (size + 2 * padding - reach) // stride + 1


def try_output_size(output_size):
    for size, k, s, p, d in product((32, 15), (3, 4), (1, 2), (0, 2), (1, 2)):
        right = nn.Conv2d(1, 1, k, s, p, d)(torch.zeros(1, 1, size, size)).shape[-1]
        yield *called(output_size, size, k, stride=s, padding=p, dilation=d), right
    yield "output_size(10, 3), the rest by default", output_size(10, 3), 8
    for args in [(17, 4, 3, 1, 2), (7, 7), (3, 3, 1, 1)]:
        yield *called(output_size, *args), nn.Conv2d(1, 1, *args[1:])(torch.zeros(1, 1, args[0], args[0])).shape[-1]


# ---- 3 ----


def count_parameters(in_channels, out_channels, kernel_size, groups=1, bias=True):
    weights = out_channels * (in_channels // groups) * kernel_size**2
    return weights + (out_channels if bias else 0)


def try_count_parameters(count_parameters):
    for args, kwargs in [
        ((3, 6, 5), {}),
        ((3, 6, 3), {"bias": False}),
        ((8, 16, 3), {"groups": 4}),
        ((8, 16, 3), {"groups": 8, "bias": False}),
    ]:
        right = sum(p.numel() for p in nn.Conv2d(*args, **kwargs).parameters())
        yield *called(count_parameters, *args, **kwargs), right
    yield "count_parameters(8, 16, 3, 4, False)", count_parameters(8, 16, 3, 4, False), 16 * 2 * 3 * 3


# ---- 4 ----


def side_by_side(feature_maps):
    batch, channels, height, width = feature_maps.shape
    return feature_maps.permute(0, 2, 1, 3).reshape(batch, height, channels * width)


def try_side_by_side(side_by_side):
    for shape in [(1, 2, 2, 3), (4, 6, 5, 5), (3, 9, 4, 2)]:
        maps = torch.arange(float(torch.Size(shape).numel())).reshape(shape) - 5  # some are negative
        right = torch.stack([torch.cat(list(image), dim=1) for image in maps])  # map after map
        before = maps.clone()
        yield f"side_by_side(maps), maps {shape}", side_by_side(maps), right
        yield "the maps, afterwards", maps, before


# ---- 5 ----


def one_number(images, conv, n, k, row, column):
    (kernel_height, kernel_width), (down, right) = conv.kernel_size, conv.padding
    padded = nn.functional.pad(images[n], (right, right, down, down))
    top, left = row * conv.stride[0], column * conv.stride[1]
    patch = padded[:, top : top + kernel_height, left : left + kernel_width]
    return (patch * conv.weight[k]).sum() + conv.bias[k]


def try_one_number(one_number):
    with PyTorchCalls("conv") as convolutions:
        one_number(torch.rand(1, 1, 3, 3), nn.Conv2d(1, 1, 3), 0, 0, 0, 0)
    yield "PyTorch's convolutions in it", convolutions.names, []
    settings = [(3, 3, 1, 0), (3, 3, 2, 0), (1, 5, 1, 2), (3, (2, 4), (1, 3), (1, 2)), (5, 3, (2, 1), (2, 0))]
    for in_channels, kernel_size, stride, padding in settings:
        images = torch.randn(2, in_channels, 9, 12)
        conv = nn.Conv2d(in_channels, 4, kernel_size, stride, padding)
        maps = conv(images)
        for n, k, row, column in [(0, 0, 0, 0), (1, 3, 2, 1), (1, 2, maps.shape[2] - 1, maps.shape[3] - 1)]:
            what = f"image {n}, channel {k}, row {row}, column {column}, with {kernel_size=}, {stride=}, {padding=}"
            yield what, one_number(images, conv, n, k, row, column), maps[n, k, row, column]
            yield "afterwards, conv and images are what they were", torch.allclose(conv(images), maps), True
            learns = all(parameter.requires_grad for parameter in conv.parameters())
            yield "afterwards, the parameters of conv require a gradient", learns, True


def negative_indices(images, conv, n, k, row, column):
    total = conv.bias[k]
    for u, v in product(*map(range, conv.kernel_size)):
        i, j = row * conv.stride[0] + u - conv.padding[0], column * conv.stride[1] + v - conv.padding[1]
        if i < images.shape[2] and j < images.shape[3]:
            total = total + (images[n, :, i, j] * conv.weight[k, :, u, v]).sum()
    return total


def number_of_the_layer(images, conv, n, k, row, column):
    return conv(images)[n, k, row, column]


# ---- The exercises ----

EXERCISES = [
    Exercise(
        number=1,
        name="shape",
        section=4,
        answer=(64, 6, 15, 15),
        trial=try_shape,
        hints=(
            "N stays. C comes from the layer. H and W come from the formula of section 4.",
            "The kernel can stand at 30 places in a row. Stride 2 takes every second one of them.",
        ),
        mistakes=(
            Mistake("Round down, and do not pad: the kernel needs pixels under all of its weights.", (64, 6, 16, 16)),
            Mistake("There are no half pixels. What happens to the part behind the point?", (64, 6, 15.5, 15.5)),
            Mistake("The channels that come out are the layer's second number.", (64, 3, 15, 15)),
            Mistake("That is stride 1. With stride 2 the kernel moves two pixels at a time.", (64, 6, 30, 30)),
            Mistake("A batch has four axes: the number of images comes first.", (6, 15, 15)),
        ),
    ),
    Exercise(
        number=2,
        name="output_size",
        section=11,
        answer=output_size,
        trial=try_output_size,
        hints=(
            "How many pixels does a kernel of 3 with dilation 2 reach over, from its first weight to its last?",
            "Put this reach into the formula of section 4, in the place of the kernel size.",
        ),
        mistakes=(
            Mistake("There is padding on both sides.", changed(output_size, "2 * padding", "padding"), 4),
            Mistake(
                "The + 1 stands behind the division.", changed(output_size, ") // stride + 1", " + 1) // stride"), 4
            ),
            Mistake("A size is a whole number: round down.", changed(output_size, "//", "/"), 4),
            Mistake(
                "Dilation is not used yet.", changed(output_size, "dilation * (kernel_size - 1) + 1", "kernel_size")
            ),
            Mistake(
                "Not only one gap gets wider: all of them do.",
                changed(output_size, "dilation * (kernel_size - 1) + 1", "kernel_size + dilation - 1"),
            ),
            Mistake("k weights have k - 1 gaps.", changed(output_size, "(kernel_size - 1) + 1", "kernel_size")),
        ),
    ),
    Exercise(
        number=3,
        name="count_parameters",
        section=12,
        answer=count_parameters,
        trial=try_count_parameters,
        hints=(
            "Print `nn.Conv2d(8, 16, 3, groups=4).weight.shape`. What does each number mean?",
            "There is one bias for each output channel, or none.",
        ),
        mistakes=(
            Mistake(
                "Each kernel has a table for every channel that it sees.",
                changed(count_parameters, " * (in_channels // groups)", ""),
                2,
            ),
            Mistake("A kernel has height and width.", changed(count_parameters, "kernel_size**2", "kernel_size"), 2),
            Mistake(
                "The bias: one number for each output channel.",
                changed(count_parameters, "(out_channels if bias else 0)", "0"),
                2,
            ),
            Mistake(
                "bias=False means that there is none.",
                changed(count_parameters, "(out_channels if bias else 0)", "out_channels"),
                2,
            ),
            Mistake(
                "With groups, a kernel sees only its share of the channels.",
                changed(count_parameters, "in_channels // groups", "in_channels"),
            ),
            Mistake(
                "All groups count, not only the first one: there are still out_channels kernels.",
                changed(count_parameters, "out_channels * (in", "out_channels // groups * (in"),
            ),
            Mistake(
                "All groups count, not only the first one: there are still out_channels kernels.",
                changed(
                    changed(count_parameters, "out_channels * (in", "out_channels // groups * (in"),
                    "(out_channels if",
                    "(out_channels // groups if",
                ),
            ),
            Mistake(
                "groups makes kernels smaller. Each kernel still has a whole bias.",
                changed(count_parameters, "(out_channels if", "(out_channels // groups if"),
            ),
            Mistake(
                "There is not only one bias: each kernel has its own.",
                changed(count_parameters, "(out_channels if", "(1 if"),
                2,
            ),
            Mistake(
                "A number of parameters is a whole number, and `/` makes a float.",
                changed(count_parameters, "//", "/"),
            ),
        ),
    ),
    Exercise(
        number=4,
        name="side_by_side",
        section=8,
        answer=side_by_side,
        trial=try_side_by_side,
        hints=(
            "reshape reads the numbers in their order and only counts anew. The order itself must change first.",
            "Rows come before maps: bring the axes into the order N, H, C, W.",
        ),
        mistakes=(
            Mistake(
                "The shape is right, the order of the numbers is not: reshape never changes it.",
                changed(side_by_side, ".permute(0, 2, 1, 3)", ""),
            ),
            Mistake(
                "Now columns come before maps: each pixel stands beside the same pixel of the next map.",
                changed(side_by_side, "0, 2, 1, 3", "0, 2, 3, 1"),
            ),
            Mistake(
                "That puts the maps below each other.",
                changed(
                    changed(side_by_side, ".permute(0, 2, 1, 3)", ""),
                    "height, channels * width",
                    "channels * height, width",
                ),
            ),
        ),
    ),
    Exercise(
        number=5,
        name="one_number",
        section=3,
        answer=one_number,
        trial=try_one_number,
        hints=(
            "Section 3 does it for one place, without stride and padding. Where does the patch begin with stride 2?",
            "`nn.functional.pad(image, (left, right, top, bottom))` puts zeros around an image.",
        ),
        mistakes=(
            Mistake(
                "A function of PyTorch does all the work here. Take the weights, and add up the products yourself.",
                number_of_the_layer,
            ),
            Mistake("The bias is missing.", changed(one_number, " + conv.bias[k]", "")),
            Mistake(
                "The bias is added once, not to each product.",
                changed(one_number, "conv.weight[k]).sum() + conv.bias[k]", "conv.weight[k] + conv.bias[k]).sum()"),
            ),
            Mistake("conv.bias has a number for each kernel.", changed(one_number, "conv.bias[k]", "conv.bias"), 2),
            Mistake(
                "A negative index counts from the end: images[n, :, -1] is the last row, and no zero.",
                negative_indices,
                4,
            ),
            Mistake(
                "With stride s, the patch of row r begins in row r * s.",
                changed(one_number, "row * conv.stride[0], column * conv.stride[1]", "row, column"),
                4,
            ),
            Mistake(
                "The zeros around the image are missing.",
                changed(one_number, "nn.functional.pad(images[n], (right, right, down, down))", "images[n]"),
                4,
            ),
            Mistake(
                "pad() begins with the last axis: left and right come first.",
                changed(one_number, "(right, right, down, down)", "(down, down, right, right)"),
            ),
            Mistake(
                "stride is (down, right): rows use the first one.",
                changed(
                    one_number,
                    "row * conv.stride[0], column * conv.stride[1]",
                    "row * conv.stride[1], column * conv.stride[0]",
                ),
            ),
        ),
    ),
]
