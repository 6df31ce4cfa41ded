"""Course 03 · Transforms: the answers, how they are judged, and the mistakes that people make."""

import itertools
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from practice import Exercise, Mistake, changed


def noise(height, width, brightest=255):
    """A PIL picture of random pixels."""
    array = torch.randint(brightest + 1, (height, width, 3), dtype=torch.uint8).numpy()
    return Image.fromarray(array)


# ---- 1 ----


def try_shape(shape):
    chain = v2.Compose([v2.ToImage(), v2.Resize(50), v2.RandomHorizontalFlip()])
    yield "the shape", shape, tuple(chain(Image.new("RGB", (170, 120))).shape)


# ---- 2 ----


def unnormalize(images, mean, std):
    mean = torch.tensor(mean).reshape(3, 1, 1)
    std = torch.tensor(std).reshape(3, 1, 1)
    return images * std + mean


def picture_by_picture(images, mean, std):
    result = images.clone()
    for i in range(3):
        result[i] = result[i] * std[i] + mean[i]
    return result


def try_unnormalize(unnormalize):
    for shape, mean, std in [
        ((2, 3, 4, 5), [0.5, 0.4, 0.3], [0.2, 0.25, 0.5]),
        ((4, 3, 5, 3), [0.1, 0.5, 0.9], [0.3, 0.2, 0.1]),
        ((1, 3, 2, 1), [0.5, 0.4, 0.3], [0.2, 0.25, 0.5]),
    ]:
        right = torch.rand(shape)
        images = v2.Normalize(mean, std)(right)
        before, lists = images.clone(), (list(mean), list(std))
        yield f"images {shape}, {mean=}, {std=}", unnormalize(images, mean, std), right
        yield "images itself, afterwards", images, before
        yield "mean and std, afterwards", (mean, std), lists


# ---- 3 ----


def build_transform(train, mean, std):
    cut = [v2.RandomCrop(16), v2.RandomHorizontalFlip()] if train else [v2.CenterCrop(16)]
    to_float = v2.ToDtype(torch.float32, scale=True)
    return v2.Compose([v2.ToImage(), v2.Resize(20), *cut, to_float, v2.Normalize(mean, std)])


def in_disorder(train, mean, std):
    steps = [v2.RandomCrop(16), v2.RandomHorizontalFlip(), v2.Normalize(mean, std), v2.ToDtype(torch.float32)]
    return v2.Compose([v2.ToImage(), v2.Resize(20), *steps])


def try_build_transform(build_transform):
    mean, std = [0.5, 0.4, 0.3], [0.2, 0.25, 0.5]
    picture = noise(20, 24)  # Resize(20) leaves it as it is
    pixels = torch.tensor(np.array(picture).tolist()).permute(2, 0, 1) / 255  # (20, 24, 3) -> (3, 20, 24)
    right = torch.stack([(channel - m) / s for channel, m, s in zip(pixels, mean, std, strict=True)])
    torch.manual_seed(3)
    transform, training = build_transform(False, mean, std), build_transform(True, mean, std)
    for which in ("first", "second", "third"):
        yield f"a test picture of 24x20 pixels, {which} call", transform(picture), right[:, 2:18, 4:20]

    halves = Image.new("RGB", (60, 40))  # black, and white from column 24 on; Resize(20) makes it half as wide
    halves.paste((255, 255, 255), (24, 0, 60, 40))
    small = build_transform(False, [0.5, 0.5, 0.5], [0.25, 0.25, 0.25])(halves)
    yield "the shape of a test picture of 60x40 pixels", tuple(small.shape), (3, 16, 16)
    what = "its red channel in row 8, columns 3 and 15, normalised with 0.5 and 0.25"
    yield what, small[0, 8, [3, 15]], torch.tensor([-2.0, 2.0])

    places = list(itertools.product((False, True), range(5), range(9)))
    crops = [right[:, top : top + 16, left : left + 16] for _, top, left in places]
    crops = torch.stack([crop.flip(2) if place[0] else crop for crop, place in zip(crops, places, strict=True)])
    seen = []
    for _ in range(400):
        image = training(picture)
        yield "the shape of a training picture", tuple(image.shape), (3, 16, 16)
        nearest = (crops - image).abs().sum(dim=(1, 2, 3)).argmin().item()
        yield "a training picture, beside the most similar part of 16x16", image, crops[nearest]
        seen.append(places[nearest])
    count = len({place[1:] for place in seen})
    most = "more than 40" if count > 40 else f"{count}"
    yield "how many of the 45 possible places come in 400 calls", most, "more than 40"
    mirrored = sum(place[0] for place in seen)
    yield "mirrored pictures in 400 calls", "about half" if 155 <= mirrored <= 245 else f"{mirrored}", "about half"

    transform = build_transform(True, [0.5, 0.5, 0.5], [0.25, 0.25, 0.25])
    edges = sum(
        (image.amin() < -1.9 and image.amax() > 1.9).item() for image in (transform(halves) for _ in range(100))
    )
    what = "training pictures of 60x40 pixels with a part of both halves, in 100 calls"
    yield what, "most" if edges > 60 else f"{edges}", "most"  # about 80; without Resize(20) about 33
    yield "torch.initial_seed(), which was 3", torch.initial_seed(), 3


