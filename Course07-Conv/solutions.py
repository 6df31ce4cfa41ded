"""Course 07 · Conv: the answers, how they are judged, and the mistakes that people make."""

from itertools import product

import numpy as np
import torch
from torch.nn import functional as F

from practice import Exercise, Mistake, PyTorchCalls, called, changed

# ---- 1 ----


def try_output(output):
    image = [[1, 0, 2, 0, 1, 3], [0, 3, 1, 0, 2, 0], [2, 0, 0, 1, 0, 1], [1, 2, 0, 3, 0, 2]]
    kernel = [[0, 1, 0], [0, 2, 0], [0, 0, 1]]
    right = F.conv2d(torch.tensor([[image]]).float(), torch.tensor([[kernel]]).float(), stride=2, padding=1)
    output = output.tolist() if hasattr(output, "tolist") else output  # the rows of a tensor or an array
    yield "the output", output, right[0, 0].tolist()


# ---- 2 ----


def moving_kernel(down, right):
    kernel = torch.zeros(7, 7)
    kernel[3 - down, 3 - right] = 1
    return kernel


def try_moving_kernel(moving_kernel):
    image, kernels = torch.rand(6, 9), []
    for down, right in [(0, 1), (2, 0), (0, -3), (-1, 2), (3, 3), (0, 0)]:
        what, kernel = called(moving_kernel, down, right)
        yield f"the shape and dtype of {what}", _in_short(kernel), ((7, 7), torch.float32)
        moved = F.conv2d(image[None, None], kernel[None, None], padding="same")[0, 0]
        yield f"what {what} makes of a picture", moved, F.pad(image, [right, -right, down, -down])
        kernels.append((kernel, kernel.clone()))
    kept = all(torch.equal(kernel, before) for kernel, before in kernels)
    yield "a kernel stays as it is when the next one is made", kept, True


ONE_FOR_ALL = torch.zeros(7, 7)


def _in_short(value):
    """The shape and dtype of a tensor; anything else stays."""
    return (tuple(value.shape), value.dtype) if isinstance(value, torch.Tensor) else value


# ---- 3 ----


def settings(before, after):
    found = []
    for kernel_size in range(1, 8):
        for stride in range(1, 5):
            for padding in range(4):
                if (before + 2 * padding - kernel_size) // stride + 1 == after:
                    found.append((kernel_size, stride, padding))
    return found


def try_settings(settings):
    for before, after in [(224, 112), (9, 4), (32, 32), (2, 1), (5, 9), (3, 50)]:
        right = []
        for k, s, p in product(range(1, 8), range(1, 5), range(4)):
            if k <= before + 2 * p:
                made = F.conv1d(torch.zeros(1, 1, before), torch.zeros(1, 1, k), stride=s, padding=p)
                right += [(k, s, p)] * (made.shape[-1] == after)
        what, found = called(settings, before, after)
        kind = "list" if isinstance(found, tuple) else found if found is None else type(found).__name__
        yield f"{what}: its type", kind, "list"
        found = [tuple(setting) for setting in found]
        wrong = [setting for setting in found if setting not in right]
        missing = [setting for setting in right if setting not in found]
        yield f"{what}: how many do not make {after}, and one of them", (len(wrong), (wrong or [None])[0]), (0, None)
        yield f"{what}: how many are missing, and one of them", (len(missing), (missing or [None])[0]), (0, None)
        yield f"{what}: how many", len(found), len(right)


def sizes_rounded_towards_0(before, after):
    ways = product(range(1, 8), range(1, 5), range(4))
    return [(k, s, p) for k, s, p in ways if int((before + 2 * p - k) / s) + 1 == after]


# ---- 4 ----


def vertical_edges(picture):
    image = torch.from_numpy(picture).permute(2, 0, 1).float() / 255
    grey = image.mean(dim=0)  # (3, height, width) -> (height, width)
    kernel = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]) / 4
    return F.conv2d(grey[None, None], kernel[None, None], padding="same")[0, 0]


