"""Course 01 · Dataset — how do pictures and labels become a data set?

Run   python Course01-Dataset/dataset.py
See   outputs/Course01-Dataset    (pictures, and the folders that it builds)
Read  notes.md, whose sections carry the numbers of the cells below
"""

# %% 1. Setup
import csv
import itertools
import os
import random
import shutil
from collections import Counter
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from PIL import Image, UnidentifiedImageError
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset, random_split
from torchvision.datasets import ImageFolder
from torchvision.transforms.v2.functional import pil_to_tensor

from common.data import ants_bees, in_memory
from common.paths import output_dir

torch.manual_seed(0)
root = Path(ants_bees("train").root)  # the folder on disk is all that we take from it: the rest is built below
for class_folder in sorted(root.iterdir()):
    first = min(path.name for path in class_folder.iterdir())
    print(f"train/{class_folder.name}: the first file is {first}")


# %% 2. The smallest data set, by hand
class OddOrEven(Dataset):
    """Three numbers, each with its label."""

    def __init__(self):
        self.numbers = [3, 8, 5]

    def __getitem__(self, index):
        number = self.numbers[index]
        return number, "even" if number % 2 == 0 else "odd"

    def __len__(self):
        return len(self.numbers)


odd_or_even = OddOrEven()
print("odd_or_even[1]  ", odd_or_even[1])
print("odd_or_even[-1] ", odd_or_even[-1])
print("len(odd_or_even)", len(odd_or_even))
print("one by one      ", [label for number, label in odd_or_even])

# %% 3. Open one picture
path = min((root / "bees").iterdir())
image = Image.open(path)
print("PIL:   ", path.name, "size", image.size, "mode", image.mode)  # size is (width, height)
print("tensor:", tuple(pil_to_tensor(image).shape))


# %% 4. Label, first way: the folder's name
class ClassFolder(Dataset):
    """All files of root/class_name, labelled with the folder's name."""

    def __init__(self, root, class_name):
        self.class_name = class_name
        self.paths = sorted((root / class_name).iterdir())  # sorted: the disk's own order may be a different one

    def __getitem__(self, index):
        return Image.open(self.paths[index]), self.class_name  # opened only now

    def __len__(self):
        return len(self.paths)


ants = ClassFolder(root, "ants")
bees = ClassFolder(root, "bees")
image, label = ants[0]
print("ants[0]:", label, image.size)
image, label = bees[0]
print("bees[0]:", label, image.size)
print("samples:", len(ants), "and", len(bees))

# %% 5. Count the samples
print("kinds of files:", dict(Counter(path.suffix for path in ants.paths)))
strays = [i for i, path in enumerate(ants.paths) if path.suffix == ".gif"]
for i in strays:
    image, label = ants[i]
    print(f"{ants.paths[i].name}: label {label}, mode {image.mode}, as a tensor {tuple(pil_to_tensor(image).shape)}")

picked = [ants[0], *(ants[i] for i in strays), ants[1], bees[0]]
fig, axes = plt.subplots(1, len(picked), figsize=(7.4, 2), layout="constrained")
for ax, (image, label) in zip(axes, picked, strict=True):
    ax.imshow(image.convert("RGB"))
    ax.set_title(f"label: {label}", fontsize=9)
    ax.set(xticks=[], yticks=[])
fig.savefig(output_dir("Course01-Dataset") / "stray.png", dpi=100)

PICTURES = (".jpg", ".jpeg", ".png")


class PictureFolder(ClassFolder):
    """The files of root/class_name that are pictures by their names."""

    def __init__(self, root, class_name):
        super().__init__(root, class_name)
        self.paths = [path for path in self.paths if path.suffix.lower() in PICTURES]


ants = PictureFolder(root, "ants")
bees = PictureFolder(root, "bees")
print("pictures:", len(ants), "and", len(bees))

# %% 6. ImageFolder: the first way, ready-made
image_folder = ImageFolder(root)
print("classes     ", image_folder.classes)
print("class_to_idx", image_folder.class_to_idx)
image, label = image_folder[0]
print("sample 0    ", image.size, image.mode, label, "->", image_folder.classes[label])
print("len         ", len(image_folder), "and targets", dict(Counter(image_folder.targets)))
ours = sorted(str(path) for path in ants.paths + bees.paths)
print("same files as ours:", sorted(path for path, label in image_folder.samples) == ours)

# %% 7. Parts of a data set: Subset and random_split
few = Subset(image_folder, [0, len(ants), 1])
print("few has", len(few), "samples:", [image_folder.classes[label] for image, label in few])

train_part, val_part = random_split(image_folder, [0.8, 0.2], generator=torch.Generator().manual_seed(1))
print("random_split:", len(train_part), "and", len(val_part), "samples, each a", type(val_part).__name__)
print("in both parts:", len(set(train_part.indices) & set(val_part.indices)))
print("in either:    ", len(set(train_part.indices) | set(val_part.indices)))
again, _ = random_split(image_folder, [0.8, 0.2], generator=torch.Generator().manual_seed(1))
other, _ = random_split(image_folder, [0.8, 0.2], generator=torch.Generator().manual_seed(2))
print("same seed, same part:", again.indices == train_part.indices)
print("new seed, same part: ", other.indices == train_part.indices)

