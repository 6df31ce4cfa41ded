"""Course 04 · TorchvisionDatasets: the answers, how they are judged, and the mistakes that people make."""

import itertools
import pickle
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset

from practice import Exercise, Mistake, called, changed

# ---- 1 ----


def try_where(where):
    yield "channel, row, column", where, (torch.arange(3072).view(3, 32, 32) == 2500).nonzero()[0].tolist()


# ---- 2 ----


def where_is(place, height, width):
    channel = place // (height * width)
    row = place // width % height
    return channel, row, place % width


def try_where_is(where_is):
    for height, width, step in [(32, 32, 301), (4, 7, 5), (6, 2, 1)]:
        places = enumerate(itertools.product(range(3), range(height), range(width)))  # in the order of the file
        for place, right in itertools.islice(places, None, None, step):
            yield *called(where_is, place, height, width), right


# ---- 3 ----


def all_labels(folder):
    labels = []
    for path in sorted(folder.glob("data_batch_*"), key=lambda path: int(path.name.split("_")[-1])):
        labels += pickle.loads(path.read_bytes())["labels"]
    return labels


def by_the_alphabet(folder):
    labels = []
    for path in sorted(folder.glob("data_batch_*")):
        labels.append(pickle.loads(path.read_bytes())["labels"])
    return labels


def try_all_labels(all_labels):
    for counts in [[1, 3, 2, 1, 1, 2, 1, 1, 2, 3, 1, 2], [2, 1], [1] * 101]:
        right = torch.randint(1000, (sum(counts),)).tolist()
        with tempfile.TemporaryDirectory() as root:
            folder = Path(root, "version_2_of_10")  # numbers and underscores that are not those of the files
            folder.mkdir()
            Path(folder, "test_batch").write_bytes(pickle.dumps({"labels": [11]}))
            starts = [0, *itertools.accumulate(counts)]
            for i in torch.randperm(len(counts)).tolist():  # the oldest file need not be the first
                batch = {"batch_label": f"batch {i + 1}", "labels": right[starts[i] : starts[i + 1]]}
                Path(folder, f"data_batch_{i + 1}").write_bytes(pickle.dumps(batch))
            labels = all_labels(folder)
            if len(counts) > 12:  # too many to be shown
                yield f"how many labels {len(counts)} files have", len(labels), len(right)
            yield f"the labels of {len(counts)} files", labels, right
            left = len([i for i in range(len(counts)) if Path(folder, f"data_batch_{i + 1}").exists()])
            yield "how many of the files are still there", left, len(counts)


# ---- 4 ----


def differing(mine, theirs):
    indices = []
    for index in range(len(mine)):
        (my_picture, my_label), (their_picture, their_label) = mine[index], theirs[index]
        same_picture = my_picture.size == their_picture.size and my_picture.tobytes() == their_picture.tobytes()
        if not same_picture or my_label != their_label:
            indices.append(index)
    return indices


def as_arrays(mine, theirs):
    indices = []
    for index in range(len(mine)):
        (my_picture, my_label), (their_picture, their_label) = mine[index], theirs[index]
        if (np.array(my_picture) != np.array(their_picture)).any() or my_label != their_label:
            indices.append(index)
    return indices


class Pictures(Dataset):
    """Pictures of random bytes with labels."""

    def __init__(self, sizes, labels, seed=0, info=None):
        generator = torch.Generator().manual_seed(seed)
        self.sizes, self.labels, self.info = sizes, labels, info or {}
        self.data = [bytearray(torch.randint(256, (3 * w * h,), generator=generator).tolist()) for w, h in sizes]

    def __getitem__(self, index):
        picture = Image.frombytes("RGB", self.sizes[index], bytes(self.data[index]))
        picture.info.update(self.info)
        return picture, 1000 + self.labels[index]  # above 256, equal ints are two objects

    def __len__(self):
        return len(self.sizes)

    def __repr__(self):
        return f"<{len(self)} samples>"