def try_vertical_edges(vertical_edges):
    for seed, (shape, brightest) in enumerate([((5, 7, 3), 250), ((6, 4, 3), 255), ((5, 5, 3), 1)]):
        picture = np.random.default_rng(seed).integers(0, brightest + 1, shape, dtype=np.uint8)
        grey = np.pad(picture.mean(axis=2) / 255, 1)
        brighter = (grey[:, 2:] - grey[:, :-2]) / 4  # right minus left
        right = brighter[:-2] + 2 * brighter[1:-1] + brighter[2:]
        before = picture.copy()
        what = f"vertical_edges(picture), picture {shape} of bytes from 0 to {brightest}"
        yield what, vertical_edges(picture), torch.from_numpy(right).float()
        yield "the picture, afterwards, is what it was", np.array_equal(picture, before), True


# ---- 5 ----


def conv(image, kernel, stride=1, padding=0):
    padded = F.pad(image, [padding] * 4)
    height, width = kernel.shape
    rows = (padded.shape[0] - height) // stride + 1
    columns = (padded.shape[1] - width) // stride + 1
    output = torch.zeros(rows, columns)
    for i in range(rows):
        for j in range(columns):
            top, left = i * stride, j * stride
            patch = padded[top : top + height, left : left + width]
            output[i, j] = (patch * kernel).sum()
    return output


def try_conv(conv):
    def right(image, kernel, **kwargs):
        return F.conv2d(image[None, None], kernel[None, None], **kwargs)[0, 0]

    with PyTorchCalls("conv") as convolutions:
        output = conv(torch.randn(5, 5), torch.randn(3, 3))
    yield "PyTorch's convolutions in it", convolutions.names, []
    before = output.clone() if isinstance(output, torch.Tensor) else output
    conv(torch.randn(5, 5), torch.randn(3, 3))
    yield "an output stays as it is when the next one is made", output, before
    image = torch.randn(6, 9)
    for shape in [(3, 3), (2, 4), (6, 1)]:
        kernel = torch.randn(shape)
        yield f"image (6, 9), kernel {shape}", conv(image, kernel), right(image, kernel)
        for stride, padding in [(2, 0), (3, 0), (1, 2), (2, 1), (4, 3)]:
            what = f"image (6, 9), kernel {shape}, {stride=}, {padding=}"
            yield (
                what,
                conv(image, kernel, stride=stride, padding=padding),
                right(image, kernel, stride=stride, padding=padding),
            )
    image, kernel = torch.randn(2, 3), torch.randn(4, 5)
    what = "image (2, 3), kernel (4, 5), stride 1, padding 2"
    yield what, conv(image, kernel, padding=2), right(image, kernel, padding=2)
    image, kernel = torch.randn(8, 5), torch.randn(3, 2)
    before = image.clone(), kernel.clone()
    yield (
        "image (8, 5), kernel (3, 2), stride 2, padding 1",
        conv(image, kernel, 2, 1),
        right(image, kernel, stride=2, padding=1),
    )
    yield "the image, afterwards", image, before[0]
    yield "the kernel, afterwards", kernel, before[1]


