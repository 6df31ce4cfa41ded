"""Course 20 · ModelTest: the answers, how they are judged, and the mistakes that people make."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import nn

from common.pictures import read_image, to_uint8
from practice import Exercise, Mistake, changed

# ---- 1 ----


def try_read(read):
    yield "how many numbers", len(read) if isinstance(read, list | tuple) else read, 3
    pictures = [("cat", "cat")] * 40 + [("cat", "dog")] * 8 + [("cat", "frog")] * 2  # (what it is, what is answered)
    pictures += [("dog", "cat")] * 12 + [("dog", "dog")] * 16 + [("dog", "frog")] * 2 + [("frog", "frog")] * 20
    right = [truth == answer for truth, answer in pictures]
    dogs = [answer == "dog" for truth, answer in pictures if truth == "dog"]
    called_cat = [truth == "cat" for truth, answer in pictures if answer == "cat"]
    for what, got, hits in zip(
        ("the accuracy", "the share of the dogs", "the share of real cats"),
        read,
        (right, dogs, called_cat),
        strict=True,
    ):
        yield what, got, sum(hits) / len(hits), 0.006


# ---- 2 ----


def class_accuracy(labels, guesses, num_classes):
    confusion = torch.zeros(num_classes, num_classes)
    for i in range(len(labels)):
        confusion[labels[i], guesses[i]] += 1
    return confusion.diagonal() / confusion.sum(dim=1)


def try_class_accuracy(class_accuracy):
    for labels, guesses, num_classes in [
        ([0, 0, 0, 0, 0, 1, 1, 2], [0, 0, 0, 1, 1, 1, 2, 2], 3),
        ([0, 1, 2, 3], [0, 1, 2, 3], 4),
        ([3, 0, 3, 3, 0, 3, 3], [3, 3, 0, 3, 0, 3, 1], 5),
        ([1] * 9, [0] * 9, 2),
    ]:
        right = []
        for k in range(num_classes):
            hits = [guess == k for label, guess in zip(labels, guesses, strict=True) if label == k]
            right.append(sum(hits) / len(hits) if hits else float("nan"))
        given = [torch.tensor(labels), torch.tensor(guesses)]
        got = class_accuracy(*given, num_classes)
        yield "it returns a tensor", isinstance(got, torch.Tensor), True
        yield f"labels {labels}, guesses {guesses}", got.tolist(), right
        yield "labels and guesses afterwards", [tensor.tolist() for tensor in given], [labels, guesses]
    labels, guesses = torch.tensor([0] * 2600 + [1] * 300), torch.tensor([0] * 2500 + [1] * 400)
    what = "2,600 pictures of class 0, 2,500 of them right, and 300 of class 1, all right"  # more than a byte counts
    yield what, class_accuracy(labels, guesses, 2).tolist(), [2500 / 2600, 1.0]


def as_given(labels, guesses, num_classes):
    confusion = torch.zeros(num_classes, num_classes)
    confusion[labels, guesses] += 1
    return confusion.diagonal() / confusion.sum(dim=0)


# ---- 3 ----


def top_k_accuracy(logits, labels, k):
    best = logits.topk(min(k, logits.shape[1])).indices  # (N, k)
    return (best == labels[:, None]).any(dim=1).float().mean().item()


def try_top_k_accuracy(top_k_accuracy):
    for count, num_classes in [(13, 6), (4, 4), (12, 3)]:
        logits, labels = torch.randn(count, num_classes), torch.randint(num_classes, (count,))
        logits[range(count), labels] += 1  # better than chance
        for k in (1, 2, 3, num_classes, num_classes + 4):
            hits = 0
            for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
                hits += label in sorted(range(num_classes), key=lambda i, row=row: -row[i])[:k]
            what = f"{count} pictures, {num_classes} classes, {k=}"
            yield what, top_k_accuracy(logits, labels, k), hits / count


# ---- 4 ----


def predict_twice(model, images):
    model.eval()
    with torch.no_grad():
        straight = model(images).softmax(dim=1)
        mirrored = model(images.flip(3)).softmax(dim=1)
    return (straight + mirrored) / 2


def try_predict_twice(predict_twice):
    for count, num_classes in [(5, 4), (1, 3)]:
        layers = [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Dropout(0.5)]
        model = nn.Sequential(*layers, nn.Linear(4 * 4 * 6, num_classes))
        model(torch.rand(8, 3, 6, 8))  # moves the running statistics
        images = torch.rand(count, 3, 6, 8)
        given = images.clone()
        model.eval()
        right = torch.zeros(count, num_classes)
        with torch.no_grad():
            for i in range(count):
                mirror = torch.stack([images[i, :, :, 7 - column] for column in range(8)], dim=2)
                for picture in (images[i], mirror):
                    scores = model(picture[None])[0].exp()
                    right[i] += scores / scores.sum() / 2
        model.train()
        got = predict_twice(model, images)
        yield "gradients are computed afterwards", torch.is_grad_enabled(), True
        yield f"the means for {count} pictures and {num_classes} classes", got, right
        yield "a graph is kept", got.requires_grad, False
        yield "all parameters can learn afterwards", all(p.requires_grad for p in model.parameters()), True
        yield "images afterwards", images, given


def logits_averaged(model, images):
    model.eval()
    with torch.no_grad():
        return ((model(images) + model(images.flip(3))) / 2).softmax(dim=1)


# ---- 5 ----


def photograph(path, mean, std):
    picture = to_uint8(read_image(path)) / 255
    mean, std = torch.tensor(mean).view(3, 1, 1), torch.tensor(std).view(3, 1, 1)
    return ((picture - mean) / std).unsqueeze(0)


def try_photograph(photograph):
    noise = np.random.default_rng(0)
    landscape = Image.fromarray(noise.integers(0, 256, (40, 60, 3), dtype=np.uint8))
    turned = Image.Exif()
    turned[0x0112] = 6  # "turn me by 90 degrees", as a telephone writes it
    transparent = Image.fromarray(noise.integers(0, 256, (32, 32, 4), dtype=np.uint8))
    grey = Image.fromarray(noise.integers(0, 256, (50, 33), dtype=np.uint8))
    with TemporaryDirectory() as folder:
        for name, picture, save in [
            ("photograph.jpg", landscape, {"exif": turned}),
            ("transparent.png", transparent, {}),
            ("grey.png", grey, {}),
        ]:
            path = Path(folder) / name
            picture.save(path, **save)
            with Image.open(path) as opened:
                seen = ImageOps.exif_transpose(opened)
            if name == "transparent.png":
                seen = Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen)
            pixels = np.asarray(ImageOps.fit(seen.convert("RGB"), (32, 32), Image.Resampling.BILINEAR))
            for mean, std in [([0.5, 0.4, 0.3], [0.25, 0.2, 0.3]), ([0.0, 0.0, 0.0], [1.0, 1.0, 1.0])]:
                right = torch.empty(1, 3, 32, 32)
                for channel in range(3):
                    values = pixels[:, :, channel].astype(np.float64) / 255
                    right[0, channel] = torch.from_numpy((values - mean[channel]) / std[channel])
                given = [*mean, *std]
                yield f"{name}, mean {mean}, std {std}", photograph(path, mean, std), right
                yield "mean and std afterwards", [*mean, *std], given


# ---- 6 ----


def calibration_error(probabilities, labels, bins=10):
    confidence, guesses = probabilities.max(dim=1)
    right = (guesses == labels).float()
    interval = (confidence * bins).long().clamp(max=bins - 1)  # 0 … bins - 1
    error = 0.0
    for i in range(bins):
        inside = interval == i
        if inside.any():
            distance = (right[inside].mean() - confidence[inside].mean()).abs().item()
            error += distance * inside.float().mean().item()
    return error


def often_right(probabilities):
    """Labels with which 6 answers of 10 are right, whatever their confidence: too sure here, not sure enough there."""
    guessed = torch.rand(len(probabilities)) < 0.6
    return torch.where(guessed, probabilities.argmax(dim=1), probabilities.argmin(dim=1))


def try_calibration_error(calibration_error):
    two = torch.tensor([[0.72, 0.28], [0.36, 0.64], [0.66, 0.34]])
    what = "confidences 0.72 (right), 0.64 (right), 0.66 (wrong)"
    right = (0.28 + 2 * abs(0.65 - 0.5)) / 3
    yield what, calibration_error(two, torch.tensor([0, 1, 1])), right
    sure = torch.eye(3)[[0, 1, 2, 1]]  # four answers, each with a confidence of exactly 1
    yield "four answers of confidence 1, all right", calibration_error(sure, torch.tensor([0, 1, 2, 1])), 0.0
    yield "four answers of confidence 1, one wrong", calibration_error(sure, torch.tensor([0, 1, 2, 0])), 0.25
    two = torch.tensor([[1.0, 0.0], [0.95, 0.05]])
    yield "confidences 1 (wrong), 0.95 (right)", calibration_error(two, torch.tensor([1, 0])), 0.975 - 0.5
    for count, num_classes, bins in [(40, 4, 10), (31, 3, 5), (60, 10, 20), (25, 2, 1)]:
        probabilities = (3 * torch.randn(count, num_classes)).softmax(dim=1)
        place = probabilities.amax(dim=1) * bins
        probabilities = probabilities[(place - place.round()).abs() > 0.01]  # none on the border of two intervals
        labels = often_right(probabilities)
        sums = {}  # interval -> [answers, right ones, confidence]
        for row, label in zip(probabilities.tolist(), labels.tolist(), strict=True):
            own = sums.setdefault(int(max(row) * bins), [0, 0, 0.0])
            own[0] += 1
            own[1] += row.index(max(row)) == label
            own[2] += max(row)
        right = sum(abs(hits - confidence) for _, hits, confidence in sums.values()) / len(labels)
        what = f"{len(labels)} answers, {num_classes} classes, {bins=}"
        yield what, calibration_error(probabilities, labels, bins), right
    probabilities = (2 * torch.randn(50, 5)).softmax(dim=1)
    labels = often_right(probabilities)
    yield "bins by default", calibration_error(probabilities, labels), calibration_error(probabilities, labels, 10)


def in_a_tensor(probabilities, labels, bins=10):
    return torch.tensor(calibration_error(probabilities, labels, bins))


def all_in_one(probabilities, labels, bins=10):
    confidence, guesses = probabilities.max(dim=1)
    return ((guesses == labels).float().mean() - confidence.mean()).abs().item()


# ---- The exercises ----

EXERCISES = [
    Exercise(
        number=1,
        name="read",
        section=4,
        answer=(0.76, 0.53, 0.77),
        trial=try_read,
        hints=(
            "Add up the diagonal, and all nine numbers.",
            "The true dogs are a row. The pictures that were called cats are a column.",
        ),
        mistakes=(
            Mistake("The true dogs are a row, and not a column.", (0.76, 0.67, 0.77)),
            Mistake("The answers 'cat' are a column, and not a row.", (0.76, 0.53, 0.8)),
            Mistake("Numbers from 0 to 1 are asked for, not per cent.", (76, 53, 77)),
            Mistake("The mean of the three classes is not the accuracy over all pictures.", (0.78, 0.53, 0.77)),
        ),
    ),
    Exercise(
        number=2,
        name="class_accuracy",
        section=4,
        answer=class_accuracy,
        trial=try_class_accuracy,
        hints=(
            "Print `confusion` for labels [0, 0] and guesses [0, 0]. What should stand there?",
            "Rows are true classes. Along which axis does one add up the pictures of a true class?",
        ),
        mistakes=(
            Mistake(
                "Print `confusion` and count its pictures: are there as many as labels? And which sum is taken?",
                as_given,
            ),
            Mistake(
                "`confusion[labels, guesses] += 1` adds 1 once for each place, however often the place occurs.",
                changed(as_given, "dim=0", "dim=1"),
            ),
            Mistake(
                "That divides by the number of answers, and not by the number of true pictures.",
                changed(class_accuracy, "dim=1", "dim=0"),
            ),
            Mistake(
                "Divide each class by its own pictures, not by all of them.",
                changed(class_accuracy, "confusion.sum(dim=1)", "confusion.sum()"),
            ),
            Mistake(
                "A class without a picture has no accuracy: nan, and not 0.",
                changed(class_accuracy, "confusion.sum(dim=1)", "confusion.sum(dim=1).clamp(min=1)"),
            ),
        ),
    ),
    Exercise(
        number=3,
        name="top_k_accuracy",
        section=1,
        answer=top_k_accuracy,
        trial=try_top_k_accuracy,
        hints=(
            "logits.topk(k).indices is (N, k): the k most likely classes of each picture.",
            "Compare them with labels[:, None], which is (N, 1). One hit in a row is enough: any(dim=1).",
        ),
        mistakes=(
            Mistake(
                "topk raises an error if k is larger than the number of classes.",
                changed(top_k_accuracy, "min(k, logits.shape[1])", "k"),
            ),
            Mistake(
                "labels is (N,), the best classes are (N, k): each row must be compared with its own label.",
                changed(top_k_accuracy, "labels[:, None]", "labels"),
            ),
            Mistake(
                "A picture counts once: is one of its k classes right?", changed(top_k_accuracy, ".any(dim=1)", "")
            ),
            Mistake(
                "That is the accuracy of the first answer alone.",
                changed(top_k_accuracy, "min(k, logits.shape[1])", "1"),
            ),
            Mistake(
                "All k classes cannot be right: one is enough.", changed(top_k_accuracy, "any(dim=1)", "all(dim=1)")
            ),
            Mistake("That counts the pictures. The share is asked for.", changed(top_k_accuracy, "mean()", "sum()")),
            Mistake("Return a Python number: take it out of the tensor.", changed(top_k_accuracy, ".item()", "")),
            Mistake(
                "No picture is right with k=1: are these the classes with the largest logits?",
                changed(top_k_accuracy, "logits.shape[1])", "logits.shape[1]), largest=False"),
            ),
        ),
    ),
    Exercise(
        number=4,
        name="predict_twice",
        section=1,
        answer=predict_twice,
        trial=try_predict_twice,
        hints=(
            "Left and right are the columns. Which axis of (N, 3, H, W) is that?",
            "First each probability, then the mean. And what comes before a network is asked?",
        ),
        mistakes=(
            Mistake(
                "In train mode, dropout changes the answers.",
                changed(predict_twice, "model.eval()", "model.train()"),
                "Course18 10",
            ),
            Mistake("That turns the picture upside down.", changed(predict_twice, "flip(3)", "flip(2)")),
            Mistake("That exchanges red and blue.", changed(predict_twice, "flip(3)", "flip(1)")),
            Mistake("That turns the picture by 180 degrees.", changed(predict_twice, "flip(3)", "flip(2, 3)")),
            Mistake("A network returns logits, and no probabilities.", changed(predict_twice, ".softmax(dim=1)", "")),
            Mistake("Take the mean of the probabilities, not of the logits.", logits_averaged),
            Mistake("Two probabilities need a division by 2.", changed(predict_twice, " / 2", "")),
            Mistake(
                "A graph is kept: nothing is learned here.",
                changed(predict_twice, "torch.no_grad()", "torch.enable_grad()"),
            ),
            Mistake(
                "Each row must add up to 1: along which axis are the classes?", changed(predict_twice, "dim=1", "dim=0")
            ),
            Mistake(
                "requires_grad_(False) stays in force after the function: the network never learns again.",
                changed(predict_twice, "with torch.no_grad():", "for _ in [model.requires_grad_(False)]:"),
            ),
        ),
    ),
    Exercise(
        number=5,
        name="photograph",
        section=2,
        answer=photograph,
        trial=try_photograph,
        hints=(
            "In this order: read, middle square, divide by 255, subtract, divide, one more axis.",
            "mean must have the shape (3, 1, 1), so that each channel gets its own number (Course 03).",
        ),
        mistakes=(
            Mistake(
                "The network learned from numbers in 0…1, before mean and standard deviation.",
                changed(photograph, " / 255", ""),
            ),
            Mistake(
                "First subtract the mean, then divide: mind the brackets.",
                changed(photograph, "(picture - mean) / std", "picture - mean / std"),
            ),
            Mistake("A batch has four axes, even with one picture.", changed(photograph, ".unsqueeze(0)", "")),
            Mistake("255 is the largest number of a byte: 255 becomes 1.", changed(photograph, "/ 255", "/ 256")),
            Mistake("std is not used yet.", changed(photograph, " / std", "")),
            Mistake("mean and std are not used yet.", changed(photograph, "(picture - mean) / std", "picture")),
            Mistake(
                "Image.open shows the photograph as it lies in the file, perhaps on its side.",
                changed(photograph, "read_image(path)", '__import__("PIL.Image").Image.open(path).convert("RGB")'),
                3,
            ),
            Mistake(
                "One number for each channel: (3, 1, 1), and not (1, 1, 3).",
                changed(photograph, "view(3, 1, 1)", "view(1, 1, 3)"),
            ),
        ),
    ),
    Exercise(
        number=6,
        name="calibration_error",
        section=1,
        answer=calibration_error,
        trial=try_calibration_error,
        hints=(
            "probabilities.max(dim=1) gives the confidences and the answers.",
            "(confidence * bins).long() is the number of the interval. What does it give for a confidence of 1?",
            "For each interval: inside = interval == i, then the two means of what is inside.",
        ),
        mistakes=(
            Mistake(
                "A confidence of exactly 1 falls out of all intervals.",
                changed(calibration_error, ".clamp(max=bins - 1)", ""),
            ),
            Mistake(
                "A confidence of exactly 1 belongs to the last interval, and not to one of its own.",
                changed(changed(calibration_error, ".clamp(max=bins - 1)", ""), "in range(bins)", "in range(bins + 1)"),
            ),
            Mistake(
                "Intervals with many answers count more.",
                changed(calibration_error, "inside.float().mean().item()", "(1 / len(interval.unique()))"),
            ),
            Mistake(
                "In some intervals it is too sure, in others not sure enough: distances have no sign.",
                changed(calibration_error, ".abs()", ""),
            ),
            Mistake(
                "The distance of all answers together hides what happens in each interval.",
                all_in_one,
            ),
            Mistake(
                "The confidence is that of the answer, also where the answer is wrong.",
                changed(
                    calibration_error,
                    "right = (guesses == labels).float()",
                    "right = (guesses == labels).float()\n    confidence = probabilities[range(len(labels)), labels]",
                ),
            ),
            Mistake("Return a Python number: take it out of the tensor.", in_a_tensor),
            Mistake(
                "An empty interval has no mean: it gives nan.",
                changed(calibration_error, "inside.any()", "True"),
            ),
        ),
    ),
]