def try_differing(differing):
    sizes, labels = [(4, 3), (4, 3), (2, 6), (5, 1), (4, 3), (3, 3)], [3, 3, 0, 9, 1, 0]
    mine = Pictures(sizes, labels)
    theirs = Pictures(sizes, [3, 0, 0, 9, 1, 5])
    theirs.data[3][0] ^= 128
    theirs.data[5][8] ^= 1
    yield "a label at 1, a byte at 3, and both at 5 are different", differing(mine, theirs), [1, 3, 5]
    equal = Pictures(sizes[:4], labels[:4]), Pictures(sizes[:4], labels[:4])
    yield "two equal data sets with 4 samples", differing(*equal), []
    yield "one label is different", differing(mine, Pictures(sizes, [3, 3, 0, 9, 7, 0])), [4]
    theirs = Pictures(sizes, labels)
    theirs.data[2][-1] ^= 1
    yield "one byte of one picture is different", differing(mine, theirs), [2]
    theirs = Pictures(sizes, labels)
    theirs.data[4] = theirs.data[4][3:] + theirs.data[4][:3]
    yield "one picture has its pixels in a different order", differing(mine, theirs), [4]
    theirs = Pictures([(4, 3), (3, 4), (2, 6), (5, 1), (4, 3), (3, 3)], labels)
    yield "the same bytes as 4x3 and as 3x4 pixels", differing(mine, theirs), [1]
    yield "all pictures", differing(mine, Pictures(sizes, labels, seed=1)), [0, 1, 2, 3, 4, 5]
    black, larger = [(Image.new("RGB", size), 0) for size in [(4, 3), (8, 6)]]
    yield "black pictures, the second ones of 4x3 and 8x6 pixels", differing([black] * 2, [black, larger]), [1]
    theirs = Pictures(sizes, labels, info={"comment": "from a file"})
    yield "equal bytes and labels, but picture.info is different", differing(mine, theirs), []


# ---- 5 ----


class RecordDataset(Dataset):
    def __init__(self, path, height, width, transform=None):
        data = torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8)
        records = data.view(-1, 1 + 3 * height * width)
        self.targets = records[:, 0].tolist()
        self.images = records[:, 1:].reshape(-1, 3, height, width)
        self.transform = transform

    def __getitem__(self, index):
        image = self.images[index]
        if self.transform is not None:
            image = self.transform(image)
        return image, self.targets[index]

    def __len__(self):
        return len(self.targets)


class LabelsFirst(RecordDataset):
    def __init__(self, path, height, width, transform=None):
        data = torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8)
        n = len(data) // (1 + 3 * height * width)
        self.targets = data[:n].tolist()
        self.images = data[n:].view(-1, 3, height, width)
        self.transform = transform


class TransformedOnce(RecordDataset):
    def __init__(self, path, height, width, transform=None):
        super().__init__(path, height, width)
        if transform is not None:
            self.images = [transform(image) for image in self.images]


def parts(sample):
    """Picture and label; what is no pair stands in the place of the picture."""
    return sample if isinstance(sample, list | tuple) and len(sample) == 2 else (sample, "no label")


class Visits:
    """A transform that changes nothing, counts its calls, and notes the shape and dtype that it was given."""

    count, given = 0, None

    def __call__(self, image):
        self.count += 1
        self.given = (tuple(image.shape), str(image.dtype))
        return image


def upper_row_halved(image):
    return image[:, :1].float() / 2


def shifted_at_random(image):
    return image + torch.rand(1)