# ---- 4 ----


def measure(root):
    dataset = ImageFolder(root, v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]))
    pixels = torch.cat([image.reshape(3, -1) for image, _ in dataset], dim=1)
    return pixels.mean(dim=1), pixels.std(dim=1)


def mean_of_pictures(root):
    dataset = ImageFolder(root, v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]))
    images = [image for image, _ in dataset]
    means = torch.stack([image.mean(dim=(1, 2)) for image in images])
    stds = torch.stack([image.std(dim=(1, 2)) for image in images])
    return means.mean(dim=0), stds.mean(dim=0)


def try_measure(measure):
    files = {
        "ants/1.png": (30, 44, 60), "bees/1.png": (25, 20, 255), "bees/2.jpg": (40, 10, 160),
        "wasps/grey.png": (35, 25, 90),
    }  # fmt: skip
    for _ in range(2):
        values = []
        with tempfile.TemporaryDirectory() as root:
            for name, (height, width, brightest) in files.items():
                picture = noise(height, width, brightest)
                picture = Image.blend(picture, Image.new("RGB", picture.size, (200, 30, 90)), 0.3)
                picture = picture.convert("L") if "grey" in name else picture  # ImageFolder makes RGB of it
                Path(root, name).parent.mkdir(exist_ok=True)
                picture.save(Path(root, name))
                with Image.open(Path(root, name)) as saved:  # JPEG changes the pixels
                    values.append(np.array(saved.convert("RGB")).reshape(-1, 3) / 255)
            means, stds = ([float(number) for number in three] for three in measure(root))
        pixels = np.concatenate(values)
        yield "the three means", means, pixels.mean(axis=0).tolist(), 1e-3
        yield "the three standard deviations", stds, pixels.std(axis=0).tolist(), 1e-3  # divided by n, or by n - 1


# ---- 5 ----


def to_square(image, size):
    _, height, width = image.shape
    side = max(height, width)
    left, top = (side - width) // 2, (side - height) // 2
    padded = v2.Pad((left, top, side - width - left, side - height - top))(image)
    return v2.Resize((size, size))(padded)


def resized_first(image, size):
    _, height, width = image.shape
    side = max(height, width)
    height, width = max(1, round(height * size / side)), max(1, round(width * size / side))
    left, top = (size - width) // 2, (size - height) // 2
    small = v2.Resize((height, width))(image)
    return v2.Pad((left, top, size - width - left, size - height - top))(small)


def try_to_square(to_square):
    for height, width in [(4, 9), (8, 3), (8, 5), (6, 6)]:  # size is the longer side: no pixel changes
        image = torch.randint(1, 256, (3, height, width), dtype=torch.uint8)
        side = max(height, width)
        top, left = (side - height) // 2, (side - width) // 2
        right = torch.zeros(3, side, side, dtype=torch.uint8)
        right[:, top : top + height, left : left + width] = image
        before = image.clone()
        yield f"an image of {height}x{width}, size {side}", to_square(image, side), right
        yield "image itself, afterwards", image, before
    for height, width, size in [(60, 100, 50), (120, 80, 60), (30, 20, 90), (80, 80, 40)]:
        rows, columns = torch.arange(height)[:, None], torch.arange(width)
        circle = (rows - 0.4 * height) ** 2 + (columns - 0.6 * width) ** 2 < (0.3 * min(height, width)) ** 2
        square = to_square((circle * 255).to(torch.uint8).expand(3, -1, -1).clone(), size)
        what = f"a circle in {height}x{width}, size {size}"
        yield f"{what}: shape and dtype", (tuple(square.shape), str(square.dtype)), ((3, size, size), "torch.uint8")
        bright = (square[0] > 127).nonzero().float()
        scale = size / max(height, width)
        diameter = 0.6 * min(height, width) * scale
        extent = (bright.amax(0) - bright.amin(0) + 1).tolist() if len(bright) else [0.0, 0.0]
        yield f"{what}: its height and width", extent, [diameter, diameter], 0.12
        centre = ((bright.amax(0) + bright.amin(0)) / 2).tolist() if len(bright) else [0.0, 0.0]
        margins = (max(height, width) - height) / 2, (max(height, width) - width) / 2
        right = [(0.4 * height + margins[0]) * scale, (0.6 * width + margins[1]) * scale]
        yield f"{what}: row and column of its centre", centre, right, 0.06

    line = torch.full((3, 2, 60), 255, dtype=torch.uint8)  # two of 60 rows: two thirds of one of 20 rows
    column = to_square(line, 20).float().sum(dim=1).mean().item()
    yield "a white line in 2x60, size 20: the sum of the bytes of a column", column, 255 * 2 / 3, 0.1


