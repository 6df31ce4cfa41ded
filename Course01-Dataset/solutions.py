"""Course 01 · Dataset: the answers, how they are judged, and the mistakes that people make."""

import csv
import io
import itertools
import random
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset, Subset, random_split
from torchvision.datasets import ImageFolder

from practice import Exercise, Mistake, changed

# ---- 1 ----


def try_labels(labels):
    with tempfile.TemporaryDirectory() as root:
        for name in ["bees/1.jpg", "bees/2.jpg", "bees/3.jpg", "bees/4.jpg", "cats/1.jpg", "cats/2.jpg"] + [
            "ants/1.jpg",
            "ants/2.jpg",
            "ants/3.gif",
        ]:
            path = Path(root, name)
            path.parent.mkdir(exist_ok=True)
            Image.new("RGB", (4, 3)).save(path)
        yield "the list", labels, [label for _, label in Subset(ImageFolder(root), [6, 2, 1])]


# ---- 2 ----


class Mirrored(Dataset):
    def __init__(self, dataset):
        self.dataset = dataset

    def __getitem__(self, index):
        if index < len(self.dataset):
            return self.dataset[index]
        image, label = self.dataset[index - len(self.dataset)]
        return image.flip(2), label

    def __len__(self):
        return 2 * len(self.dataset)


class Samples(Dataset):
    """Samples that are there already."""

    def __init__(self, samples):
        self.samples = samples

    def __getitem__(self, index):
        return self.samples[index]

    def __len__(self):
        return len(self.samples)


def parts(sample):
    """Image and label; what is no pair stands in the place of the image."""
    return sample if isinstance(sample, list | tuple) and len(sample) == 2 else (sample, "no label")


def raises_index_error(dataset, index):
    try:
        dataset[index]
    except IndexError:
        return True
    return False


def try_mirrored(Mirrored):
    both = []  # both are made before one is used: each must have its own samples
    for n in (4, 1):
        images = [torch.rand(3, 2 + i, 5 - i) for i in range(n)]  # of different sizes, as photos are
        before = [image.clone() for image in images]
        both.append((n, before, Mirrored(Samples([(image, 10 + i) for i, image in enumerate(images)]))))
    for n, before, mirrored in both:
        for index, image in enumerate(before * 2):
            if index >= n:
                image = torch.stack([image[:, :, -1 - column] for column in range(image.shape[2])], dim=2)
            got, label = parts(mirrored[index])
            yield f"the image of sample {index} of 2 * {n}", got, image
            yield f"the label of sample {index} of 2 * {n}", label, 10 + index % n
        yield f"the image of sample 0 of 2 * {n}, once more", parts(mirrored[0])[0], before[0]
        yield f"the length, from {n} samples", Mirrored.__len__(mirrored), 2 * n
        yield "samples in a for loop, up to 20", len(list(itertools.islice(mirrored, 20))), 2 * n
        yield f"sample {2 * n} of 2 * {n} raises IndexError", raises_index_error(mirrored, 2 * n), True


# ---- 3 ----


def read_labels(folder, table):
    names = sorted(path.name for path in folder.glob("*.png"))
    with table.open(newline="") as file:
        labels = {row["file"]: row["label"] for row in csv.DictReader(file)}
    return [(name, labels[name]) for name in names]


def by_place(folder, table):
    names = sorted(path.name for path in folder.glob("*.png"))
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [(name, row["label"]) for name, row in zip(names, rows, strict=False)]


def in_the_tables_order(folder, table):
    with table.open(newline="") as file:
        return [(row["file"], row["label"]) for row in csv.DictReader(file) if (folder / row["file"]).exists()]


def try_read_labels(read_labels):
    for there, lines in [
        (("2.png", "10.png", "7.png"), ["7.png,bee", "12.png,fly", "10.png,cat", "2.png,ant"]),
        (("b.png", "7.png", "a.png", "notes.txt"), ["7.png,ant", "b.png,bee", "a.png,ant", "d.png,bee", "7.jpg,bee"]),
    ]:
        with tempfile.TemporaryDirectory() as root:
            folder, table = Path(root, "pictures"), Path(root, "table.csv")
            folder.mkdir()
            for name in there:
                (folder / name).touch()
            text = "\n".join(["file,label", *lines, ""])
            table.write_text(text)
            right = [tuple(line.split(",")) for line in sorted(lines) if line.split(",")[0] in there]
            yield f"the labels, with the lines {lines}", read_labels(folder, table), right
            yield "the text of the table, afterwards", table.read_text() if table.exists() else "", text