# %% 8. Real samples: a page of the training part
fig, axes = plt.subplots(2, 4, figsize=(6, 2.8), layout="constrained")
for ax, i in zip(axes.flat, range(8), strict=True):
    image, label = train_part[i]
    ax.imshow(image.reduce(3))  # a third as wide and high: enough to see what it is
    ax.set_title(f"{train_part.indices[i]}: {label} = {image_folder.classes[label]}", fontsize=9)
    ax.axis("off")
fig.savefig(output_dir("Course01-Dataset") / "page.png", dpi=100)
sizes = Counter(image.size for image, label in image_folder)
print("pictures of one size only:", len(sizes) == 1)

# %% 9. Break it: split without shuffling
cut = int(0.8 * len(image_folder))
first_part = Subset(image_folder, range(cut))
last_part = Subset(image_folder, range(cut, len(image_folder)))
for name, part in [("first 80 %", first_part), ("last 20 %", last_part)]:
    print(f"{name:10} {dict(Counter(image_folder.classes[label] for image, label in part))}")

# %% 10. Break it: convert the stray file
naive = ClassFolder(root, "ants")
failed = 0
for image, _ in naive:
    try:
        red, green, blue = pil_to_tensor(image)
    except ValueError as error:
        failed += 1
        print("ValueError:", error)
print("failed:", failed, "of", len(naive))
with_convert = [pil_to_tensor(image.convert("RGB")) for image, _ in naive]
print("with convert('RGB'):", len(with_convert), "ants and no error")

# ---- Second reading --------------------------------------------------------------------------------------------------

# %% 11. Two data sets in a row: a + b
insects = ants + bees
print(type(insects).__name__, "of", len(insects), "samples, the parts end at", insects.cumulative_sizes)
print("the last ant: ", insects[len(ants) - 1][1])
print("the next one: ", insects[len(ants)][1])
print("the same path:", insects.datasets[1].paths[0] == bees.paths[0])
print("bees + ants begins with:", (bees + ants)[0][1])

# %% 12. The same pictures in two other layouts
layouts = output_dir("Course01-Dataset") / "layouts"
shutil.rmtree(layouts, ignore_errors=True)  # what an earlier run left there
for folder in ("with_text/pictures", "with_text/labels", "in_the_name"):
    (layouts / folder).mkdir(parents=True)
for i, path in enumerate(ants.paths + bees.paths):
    label = path.parent.name
    shutil.copy(path, layouts / "with_text" / "pictures" / f"{i:03}{path.suffix}")
    (layouts / "with_text" / "labels" / f"{i:03}.txt").write_text(label)
    shutil.copy(path, layouts / "in_the_name" / f"{label}.{i:03}{path.suffix}")
for folder in sorted(layouts.glob("**/")):
    inside = sorted(path.name for path in folder.iterdir() if path.is_file())
    if inside:
        print(f"{folder.relative_to(layouts).as_posix()}: {len(inside)} files, from {inside[0]} to {inside[-1]}")


# %% 13. Label, second way: one text file per picture
class TextLabels(Dataset):
    """root/pictures/000.jpg has its label in root/labels/000.txt."""

    def __init__(self, root):
        self.label_folder = root / "labels"
        self.paths = sorted(path for path in (root / "pictures").iterdir() if path.suffix.lower() in PICTURES)

    def __getitem__(self, index):
        path = self.paths[index]
        label = (self.label_folder / f"{path.stem}.txt").read_text().strip()  # found by its name, not by its place
        return Image.open(path), label

    def __len__(self):
        return len(self.paths)


from_text = TextLabels(layouts / "with_text")
last = len(from_text) - 1
print("sample 0:", from_text.paths[0].name, "->", from_text[0][1])
print(f"sample {last}:", from_text.paths[last].name, "->", from_text[last][1])


# %% 14. Label, third way: in the file's name
class NameLabels(Dataset):
    """root/ants.000.jpg: the label is what stands before the first dot."""

    def __init__(self, root):
        self.paths = sorted(path for path in root.iterdir() if path.suffix.lower() in PICTURES)

    def __getitem__(self, index):
        path = self.paths[index]
        return Image.open(path), path.name.split(".")[0]

    def __len__(self):
        return len(self.paths)


from_name = NameLabels(layouts / "in_the_name")
print("sample 0:", from_name.paths[0].name, "->", from_name[0][1])
labels = [[label for image, label in dataset] for dataset in (insects, from_text, from_name)]
print("labels by folder:", dict(Counter(labels[0])))
print("by text file the same for each picture:", labels[1] == labels[0])
print("by name the same for each picture:     ", labels[2] == labels[0])