def try_record_dataset(RecordDataset):
    for n, height, width in [(3, 2, 4), (5, 32, 32)]:
        labels = [200, *torch.randint(256, (n - 1,)).tolist()]  # a byte goes up to 255
        pictures = torch.randint(256, (n, height, width, 3), dtype=torch.uint8)
        records = b""
        for label, picture in zip(labels, pictures.tolist(), strict=True):
            numbers = [picture[i][j][c] for c in range(3) for i in range(height) for j in range(width)]
            records += bytes([label, *numbers])
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "records.bin")
            path.write_bytes(records)
            plain = RecordDataset(path, height, width)
            transformed = RecordDataset(path, height, width, transform=upper_row_halved)
            for index in (1, n - 1, 0):
                what = f"sample {index} of {n}, {height}x{width}"
                image, label = parts(plain[index])
                yield f"the picture of {what}", image, pictures[index].permute(2, 0, 1)
                yield f"the label of {what}", label, labels[index]
                image, label = parts(transformed[index])
                upper_row = pictures[index, :1].permute(2, 0, 1)
                yield f"its upper row, halved by a transform: the picture of {what}", image, upper_row / 2
                yield f"with a transform: the label of {what}", label, labels[index]
            visits = Visits()
            counted = RecordDataset(path, height, width, transform=visits)
            visits.count = 0
            for _ in range(2):
                parts(counted[0])
            yield "how often the transform runs while sample 0 is fetched twice", visits.count, 2
            yield "what the transform is given", visits.given, ((3, height, width), "torch.uint8")
            random = RecordDataset(path, height, width, transform=shifted_at_random)
            two = [parts(random[0])[0] for _ in range(2)]
            yield "a random transform gives the same picture twice", torch.equal(*two), False
            other = Path(folder, "other.bin")
            other.write_bytes(bytes(2 * len(records) // n))
            RecordDataset(other, height, width)
            yield "the label of sample 0, after a second data set was made", parts(plain[0])[1], labels[0]
            image = pictures[0].permute(2, 0, 1)
            yield "the picture of sample 0, after a second data set was made", parts(plain[0])[0], image
            yield f"the length, with {n} records of {height}x{width}", RecordDataset.__len__(plain), n


# ---- The exercises ----

EXERCISES = [
    Exercise(
        number=1,
        name="where",
        section=6,
        answer=(2, 14, 4),
        trial=try_where,
        hints=(
            "Each channel has 1,024 places. How many whole channels lie before place 2500?",
            "Divide what is left by the 32 places of a row: the remainder is the column.",
        ),
        mistakes=(
            Mistake("The file does not go pixel by pixel: all reds come first.", (1, 26, 1), 5),
            Mistake("Row and column have changed places: along a row, the column changes.", (2, 4, 14), 5),
            Mistake("Channels, rows and columns are counted from 0.", (3, 15, 5), 5),
            Mistake("The channel is right. But it has only 32 rows, counted from 0 to 31.", (2, 452, 0)),
            Mistake("That row is counted from the first red number. Take the whole channels away first.", (2, 78, 4)),
        ),
    ),
    Exercise(
        number=2,
        name="where_is",
        section=6,
        answer=where_is,
        trial=try_where_is,
        hints=(
            "Do it for place 2500 again and write each step down. Where does 1,024 come from, where 32?",
            "The column is what is left when you take whole rows away, the row what is left of whole channels.",
        ),
        mistakes=(
            Mistake("The result of / has a fraction: use //.", changed(where_is, "place // (", "place / (")),
            Mistake("32 is right for CIFAR-10 only.", changed(where_is, "place // width % height", "place // 32 % 32")),
            Mistake(
                "1,024 and 32 are right for CIFAR-10 only.",
                changed(where_is, "    channel =", "    height = width = 32\n    channel ="),
            ),
            Mistake(
                "The file does not go pixel by pixel: all reds come first.",
                changed(where_is, "channel, row, place % width", "place % 3, place // 3 // width, place // 3 % width"),
                5,
            ),
            Mistake(
                "A row has as many places as there are columns: its length is the width.",
                changed(
                    changed(where_is, "place // width % height", "place // height % width"),
                    "place % width",
                    "place % height",
                ),
            ),
            Mistake(
                "The row goes on through all channels: it must begin at 0 in each.", changed(where_is, " % height", "")
            ),
            Mistake(
                "That is the order of (channel, column, row).",
                changed(where_is, "channel, row, place % width", "channel, place % width, row"),
            ),
        ),
    ),
    Exercise(
        number=3,
        name="all_labels",
        section=7,
        answer=all_labels,
        trial=try_all_labels,
        hints=(
            "`append` adds one thing to a list, here a whole list. What adds each of its items?",
            "Print the sorted names. Which one follows data_batch_1, and why?",
            '`"data_batch_7".split("_")` is a list of texts. The last one, as an int, can be the key of sorted.',
        ),
        mistakes=(
            Mistake("Two things are wrong. The first: each file adds one item, its whole list.", by_the_alphabet),
            Mistake(
                "The order is right. But each file adds one item, its whole list.",
                changed(
                    all_labels,
                    'labels += pickle.loads(path.read_bytes())["labels"]',
                    'labels.append(pickle.loads(path.read_bytes())["labels"])',
                ),
            ),
            Mistake(
                "It is one list now. But the last character is only a part of 10, 11 and 12.",
                changed(all_labels, 'path.name.split("_")[-1]', "path.name[-1]"),
            ),
            Mistake(
                "It is one list now. But names are sorted as text, and there 10 comes before 2.",
                changed(
                    by_the_alphabet,
                    'labels.append(pickle.loads(path.read_bytes())["labels"])',
                    'labels += pickle.loads(path.read_bytes())["labels"]',
                ),
            ),
        ),
    ),
    Exercise(
        number=4,
        name="differing",
        section=9,
        answer=differing,
        trial=try_differing,
        hints=(
            "`for index in range(len(mine)):` goes through both data sets at once.",
            "A picture has .tobytes(), and it has .size.",
        ),
        mistakes=(
            Mistake(
                "The bytes of the pictures are not compared, or only some of them.",
                changed(differing, "not same_picture or my_label", "my_label"),
            ),
            Mistake("The labels are not compared.", changed(differing, " or my_label != their_label", "")),
            Mistake(
                "Pictures of different sizes can hold the same bytes.",
                changed(differing, "my_picture.size == their_picture.size and ", ""),
            ),
            Mistake(
                "A sample differs if one of the two differs, not only if both do.",
                changed(differing, "not same_picture or", "not same_picture and"),
            ),
            Mistake(
                "These are the samples that are equal.",
                changed(
                    differing, "not same_picture or my_label != their_label", "same_picture and my_label == their_label"
                ),
            ),
            Mistake(
                "Two different pictures can have the same sum, mean or histogram: compare byte by byte.",
                changed(
                    changed(differing, "my_picture.tobytes()", "sum(my_picture.tobytes())"),
                    "their_picture.tobytes()",
                    "sum(their_picture.tobytes())",
                ),
            ),
            Mistake(
                "That ends with the first one: look at all samples.",
                changed(differing, "indices.append(index)", "return [index]"),
            ),
            Mistake(
                "`is` asks whether two things are the same object, not whether they are equal.",
                changed(differing, "not same_picture", "my_picture is not their_picture"),
            ),
            Mistake(
                "Arrays of different sizes cannot be compared number by number: compare the sizes first.", as_arrays
            ),
            Mistake(
                "!= between two PIL pictures also compares picture.info, such as a comment: compare size and bytes.",
                changed(differing, "not same_picture", "my_picture != their_picture"),
            ),
        ),
    ),
    Exercise(
        number=5,
        name="RecordDataset",
        section=8,
        answer=RecordDataset,
        trial=try_record_dataset,
        hints=(
            "How many bytes does one record have? A view of all bytes can have one record in each row.",
            "With one record in each row, the labels are a column, and the pictures are all other columns.",
            "If view does not take the pictures, use reshape: it copies where it must. tolist() makes ints.",
        ),
        mistakes=(
            Mistake(
                "The label is the first byte of a record, not the last.",
                changed(changed(RecordDataset, "records[:, 0]", "records[:, -1]"), "records[:, 1:]", "records[:, :-1]"),
            ),
            Mistake(
                "A record has one byte more than its picture.",
                changed(RecordDataset, "1 + 3 * height * width", "3 * height * width"),
                4,
            ),
            Mistake(
                "Each picture has its label just before it: they are not all at the beginning.",
                LabelsFirst,
                4,
            ),
            Mistake("3,073 is right for 32x32 pixels only.", changed(RecordDataset, "1 + 3 * height * width", "3073")),
            Mistake(
                "The transform runs only once for each picture: a random one must run each time.",
                TransformedOnce,
                "Course03 9",
            ),
            Mistake(
                "The colours are mixed: in the file, all reds come first.",
                changed(
                    RecordDataset, "reshape(-1, 3, height, width)", "reshape(-1, height, width, 3).permute(0, 3, 1, 2)"
                ),
                10,
            ),
            Mistake(
                "Height comes before width.", changed(RecordDataset, "-1, 3, height, width", "-1, 3, width, height")
            ),
            Mistake(
                "The label is a tensor: it must be an int.",
                changed(RecordDataset, "records[:, 0].tolist()", "records[:, 0]"),
            ),
            Mistake(
                "The transform is not used.",
                changed(RecordDataset, "image = self.transform(image)", "pass"),
                "Course03 5",
            ),
            Mistake(
                "Without a transform the picture stays as it is: None cannot be called.",
                changed(RecordDataset, "self.transform is not None", "True"),
            ),
            Mistake(
                "The length is the number of records, not of bytes.",
                changed(RecordDataset, "len(self.targets)", "self.images.numel()"),
                2,
            ),
        ),
    ),
]