def negative_indices(image, kernel, stride=1, padding=0):
    (height, width), (k, m) = image.shape, kernel.shape
    output = torch.zeros((height + 2 * padding - k) // stride + 1, (width + 2 * padding - m) // stride + 1)
    for i, j, u, v in product(*map(range, output.shape), range(k), range(m)):
        row, column = i * stride + u - padding, j * stride + v - padding
        if row < height and column < width:
            output[i, j] += kernel[u, v] * image[row, column]
    return output


def conv2d_of_pytorch(image, kernel, stride=1, padding=0):
    return F.conv2d(image[None, None], kernel[None, None], stride=stride, padding=padding)[0, 0]


# ---- The exercises ----

EXERCISES = [
    Exercise(
        number=1,
        name="output",
        section=6,
        answer=[[5, 4, 2], [6, 4, 4]],
        trial=try_output,
        hints=(
            "With the border of zeros, the picture has 6 rows and 8 columns. Where does the kernel stand first?",
            "Only three weights are not 0. With stride 2, the middle of the kernel stands on every other pixel.",
        ),
        mistakes=(
            Mistake(
                "That is stride 1: the kernel moves two pixels at a time, to the right and down.",
                [[5, 1, 4, 2, 2, 6], [1, 6, 5, 0, 6, 3], [6, 3, 4, 2, 4, 2], [4, 4, 0, 7, 0, 5]],
                5,
            ),
            Mistake("The border of zeros is missing: the middle of the kernel begins on the corner pixel.", [[6, 0]]),
            Mistake("The border has to be on all four sides, above and on the left, too.", [[6, 0, 3], [4, 7, 5]]),
            Mistake("The kernel is turned: lay it on the picture as it is.", [[2, 5, 4], [5, 3, 0]], 3),
            Mistake("Rows and columns of the kernel are exchanged.", [[5, 4, 2], [6, 3, 3]], 3),
        ),
    ),
    Exercise(
        number=2,
        name="moving_kernel",
        section=3,
        answer=moving_kernel,
        trial=try_moving_kernel,
        hints=(
            "The middle is kernel[3, 3]. A 1 there leaves the picture as it is.",
            "For each pixel, the 1 says where to look. To move the picture to the right, where does a pixel look?",
        ),
        mistakes=(
            Mistake(
                "That moves the picture the opposite way: a weight on the right takes the pixel on the right.",
                changed(moving_kernel, "3 - down, 3 - right", "3 + down, 3 + right"),
            ),
            Mistake(
                "Rows come first: down is the first axis.",
                changed(moving_kernel, "3 - down, 3 - right", "3 - right, 3 - down"),
            ),
            Mistake(
                "Count from the middle of the kernel, not from its corner.",
                changed(moving_kernel, "3 - down, 3 - right", "down, right"),
            ),
            Mistake(
                "Use the shape (7, 7), without the axes for kernels and channels.",
                changed(moving_kernel, "return kernel", "return kernel[None, None]"),
                4,
            ),
            Mistake(
                "A picture of floats needs a kernel of floats.",
                changed(moving_kernel, "torch.zeros(7, 7)", "torch.zeros(7, 7, dtype=torch.int64)"),
                10,
            ),
            Mistake(
                "All calls return one and the same tensor: make a new one in each.",
                changed(moving_kernel, "torch.zeros(7, 7)", "ONE_FOR_ALL.zero_()"),
            ),
            Mistake("That is half right: the other direction is not used.", changed(moving_kernel, "3 - down", "3")),
        ),
    ),
    Exercise(
        number=3,
        name="settings",
        section=7,
        answer=settings,
        trial=try_settings,
        hints=(
            "Three loops, one in the other, go through all settings. `if` keeps those that fit.",
            "The formula of section 7 gives the size. `//` rounds down.",
        ),
        mistakes=(
            Mistake("Not only strides that leave no remainder: a size is rounded down.", changed(settings, "//", "/")),
            Mistake("There is padding on both sides.", changed(settings, "2 * padding", "padding")),
            Mistake("The first place of the kernel counts, too.", changed(settings, "stride + 1 ==", "stride ==")),
            Mistake(
                "The + 1 stands behind the division.",
                changed(settings, "- kernel_size) // stride + 1", "- kernel_size + 1) // stride"),
            ),
            Mistake(
                "range ends before its last number: range(1, 7) ends with 6.",
                changed(settings, "range(1, 8)", "range(1, 7)"),
            ),
            Mistake("Padding may be 0, too.", changed(settings, "range(4)", "range(1, 4)")),
            Mistake("More strides than 2 are to be tried.", changed(settings, "range(1, 5)", "range(2, 3)"), 5),
            Mistake(
                "A kernel that is larger than the padded row does not fit. int() rounds towards 0, and // down.",
                sizes_rounded_towards_0,
            ),
        ),
    ),
    Exercise(
        number=4,
        name="vertical_edges",
        section=9,
        answer=vertical_edges,
        trial=try_vertical_edges,
        hints=(
            "Two things are wrong in the line that makes `image`. One is the order of the numbers, one is their size.",
            "reshape keeps the order in which the numbers are read. Which call puts the axes in a different order?",
        ),
        mistakes=(
            Mistake(
                "reshape mixes up colours and places, and the numbers go up to 255.",
                changed(vertical_edges, ".permute(2, 0, 1).float() / 255", ".reshape(3, *picture.shape[:2]).float()"),
                "Course03 2",
            ),
            Mistake(
                "reshape mixes up colours and places.",
                changed(vertical_edges, ".permute(2, 0, 1)", ".reshape(3, *picture.shape[:2])"),
                "Course03 2",
            ),
            Mistake(
                "The order is right. The numbers still go up to 255.",
                changed(vertical_edges, " / 255", ""),
                "Course03 3",
            ),
            Mistake("Height and width are exchanged.", changed(vertical_edges, "2, 0, 1", "2, 1, 0"), "Course03 2"),
            Mistake(
                "A mean of bytes is no byte: PyTorch needs floats for it.",
                changed(vertical_edges, ".float() / 255", ""),
                10,
            ),
            Mistake(
                "A byte goes up to 255, in a dark picture, too.",
                changed(vertical_edges, "/ 255", "/ picture.max()"),
                "Course03 3",
            ),
            Mistake(
                "A byte goes up to 255, in a dark picture, too.",
                changed(
                    vertical_edges,
                    " / 255",
                    "\n    if picture.max() > 1:\n        image = image / 255",
                ),
                "Course03 3",
            ),
        ),
    ),
    Exercise(
        number=5,
        name="conv",
        section=3,
        answer=conv,
        trial=try_conv,
        hints=(
            "First put the zeros around. From there on, padding needs no further thought.",
            "How many places does the kernel have in a row of the padded picture? Section 7.",
            "The output's row i belongs to the patch that begins in row i · stride.",
        ),
        mistakes=(
            Mistake(
                "A function of PyTorch does all the work here. Add up the products yourself.",
                conv2d_of_pytorch,
            ),
            Mistake(
                "The size is right, but the patch does not move by the stride.",
                changed(conv, "i * stride, j * stride", "i, j"),
                5,
            ),
            Mistake(
                "Width and height of the picture may differ.",
                changed(conv, "padded.shape[1] - width", "padded.shape[0] - width"),
            ),
            Mistake(
                "Width and height of the kernel may differ.",
                changed(conv, "padded.shape[1] - width", "padded.shape[1] - height"),
            ),
            Mistake("The zeros around the picture are missing.", changed(conv, "[padding] * 4", "[0] * 4"), 6),
            Mistake(
                "Zeros are missing on two sides: padding is left and right, above and below.",
                changed(conv, "[padding] * 4", "[padding, 0, padding, 0]"),
                6,
            ),
            Mistake(
                "The first place counts, too: a row and a column are missing.",
                changed(conv, "// stride + 1", "// stride"),
                7,
            ),
            Mistake(
                "The output has one row and one column too many.", changed(conv, "// stride + 1", "// stride + 2"), 7
            ),
            Mistake(
                "F.pad has zeros on the left and right only: four numbers are needed.",
                changed(conv, "[padding] * 4", "[padding] * 2"),
                6,
            ),
            Mistake(
                "A negative index counts from the end: image[-1] is the last row, and no zero.",
                negative_indices,
                6,
            ),
            Mistake("The mean of the products was not asked for: add them up.", changed(conv, ".sum()", ".mean()"), 2),
            Mistake(
                "The kernel is turned: lay it on the picture as it is.",
                changed(conv, "patch * kernel", "patch * kernel.flip(0, 1)"),
                3,
            ),
        ),
    ),
]