# %% 15. Labels in a table: a CSV file
table = layouts / "labels.csv"
with table.open("w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["file", "label"])
    writer.writerows([path.name, label] for path, (_, label) in zip(from_text.paths, from_text, strict=True))
print(table.read_text().splitlines()[:3])


class CsvLabels(Dataset):
    """The pictures of a folder that a table lists, each with its label."""

    def __init__(self, table, picture_folder):
        with table.open(newline="") as file:
            self.rows = list(csv.DictReader(file))  # one dictionary a line: {"file": …, "label": …}
        self.picture_folder = picture_folder

    def __getitem__(self, index):
        row = self.rows[index]
        return Image.open(self.picture_folder / row["file"]), row["label"]

    def __len__(self):
        return len(self.rows)


from_csv = CsvLabels(table, layouts / "with_text" / "pictures")
print("by table the same for each picture:", [label for image, label in from_csv] == labels[0])

# %% 16. Samples that are tensors already: TensorDataset
images, targets = in_memory(image_folder, size=32)  # every picture scaled to 32x32 and kept as a tensor
pairs = TensorDataset(images, targets)
image, target = pairs[0]
print("images", tuple(images.shape), "targets", tuple(targets.shape))
print("pairs: len", len(pairs), "and pairs[0]:", tuple(image.shape), "with", target)
try:
    TensorDataset(images, targets[:-1])
except AssertionError as error:
    print("AssertionError:", error)


# %% 17. Samples that come one after the other: IterableDataset
class TableLines(IterableDataset):
    """The lines of a table, read one after the other: the file may be larger than the memory."""

    def __init__(self, table):
        self.table = table

    def __iter__(self):
        with self.table.open(newline="") as file:
            for row in csv.DictReader(file):
                yield row["file"], row["label"]


lines = TableLines(table)
print("the first two:", list(itertools.islice(lines, 2)))
for name, ask in [("lines[0]", lambda: lines[0]), ("len(lines)", lambda: len(lines))]:
    try:
        ask()
    except (NotImplementedError, TypeError) as error:
        print(f"{name}: {type(error).__name__}")


# %% 18. Many samples at once: `__getitems__`
class Squares(Dataset):
    """Ten numbers with their squares, which can be fetched many at a time."""

    numbers = torch.arange(10)

    def __getitem__(self, index):
        print("   one:", index)
        return self.numbers[index], self.numbers[index] ** 2

    def __getitems__(self, indices):
        print("   many:", indices)
        numbers = self.numbers[indices]  # one indexing for all of them
        return list(zip(numbers, numbers**2, strict=True))

    def __len__(self):
        return len(self.numbers)


squares = Squares()
print("squares[3]")
squares[3]
print("a batch of four")
numbers, batch_of_squares = next(iter(DataLoader(squares, batch_size=4)))  # a loader makes batches: Course 05
print("  ", numbers.tolist(), batch_of_squares.tolist())

# %% 19. Break it: trust the order of os.listdir
listed = os.listdir(root / "ants")  # noqa: PTH208  (Path.iterdir() hands out the same order)
print("this file system happens to list the ants in order:", listed == sorted(listed))

label_files = sorted((layouts / "with_text" / "labels").iterdir())
random.Random(1).shuffle(label_files)  # a file system that lists labels and pictures in different orders, played here
by_place = [path.read_text() for path in label_files]  # the mistake: the n-th picture gets the n-th label
by_name = [label for image, label in from_text]
wrong = sum(one != other for one, other in zip(by_place, by_name, strict=True))
print(f"labels by place: {wrong} of {len(by_name)} are wrong")
for listed in (["ants", "bees"], ["bees", "ants"]):
    print(f"classes listed as {listed}: ants are class {listed.index('ants')}")
print("sorted, as text:", sorted(["9.jpg", "10.jpg", "009.jpg", "010.jpg"]))

# %% 20. Break it: a file that is no picture at all
try:
    ClassFolder(layouts / "with_text", "labels")[0]
except UnidentifiedImageError as error:
    print("UnidentifiedImageError:", str(error).split(" '")[0], "…/labels/000.txt")

# %% 21. Break it: half a picture
damaged = layouts / "damaged" / "bees"
damaged.mkdir(parents=True)
for path in bees.paths[:3]:
    shutil.copy(path, damaged)
whole = bees.paths[1].read_bytes()
(damaged / bees.paths[1].name).write_bytes(whole[: len(whole) // 2])  # a download that stopped in the middle

broken = ClassFolder(damaged.parent, "bees")
print("a loop over all:", [image.size == bees[i][0].size for i, (image, label) in enumerate(broken)])
for i, (image, _) in enumerate(broken):
    try:
        image.load()  # reads the pixels
    except OSError as error:
        print(f"{broken.paths[i].name}: OSError:", str(error).split(" (")[0])


# %% 22. Break it: forget a method, or the end
class NoLength(Dataset):
    """The first mistake: no __len__. (And no __getitem__ either.)"""


class NoEnd(Dataset):
    """Says that it has three samples, and never raises IndexError."""

    def __getitem__(self, index):
        return index * index

    def __len__(self):
        return 3


try:
    len(NoLength())
except TypeError as error:
    print("TypeError:", error)
try:
    NoLength()[0]
except NotImplementedError as error:
    print("NotImplementedError:", error)
print("len", len(NoEnd()), "but a for loop goes on:", list(itertools.islice(NoEnd(), 6)))