# ---- The exercises ----

EXERCISES = [
    Exercise(
        number=1,
        name="shape",
        section=4,
        answer=(3, 50, 70),
        trial=try_shape,
        hints=(
            "Pillow says width first. Which side of this picture is the shorter one?",
            "The shorter side becomes 50. The other one is divided by the same number, and rounded down.",
        ),
        mistakes=(
            Mistake("Pillow says width, height. A tensor has rows first.", (3, 70, 50), 2),
            Mistake("The longer side is rounded down.", (3, 50, 71)),
            Mistake("One number keeps the proportions; a pair would give a square.", (3, 50, 50)),
            Mistake("The number is for the shorter side.", (3, 35, 50)),
            Mistake("The channels come first in a tensor.", (50, 70, 3), 2),
        ),
    ),
    Exercise(
        number=2,
        name="unnormalize",
        section=6,
        answer=unnormalize,
        trial=try_unnormalize,
        hints=(
            "Normalize subtracts the mean and then divides by std. What is the way back, and in which order?",
            "Broadcasting (Course 00, section 6) aligns shapes from the right. Which axis must the three numbers meet?",
        ),
        mistakes=(
            Mistake("That normalises once more.", changed(unnormalize, "images * std + mean", "(images - mean) / std")),
            Mistake(
                "The order is wrong: the last step of Normalize must be undone first.",
                changed(unnormalize, "images * std + mean", "(images + mean) * std"),
            ),
            Mistake(
                "Three numbers of shape (3,) meet the columns, not the channels.",
                changed(unnormalize, ".reshape(3, 1, 1)", ""),
                "Course00 6",
            ),
            Mistake(
                "Three numbers of shape (3, 1) meet the rows, not the channels.",
                changed(unnormalize, ".reshape(3, 1, 1)", ".reshape(3, 1)"),
                "Course00 6",
            ),
            Mistake("Axis 0 holds the pictures, not the channels.", picture_by_picture, "Course00 2"),
            Mistake(
                "A list cannot be multiplied with a tensor: make tensors of mean and std.",
                lambda images, mean, std: images * std + mean,
            ),
            Mistake(
                "All channels get the numbers of the first one.",
                changed(unnormalize, "images * std + mean", "images * std[0] + mean[0]"),
            ),
            Mistake(
                "images itself has changed: make a new tensor.",
                changed(unnormalize, "images * std + mean", "images.mul_(std).add_(mean)"),
            ),
        ),
    ),
    Exercise(
        number=3,
        name="build_transform",
        section=9,
        answer=build_transform,
        trial=try_build_transform,
        hints=(
            "Section 10 says in which order ToDtype and Normalize stand, and what ToDtype needs.",
            "The argument train is not used yet. Which of the steps are for training pictures only?",
        ),
        mistakes=(
            Mistake("Normalize wants floats. So which step comes before it?", in_disorder, 10),
            Mistake(
                "The floats still go up to 255 when Normalize gets them.",
                changed(build_transform, ", scale=True", ""),
                3,
            ),
            Mistake(
                "The order is right. But the floats still go up to 255 when Normalize gets them.",
                changed(
                    in_disorder,
                    "v2.Normalize(mean, std), v2.ToDtype(torch.float32)",
                    "v2.ToDtype(torch.float32), v2.Normalize(mean, std)",
                ),
                3,
            ),
            Mistake(
                "The cut is right. But a test picture is mirrored in some calls.",
                changed(build_transform, "CenterCrop(16)]", "CenterCrop(16), v2.RandomHorizontalFlip()]"),
            ),
            Mistake(
                "A test picture is cut from a random place.",
                changed(build_transform, "[v2.CenterCrop(16)]", "[v2.RandomCrop(16)]"),
            ),
            Mistake(
                "Half of the training pictures must be mirrored, and not all of them.",
                changed(build_transform, "Flip()", "Flip(1.0)"),
                8,
            ),
            Mistake(
                "A test picture must be the same in each call.",
                changed(build_transform, " if train else [v2.CenterCrop(16)]", ""),
            ),
            Mistake(
                "A training picture must vary: only test pictures are cut from the middle.",
                changed(build_transform, "[v2.RandomCrop(16), v2.RandomHorizontalFlip()] if train else ", ""),
            ),
            Mistake(
                "No training picture is mirrored.", changed(build_transform, ", v2.RandomHorizontalFlip()]", "]"), 8
            ),
            Mistake(
                "That sets the seed of the whole program. A transform only draws random numbers.",
                changed(build_transform, "    to_float", "    torch.manual_seed(0)\n    to_float"),
            ),
            Mistake(
                "The numbers still go from 0 to 1: Normalize is missing.",
                changed(build_transform, ", v2.Normalize(mean, std)", ""),
                6,
            ),
        ),
    ),
    Exercise(
        number=4,
        name="measure",
        section=7,
        answer=measure,
        trial=try_measure,
        hints=(
            "The transform needs two steps only: a tensor, and floats from 0 to 1.",
            "`image.reshape(3, -1)` is (3, H * W): the pixels in three long rows. Such rows can be put end to end.",
            "Put the pixels of all pictures together first, and measure after that, along one axis.",
        ),
        mistakes=(
            Mistake(
                "That is the mean of the pictures' means: a small picture counts as much as a large one.",
                mean_of_pictures,
            ),
            Mistake(
                "The means are right. The mean of the pictures' std is not the std of all pixels.",
                changed(
                    mean_of_pictures, "means.mean(dim=0)", "torch.cat([i.reshape(3, -1) for i in images], 1).mean(1)"
                ),
            ),
            Mistake("The pixels still go from 0 to 255.", changed(measure, ", scale=True", ""), 3),
            Mistake(
                "Resizing changes the pixels, and so their mean and std.",
                changed(measure, "[v2.ToImage(), ", "[v2.ToImage(), v2.Resize((32, 32)), "),
            ),
            Mistake(
                "Return two things, each of three numbers: not the means alone, and not one number for all channels.",
                changed(measure, "pixels.mean(dim=1), pixels.std(dim=1)", "pixels.mean(), pixels.std()"),
            ),
            Mistake(
                "First the means, then the standard deviations.",
                changed(measure, "pixels.mean(dim=1), pixels.std(dim=1)", "pixels.std(dim=1), pixels.mean(dim=1)"),
            ),
            Mistake("Return the standard deviation, not its square.", changed(measure, "pixels.std(", "pixels.var(")),
            Mistake(
                "cat along axis 1 needs the same length on axis 2, but the widths differ.",
                changed(measure, "image.reshape(3, -1)", "image"),
            ),
            Mistake(
                "stack needs pictures of one size.",
                changed(
                    changed(measure, "torch.cat([image.reshape(3, -1) for", "torch.stack([image for"), "], dim=1)", "])"
                ),
                5,
            ),
            Mistake(
                "The first three numbers of an image are three pixels of one channel, not three colours of one pixel.",
                changed(
                    changed(
                        measure,
                        "image.reshape(3, -1) for image, _ in dataset], dim=1",
                        "image.reshape(-1, 3) for image, _ in dataset], dim=0",
                    ),
                    "pixels.mean(dim=1), pixels.std(dim=1)",
                    "pixels.mean(dim=0), pixels.std(dim=0)",
                ),
                "Course00 5",
            ),
        ),
    ),
    Exercise(
        number=5,
        name="to_square",
        section=4,
        answer=to_square,
        trial=try_to_square,
        hints=(
            "How long is each side of the square that just holds the image? How many rows and columns are missing?",
            "Half of the missing columns, rounded down, are on the left, and all others on the right.",
            "When the image is a square, Resize with a pair squeezes nothing.",
        ),
        mistakes=(
            Mistake("That squeezes the image.", changed(to_square, "(padded)", "(image)")),
            Mistake(
                "That cuts off what does not fit. The whole image must be there.",
                changed(to_square, "v2.Resize((size, size))(padded)", "v2.CenterCrop(size)(v2.Resize(size)(image))"),
            ),
            Mistake(
                "The image is in the corner: borders belong on both sides.",
                changed(to_square, "(side - width) // 2, (side - height) // 2", "0, 0"),
            ),
            Mistake(
                "Pad takes left, top, right, bottom, in this order.",
                changed(
                    to_square,
                    "(left, top, side - width - left, side - height - top)",
                    "(top, left, side - height - top, side - width - left)",
                ),
            ),
            Mistake(
                "The two borders have the same width, so the square has a row or column too few.",
                changed(to_square, "side - width - left, side - height - top", "left, top"),
            ),
            Mistake(
                "Pad takes left, top, right, bottom, in this order.",
                changed(
                    to_square,
                    "(left, top, side - width - left, side - height - top)",
                    "(left, side - width - left, top, side - height - top)",
                ),
            ),
            Mistake(
                "One row or column is left over, and it is on the wrong side.",
                changed(
                    to_square,
                    "(side - width) // 2, (side - height) // 2",
                    "(side - width + 1) // 2, (side - height + 1) // 2",
                ),
            ),
            Mistake("The borders come first, and then the size. A thin image shows the difference.", resized_first),
            Mistake(
                "The side of the square is the longer side of the image, in both cases.",
                changed(to_square, "max(height, width)", "width"),
            ),
        ),
    ),
]