# ---- 4 ----


def bad_files(folder):
    bad = []
    for path in folder.iterdir():
        try:
            with Image.open(path) as image:
                image.load()
        except OSError:
            bad.append(path.name)
    return bad


def jpegs_only(folder):
    bad = []
    for path in folder.glob("*.jpg"):
        try:
            with Image.open(path) as image:
                image.load()
        except OSError:
            bad.append(path.name)
    return bad


def only_opened(folder):
    bad = []
    for path in folder.iterdir():
        try:
            Image.open(path).close()
        except OSError:
            bad.append(path.name)
    return bad


def by_suffix(folder):
    return [path.name for path in folder.iterdir() if path.suffix not in (".jpg", ".png")]


def in_the_list(names):
    """The names in order, a path as what it is; what is no list as it came."""
    if not isinstance(names, list | tuple):
        return names
    return sorted(f"the path of {name.name}" if isinstance(name, Path) else name for name in names)


def encoded(kind):
    """The bytes of a file with a picture of noise."""
    file = io.BytesIO()
    Image.frombytes("RGB", (48, 32), random.randbytes(48 * 32 * 3)).save(file, kind)
    return file.getvalue()


def try_bad_files(bad_files):
    png, jpeg = encoded("PNG"), encoded("JPEG")
    texts = ["README", "cat.jpg", "dog.png", "eel.jpg", "fox.txt"]
    for files, right in [
        ({"ant.png": png, "bee.jpg": jpeg} | dict.fromkeys(texts, b"a text"), texts),
        ({"ant.png": png[: len(png) // 2], "bee.jpg": jpeg}, ["ant.png"]),
        ({"ant.JPG": jpeg, "bee.jpg": jpeg[: len(jpeg) // 2], "cat.jpg": png}, ["bee.jpg"]),
        ({"a.png": jpeg, "b.png": b"", "c.jpg": jpeg[:-400], "d.txt": b"a text"}, ["b.png", "c.jpg", "d.txt"]),
        ({"ant.png": png, "bee.dat": jpeg, "cat.gif": encoded("GIF")}, []),
    ]:
        with tempfile.TemporaryDirectory() as folder:
            for name, content in files.items():
                Path(folder, name).write_bytes(content)
            yield f"what is bad among {', '.join(files)}", in_the_list(bad_files(Path(folder))), right
            after = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
            yield "the files that have changed afterwards", sorted(dict(files.items() ^ after.items())), []


# ---- 5 ----


def balanced_split(targets, share, seed):
    generator = torch.Generator().manual_seed(seed)
    train, val = [], []
    for label in sorted(set(targets)):  # a set of texts has a new order in each run of a program
        indices = [index for index, target in enumerate(targets) if target == label]
        order = torch.randperm(len(indices), generator=generator).tolist()
        shuffled = [indices[place] for place in order]
        count = round(share * len(indices))
        val += shuffled[:count]
        train += shuffled[count:]
    return train, val


def split_as_a_whole(targets, share, seed):
    generator = torch.Generator().manual_seed(seed)
    train, val = random_split(targets, [1 - share, share], generator=generator)
    return train.indices, val.indices


def randperm_of_the_whole(targets, share, seed):
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(targets), generator=generator).tolist()
    count = round(share * len(targets))
    return order[count:], order[:count]


def random_states():
    """Where the random numbers of PyTorch, of Python and of NumPy stand."""
    _, numbers, place, *_ = np.random.get_state()
    return {"torch": torch.get_rng_state().tolist(), "random": random.getstate(), "numpy": (numbers.tolist(), place)}


def try_balanced_split(balanced_split):
    targets = [2, 0, 0, 5, 2, 0, 2, 5, 0, 0, 0, 5, 2, 5, 0, 0, 5, 0, 5, 2, 5, 0, 5]  # 10 times 0, 5 times 2, 8 times 5
    for share, seed, counts in [
        (0.2, 3, {0: 2, 2: 1, 5: 2}),
        (0.7, 3, {0: 7, 2: 4, 5: 6}),
        (0.1, 1, {0: 1, 5: 1}),
        (0.3, 2, {0: 3, 2: 2, 5: 2}),
        (1.0, 4, {0: 10, 2: 5, 5: 8}),
    ]:
        given = list(targets)
        train, val = balanced_split(given, share, seed)
        what = f"{share=}, {seed=}"
        types = ["list" if isinstance(part, list | tuple) else type(part).__name__ for part in (train, val)]
        yield f"{what}: samples of each class in val", dict(Counter(targets[i] for i in val)), counts
        yield f"{what}: the indices of both parts", sorted(map(int, [*train, *val])), list(range(23))
        yield f"{what}: the types of both parts", types, ["list", "list"]
        yield "targets itself, afterwards", given, targets

    def val_part(seed):
        return sorted(map(int, balanced_split(targets, 0.4, seed)[1]))

    torch.manual_seed(1)
    first = val_part(5)
    torch.manual_seed(2)
    yield "val with share=0.4, seed=5, a second time", val_part(5), first
    parts = [val_part(seed) for seed in range(80)]
    yield "samples that are in val with one of 80 seeds", sorted(set().union(*parts)), list(range(23))
    yield "samples that are in val with each of 80 seeds", sorted(set(parts[0]).intersection(*parts)), []
    several = {tuple(i for i in part if targets[i] == 0) for part in parts}  # 4 of 10: 210 choices
    yield "more than 40 different choices from class 0 with 80 seeds", len(several) > 40, True
    torch.manual_seed(3)  # no seed that the answer may have set
    before = random_states()
    val_part(9)
    touched = [name for name, state in random_states().items() if state != before[name]]
    yield "whose random numbers are different ones afterwards", touched, []


# ---- The exercises ----

EXERCISES = [
    Exercise(
        number=1,
        name="labels",
        section=6,
        answer=[2, 1, 0],
        trial=try_labels,
        hints=(
            "Which classes get the numbers 0, 1 and 2? And which files does ImageFolder leave out?",
            "Write down all samples in the order of ImageFolder, with their indices. Then take three of them.",
        ),
        mistakes=(
            Mistake("ImageFolder leaves out the .gif file: it does not know this suffix.", [1, 0, 0]),
            Mistake("The classes are sorted by name before they are numbered.", [2, 0, 0]),
            Mistake("A Subset has the order of its list of indices.", [0, 1, 2], 7),
            Mistake("The classes are numbered from 0.", [3, 2, 1]),
            Mistake("A label of ImageFolder is a number; classes[label] is the name.", ["cats", "bees", "ants"]),
        ),
    ),
    Exercise(
        number=2,
        name="Mirrored",
        section=2,
        answer=Mirrored,
        trial=try_mirrored,
        hints=(
            "__init__ only keeps dataset, under a name such as self.dataset.",
            "An index below len(self.dataset) is easy. Which sample of dataset belongs to a larger index?",
            "An image is (3, H, W): `image.flip(…)` mirrors the axis whose number you give.",
        ),
        mistakes=(
            Mistake(
                "The image stands on its head: axis 1 holds the rows.",
                changed(Mirrored, "flip(2)", "flip(1)"),
                "Course00 7",
            ),
            Mistake("That exchanges the colours.", changed(Mirrored, "flip(2)", "flip(0)"), "Course00 7"),
            Mistake("There are twice as many samples.", changed(Mirrored, "2 * len", "len")),
            Mistake(
                "No index is too large here, so a for loop would never end.",
                changed(Mirrored, "index - len(self.dataset)", "index % len(self.dataset)"),
            ),
            Mistake(
                "All samples as they are come first, and then the mirrored ones; not by turns.",
                changed(
                    changed(Mirrored, "index < len(self.dataset)", "index % 2 == 0"),
                    "[index - len(self.dataset)]",
                    "[index // 2]",
                ),
            ),
            Mistake(
                "The index is one too large for dataset. Which one is the first of the mirrored samples?",
                changed(Mirrored, "index < len", "index <= len"),
            ),
            Mistake(
                "Sample 0 was right before. Mirroring must not change the image that is in dataset.",
                changed(Mirrored, "return image.flip(2), label", "return image.copy_(image.flip(2)), label"),
            ),
            Mistake(
                "A sample is a pair: the label is missing.",
                changed(Mirrored, "return image.flip(2), label", "return image.flip(2)"),
            ),
        ),
    ),
    Exercise(
        number=3,
        name="read_labels",
        section=4,
        answer=read_labels,
        trial=try_read_labels,
        hints=(
            "Which label does the first of the sorted names get, and why this one?",
            "Make one dictionary of all rows, in which you can look up the label of a name.",
        ),
        mistakes=(
            Mistake(
                "The n-th picture gets the label of the n-th line. Find the line by the name of the file.", by_place
            ),
            Mistake(
                "Sorting the lines is not enough: some of them belong to no picture.",
                changed(
                    by_place, "list(csv.DictReader(file))", 'sorted(csv.DictReader(file), key=lambda r: r["file"])'
                ),
            ),
            Mistake(
                "The table also names pictures that are no longer there.",
                changed(read_labels, "for name in names", "for name in sorted(labels)"),
            ),
            Mistake("The pairs are in the order of the table.", in_the_tables_order),
            Mistake(
                "This is a dictionary. Return a list of pairs.",
                changed(
                    read_labels, "[(name, labels[name]) for name in names]", "{name: labels[name] for name in names}"
                ),
            ),
        ),
    ),
    Exercise(
        number=4,
        name="bad_files",
        section=3,
        answer=bad_files,
        trial=try_bad_files,
        hints=(
            "`for path in folder.iterdir():` goes through the files; path.name is the name of one.",
            "`try:` the reading, and note the name below `except OSError:`.",
        ),
        mistakes=(
            Mistake("Image.open reads only the beginning: half a picture looks right to it.", only_opened),
            Mistake(
                "image.verify() looks at the file without its pixels, and finds only some of the mistakes.",
                changed(bad_files, "image.load()", "image.verify()"),
            ),
            Mistake("A suffix is no proof: read the file.", by_suffix, 5),
            Mistake("Not all files end in .jpg: look at each file in the folder.", jpegs_only, 5),
            Mistake(
                "UnidentifiedImageError is only one kind of OSError: half a picture raises a different one.",
                changed(bad_files, "except OSError", "except Image.UnidentifiedImageError"),
            ),
            Mistake(
                "These are paths. The name of the file alone is path.name.",
                changed(bad_files, "append(path.name)", "append(path)"),
            ),
            Mistake(
                "These are the names of the good files.",
                changed(
                    changed(bad_files, "image.load()", "image.load()\n            bad.append(path.name)"),
                    "except OSError:\n            bad.append(path.name)",
                    "except OSError:\n            pass",
                ),
            ),
        ),
    ),
    Exercise(
        number=5,
        name="balanced_split",
        section=7,
        answer=balanced_split,
        trial=try_balanced_split,
        hints=(
            "First collect the indices of one class: `[i for i, target in enumerate(targets) if target == label]`.",
            "Shuffle these indices. The first few go into val, the others into train. Then the next class.",
            "randperm gives places in the list of one class. Which indices of the data set stand there?",
        ),
        mistakes=(
            Mistake("The share is right for all samples together, and not in each class.", split_as_a_whole),
            Mistake("The share is right for all samples together, and not in each class.", randperm_of_the_whole),
            Mistake("int() cuts off what round() rounds up.", changed(balanced_split, "round(", "int(")),
            Mistake(
                "These are places in the list of one class, not indices of the data set.",
                changed(balanced_split, "[indices[place] for place in order]", "order"),
            ),
            Mistake("The two parts have changed places.", changed(balanced_split, "train, val\n", "val, train\n")),
            Mistake(
                "Nothing is shuffled: each seed chooses the first samples of each class.",
                changed(balanced_split, "[indices[place] for place in order]", "indices"),
                9,
            ),
            Mistake(
                "The same seed gives two different splits: randperm does not use the generator.",
                changed(balanced_split, ", generator=generator", ""),
            ),
            Mistake(
                "All other random numbers change, too: by torch.manual_seed(), or by randperm without a generator.",
                changed(
                    changed(balanced_split, ", generator=generator", ""),
                    "generator = torch.Generator().manual_seed(seed)",
                    "torch.manual_seed(seed)",
                ),
            ),
            Mistake(
                "The seed is not used: a different seed must give a different split.",
                changed(balanced_split, "manual_seed(seed)", "manual_seed(0)"),
            ),
        ),
    ),
]
