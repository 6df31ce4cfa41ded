"""Course 05 · DataLoader: the answers, how they are judged, and the mistakes that people make."""

import math
import operator
import weakref
from itertools import islice
from unittest import mock

import torch
from torch.overrides import TorchFunctionMode
from torch.utils.data import DataLoader

from practice import Exercise, Mistake, called, changed

# ---- 1 ----


def try_counts(counts):
    counts = list(counts) if isinstance(counts, list | tuple) else [counts]
    yield "how many numbers there are", len(counts), 3
    sizes = [len(batch) for batch in DataLoader(range(50_000), batch_size=128)]
    yield "the batches of an epoch", counts[0], len(sizes)
    yield "the pictures in the last batch", counts[1], sizes[-1]
    full = len(DataLoader(range(50_000), batch_size=128, drop_last=True))
    yield "the batches of ten epochs with drop_last=True", counts[2], 10 * full


# ---- 2 ----


def batch_sizes(count, batch_size, drop_last=False):
    full, rest = divmod(count, batch_size)
    sizes = [batch_size] * full
    if rest and not drop_last:
        sizes.append(rest)
    return sizes


def try_batch_sizes(batch_sizes):
    yield "batch_sizes(10, 4)", batch_sizes(10, 4), [4, 4, 2]
    for count, size in [(10, 4), (12, 4), (3, 5), (7, 1), (65, 64), (0, 4)]:
        for drop_last in (False, True):
            right = [len(batch) for batch in DataLoader(range(count), size, drop_last=drop_last)]
            yield *called(batch_sizes, count, size, drop_last=drop_last), right


# ---- 3 ----


def channel_means(loader):
    total, count = torch.zeros(3), 0
    for images, _ in loader:
        total += images.mean(dim=(0, 2, 3)) * len(images)
        count += len(images)
    return total / count


class Memory(TorchFunctionMode):
    """Notes how many numbers the tensors that are made in it hold at most at once."""

    def __init__(self):
        super().__init__()
        self.made, self.most = [], 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.made.append(weakref.ref(result))
            stores = [tensor.untyped_storage() for ref in self.made if (tensor := ref()) is not None]
            held = {store.data_ptr(): store.nbytes() for store in stores}  # a view holds nothing of its own
            self.most = max(self.most, sum(held.values()) // result.element_size())
        return result


def means_of_first_batch(loader):
    for images, _ in loader:
        return images.mean(dim=(0, 2, 3))


def all_in_memory(loader):
    return torch.cat([images for images, _ in loader]).mean(dim=(0, 2, 3))


def try_channel_means(channel_means):
    cases = [(10, 4, 2, 5), (9, 8, 4, 3), (6, 3, 1, 2), (3, 5, 3, 3), (5, 1, 2, 2), (60, 4, 8, 9)]
    for count, batch_size, height, width in cases:
        pictures = [torch.rand(3, height, width) + i for i in range(count)]  # each brighter than the one before
        loader = DataLoader([(picture, 0) for picture in pictures], batch_size)
        right = torch.stack([torch.stack([picture[c] for picture in pictures]).mean() for c in range(3)])
        with Memory() as memory:
            means = channel_means(loader)
        means = means.float() if isinstance(means, torch.Tensor) else means  # float64 is right, too
        yield f"the means of {count} pictures in batches of {batch_size}", means, right
    in_memory = min(count, memory.most // (3 * height * width))  # of float32; a copy of a picture counts, too
    most = "at most 40" if in_memory <= 40 else f"{in_memory}"
    yield f"pictures of {count} that are in memory at once", most, "at most 40"


# ---- 4 ----


def same_size_batches(sizes, batch_size):
    indices_of = {}
    for index, size in enumerate(sizes):
        indices_of.setdefault(size, []).append(index)
    batches = []
    for indices in indices_of.values():
        for start in range(0, len(indices), batch_size):
            batches.append(indices[start : start + batch_size])
    return batches


def try_same_size_batches(same_size_batches):
    mixed = [(4, 6), (6, 4), (4, 6), (5, 5), (4, 6), (4, 6), (6, 4), (4, 5), (6, 4), (4, 6)]
    # Of each two some number is equal: h / w, w - h, the text "111", 100 * h + w, 1000 * h + w.
    alike = [(2, 3), (4, 6), (5, 7), (1, 11), (11, 1), (4, 6), (1, 244), (2, 144), (1, 1144), (11, 1)]
    for sizes, batch_size, fewest in [
        (mixed, 2, 7), (mixed, 4, 5), (mixed, 1, 10), (mixed[::2], 3, 2), (mixed, 8, 4), (alike, 4, 8), ([], 2, 0),
    ]:  # fmt: skip
        what = f"{len(sizes)} pictures, batch_size {batch_size}: "
        given = list(sizes)
        batches = same_size_batches(given, batch_size)
        if batches is not None and not isinstance(batches, list | tuple):
            yield what + "the type of what comes back", type(batches).__name__, "list"
        batches = [[operator.index(index) for index in batch] for batch in batches]
        yield what + "all indices, sorted", sorted(i for batch in batches for i in batch), list(range(len(sizes)))
        mixed_up = [sorted({sizes[i] for i in batch}) for batch in batches if len({sizes[i] for i in batch}) > 1]
        yield what + "the sizes in a batch that mixes them", (mixed_up or [None])[0], None
        yield what + "no batch is too large", all(len(batch) <= batch_size for batch in batches), True
        yield what + "the number of batches", len(batches), fewest
        yield what + "sizes, afterwards", given, sizes


def for_one_epoch(sizes, batch_size):
    yield from same_size_batches(sizes, batch_size)


def neighbours_of_one_size(sizes, batch_size):
    batches = [[0]]
    for index in range(1, len(sizes)):
        if sizes[index] == sizes[index - 1] and len(batches[-1]) < batch_size:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches


# ---- 5 ----


class MyLoader:
    def __init__(self, dataset, batch_size, generator):
        self.dataset = dataset
        self.batch_size = batch_size
        self.generator = generator

    def __len__(self):
        return math.ceil(len(self.dataset) / self.batch_size)

    def __iter__(self):
        order = torch.randperm(len(self.dataset), generator=self.generator).tolist()
        for start in range(0, len(order), self.batch_size):
            samples = [self.dataset[index] for index in order[start : start + self.batch_size]]
            yield torch.stack([image for image, _ in samples]), torch.tensor([label for _, label in samples])


class Fetched:
    """A data set that notes the indices of the samples that were fetched: a picture of bytes, and a large label."""

    def __init__(self, count):
        self.count, self.indices = count, set()

    def __getitem__(self, index):
        if not 0 <= index < self.count:
            raise IndexError(f"sample {int(index)} of {self.count}")
        self.indices.add(int(index))
        return torch.full((3, 2, 5), int(index), dtype=torch.uint8), 1000 + int(index)

    def __len__(self):
        return self.count


def try_my_loader(MyLoader):
    def make(count, batch_size, seed):
        samples = [(torch.full((3, 2, 5), float(label)), label) for label in range(count)]
        return MyLoader(samples, batch_size, torch.Generator().manual_seed(seed)), samples

    def uses_data_loader():
        with mock.patch.object(DataLoader, "__init__", autospec=True, side_effect=DataLoader.__init__) as made:
            epoch(make(4, 2, seed=0)[0])
        return made.called

    def epoch(loader):
        return torch.cat([labels for _, labels in islice(loader, 100)]).tolist()

    loader, samples = make(10, 4, seed=7)
    yield "len(loader), 10 samples in batches of 4", loader.__len__(), 3
    first = next(iter(loader), None)
    yield "the first batch", _in_short(first), [((4, 3, 2, 5), torch.float32), ((4,), torch.int64)]
    batches = list(islice(loader, 100))
    yield "the sizes of the batches", [len(images) for images, _ in batches], [4, 4, 2]
    labels = torch.cat([labels for _, labels in batches])
    yield "the labels of an epoch, sorted", sorted(labels.tolist()), list(range(10))
    values = torch.cat([images for images, _ in batches])[:, 0, 0, 0]
    yield "each picture comes with its own label", bool((values == labels).all()), True
    yield "an epoch has the order of the data set", labels.tolist() == list(range(10)), False
    yield "a second epoch has the same order", epoch(loader) == epoch(loader), False
    yield "the labels of the data set, afterwards", [label for _, label in samples], list(range(10))

    orders = []
    for seed, global_seed in [(5, 1), (5, 2), (6, 2)]:
        loader, _ = make(10, 4, seed)
        torch.manual_seed(global_seed)
        orders.append([epoch(loader), epoch(loader)])
    yield "generators with equal seeds give equal orders, after any torch.manual_seed", orders[0] == orders[1], True
    yield "generators with different seeds give equal orders", orders[1] == orders[2], False

    yield "MyLoader makes a DataLoader", uses_data_loader(), False
    loader, _ = make(10, 4, seed=5)
    before = torch.get_rng_state()
    epoch(loader)
    drawn = not torch.equal(torch.get_rng_state(), before)
    yield "an epoch changes what torch.rand(3) gives next", drawn, False
    generator = torch.Generator().manual_seed(5)
    loader, before = MyLoader(samples, 4, generator), generator.get_state()
    epoch(loader)
    yield "an epoch takes random numbers from the generator", not torch.equal(generator.get_state(), before), True

    loader, _ = make(4, 2, seed=0)
    every = {tuple(epoch(loader)) for _ in range(400)}
    yield "different orders of 4 samples in 400 epochs", len(every), 24
    for count, batch_size, right in [(8, 4, 2), (3, 5, 1), (5, 1, 5)]:
        loader, _ = make(count, batch_size, seed=0)
        yield f"len(loader), {count} samples in batches of {batch_size}", loader.__len__(), right
        batches = list(islice(loader, 100))
        yield f"batches of {batch_size} from {count} samples", len(batches), right
        shape = ((count - 1) % batch_size + 1, 3, 2, 5)
        yield "the last of them: the shape of images", tuple(batches[-1][0].shape), shape

    samples = Fetched(6)
    loader = MyLoader(samples, 2, torch.Generator().manual_seed(0))
    samples.indices.clear()
    images, labels = next(iter(loader))
    yield "samples that are fetched for a first batch of 2", len(samples.indices), 2
    yield "pictures of bytes: the dtype of images", images.dtype, torch.uint8
    yield "labels from 1000 to 1005, sorted", sorted(epoch(loader)), list(range(1000, 1006))
    samples.indices.clear()
    epoch(loader)
    yield "samples that are fetched in a new epoch, of 6", len(samples.indices), 6

    loader, _ = make(6, 2, seed=0)
    both = [torch.cat((one, other)).tolist() for (_, one), (_, other) in islice(zip(loader, loader, strict=False), 100)]
    yield "two loops over one loader at once: all labels, sorted", sorted(sum(both, [])), sorted([*range(6)] * 2)
    make(3, 3, seed=0)
    what = "6 samples in batches of 2, after a second MyLoader was made: the sizes of the batches"
    yield what, [len(labels) for _, labels in islice(loader, 100)], [2, 2, 2]


def _in_short(batch):
    """The shape and dtype of each tensor of a batch; anything that is no batch stays."""
    if not isinstance(batch, list | tuple):
        return batch
    return [(tuple(part.shape), part.dtype) if isinstance(part, torch.Tensor) else part for part in batch]


class OrderKept(MyLoader):
    def __iter__(self):
        self.order = torch.randperm(len(self.dataset), generator=self.generator).tolist()
        while self.order:
            samples = [self.dataset[index] for index in self.order[: self.batch_size]]
            self.order = self.order[self.batch_size :]
            yield torch.stack([image for image, _ in samples]), torch.tensor([label for _, label in samples])


class ReadOnce(MyLoader):
    def __init__(self, dataset, batch_size, generator):
        super().__init__([dataset[index] for index in range(len(dataset))], batch_size, generator)


class ReadFirst(MyLoader):
    def __iter__(self):
        samples = [self.dataset[index] for index in range(len(self.dataset))]
        yield from MyLoader(samples, self.batch_size, self.generator)


class SeedOnly(MyLoader):
    def __init__(self, dataset, batch_size, generator):
        super().__init__(dataset, batch_size, torch.Generator().manual_seed(generator.initial_seed()))


class DataLoaderInside(MyLoader):
    def __iter__(self):
        yield from DataLoader(self.dataset, self.batch_size, shuffle=True, generator=self.generator)


class OrderMadeOnce(MyLoader):
    def __init__(self, dataset, batch_size, generator):
        super().__init__(dataset, batch_size, generator)
        self.order = torch.randperm(len(dataset), generator=generator).tolist()

    def __iter__(self):
        for start in range(0, len(self.order), self.batch_size):
            samples = [self.dataset[index] for index in self.order[start : start + self.batch_size]]
            yield torch.stack([image for image, _ in samples]), torch.tensor([label for _, label in samples])


class LabelsShuffledApart(MyLoader):
    def __iter__(self):
        order = torch.randperm(len(self.dataset), generator=self.generator)
        other = torch.randperm(len(self.dataset), generator=self.generator)
        for some, others in zip(order.split(self.batch_size), other.split(self.batch_size), strict=True):
            yield torch.stack([self.dataset[i][0] for i in some]), torch.tensor([self.dataset[i][1] for i in others])


class SeedOfAll(MyLoader):
    def __iter__(self):
        self.epoch = getattr(self, "epoch", 0) + 1
        torch.manual_seed(self.generator.initial_seed() * 1000 + self.epoch)
        for some in torch.randperm(len(self.dataset)).split(self.batch_size):
            yield torch.stack([self.dataset[i][0] for i in some]), torch.tensor([self.dataset[i][1] for i in some])


class DatasetShuffled(MyLoader):
    def __iter__(self):
        order = torch.randperm(len(self.dataset), generator=self.generator)
        self.dataset[:] = [self.dataset[i] for i in order]
        for start in range(0, len(order), self.batch_size):
            samples = self.dataset[start : start + self.batch_size]
            yield torch.stack([image for image, _ in samples]), torch.tensor([label for _, label in samples])


class BatchesShuffled(MyLoader):
    def __iter__(self):
        for batch in torch.randperm(len(self), generator=self.generator).tolist():
            samples = self.dataset[batch * self.batch_size : (batch + 1) * self.batch_size]
            yield torch.stack([image for image, _ in samples]), torch.tensor([label for _, label in samples])


# ---- The exercises ----

EXERCISES = [
    Exercise(
        number=1,
        name="counts",
        section=3,
        answer=(391, 80, 3900),
        trial=try_counts,
        hints=(
            "50,000 / 128 is 390.6. What does the part behind the point mean for the number of batches?",
            "How many pictures are in 390 full batches, and how many remain?",
        ),
        mistakes=(
            Mistake("The smaller batch at the end is a batch, too: round up.", (390, 80, 3900)),
            Mistake("That is what the last batch lacks to be full. How many pictures does it have?", (391, 48, 3900)),
            Mistake("Only full batches have that size. The last one holds the remainder.", (391, 128, 3900)),
            Mistake("drop_last leaves out the smaller batch, in each of the ten epochs.", (391, 80, 3910)),
            Mistake("That is one epoch. The question is about ten.", (391, 80, 390)),
            Mistake("Each epoch starts anew: the remainders of ten epochs are not put together.", (391, 80, 3906)),
        ),
    ),
    Exercise(
        number=2,
        name="batch_sizes",
        section=3,
        answer=batch_sizes,
        trial=try_batch_sizes,
        hints=(
            "`divmod(10, 4)` is (2, 2): two full batches, and two samples remain.",
            "`[4] * 2` is a list of two fours. When does one more number follow?",
        ),
        mistakes=(
            Mistake(
                "Where nothing remains, there is no last, smaller batch.",
                changed(batch_sizes, "rest and not drop_last", "not drop_last"),
            ),
            Mistake("drop_last is not used yet.", changed(batch_sizes, "rest and not drop_last", "rest")),
            Mistake(
                "drop_last leaves out the last batch only if it is smaller.",
                changed(
                    changed(batch_sizes, "rest and not drop_last", "rest"),
                    "return sizes",
                    "return sizes[:-1] if drop_last else sizes",
                ),
            ),
            Mistake(
                "The last batch is smaller: it holds what remains.", changed(batch_sizes, "(rest)", "(batch_size)")
            ),
            Mistake("The smaller batch at the end is missing.", changed(batch_sizes, "sizes.append(rest)", "pass")),
            Mistake(
                "Return the list of sizes, not their number.", changed(batch_sizes, "return sizes", "return len(sizes)")
            ),
        ),
    ),
    Exercise(
        number=3,
        name="channel_means",
        section="Course03 7",
        answer=channel_means,
        trial=try_channel_means,
        hints=(
            "Ten pictures in batches of four: how much does a picture of the last batch count, and one of the first?",
            "Add up over all pictures, count the pictures, and divide once, at the end.",
        ),
        mistakes=(
            Mistake(
                "The last batch is smaller, and counts as much as a full one: its pictures count too much.",
                changed(changed(channel_means, " * len(images)", ""), "count += len(images)", "count += 1"),
                4,
            ),
            Mistake(
                "The last batch has fewer than batch_size pictures. Count with len(images).",
                changed(channel_means, "total / count", "total / (len(loader) * loader.batch_size)"),
                4,
            ),
            Mistake(
                "Divide by the number of pictures, not of batches.",
                changed(channel_means, "total / count", "total / len(loader)"),
            ),
            Mistake(
                "The last batch is missing: its pictures count, too.",
                changed(channel_means, "total +=", "if len(images) < loader.batch_size: break\n        total +="),
                3,
            ),
            Mistake(
                "The channels are axis 1: this axis stays, the three others go.",
                changed(channel_means, "(0, 2, 3)", "(1, 2, 3)"),
            ),
            Mistake("return ends the loop with the first batch.", means_of_first_batch),
            Mistake("The means are right. But that keeps all pictures in memory: keep sums only.", all_in_memory, 4),
            Mistake(
                "A sum over rows and columns has to be divided by their number, too.",
                changed(channel_means, "images.mean(dim=(0, 2, 3)) * len(images)", "images.sum(dim=(0, 2, 3))"),
            ),
        ),
    ),
    Exercise(
        number=4,
        name="same_size_batches",
        section=7,
        answer=same_size_batches,
        trial=try_same_size_batches,
        hints=(
            "First collect the indices of each size: a dictionary from size to list of indices.",
            "Then cut each of these lists into pieces, as section 2 cuts the data set.",
        ),
        mistakes=(
            Mistake(
                "Pictures of one size need not be neighbours: collect all of a size before you cut.",
                neighbours_of_one_size,
            ),
            Mistake(
                "Each picture has a batch of its own: up to batch_size pictures of one size share a batch.",
                lambda sizes, batch_size: [[index] for index in range(len(sizes))],
            ),
            Mistake(
                "A batch holds at most batch_size pictures: cut the long lists.",
                changed(
                    changed(same_size_batches, "range(0, len(indices), batch_size)", "[0]"), "start + batch_size", ""
                ),
            ),
            Mistake(
                "Pictures of the same height may differ in their width.",
                changed(same_size_batches, "setdefault(size, [])", "setdefault(size[0], [])"),
                9,
            ),
            Mistake(
                "4x6 and 6x4 have as many pixels, and are two sizes: height and width must both be equal.",
                changed(same_size_batches, "setdefault(size, [])", "setdefault(size[0] * size[1], [])"),
                9,
            ),
            Mistake(
                "What is left over when a size is cut into batches makes a smaller batch. It is missing.",
                changed(same_size_batches, "range(0, len(indices)", "range(0, len(indices) - batch_size + 1"),
                3,
            ),
            Mistake(
                "A batch sampler hands out indices, not what the indices stand for.",
                changed(same_size_batches, "append(index)", "append(size)"),
            ),
            Mistake("A generator is empty after one epoch: return a list.", for_one_epoch),
        ),
    ),
    Exercise(
        number=5,
        name="MyLoader",
        section=5,
        answer=MyLoader,
        trial=try_my_loader,
        hints=(
            "In __iter__: draw the order, then take batch_size indices of it at a time, as section 2 does by hand.",
            "For each batch: a list of samples, then torch.stack for the pictures and torch.tensor for the labels.",
            "range(0, count, batch_size) counts the places where the batches begin. The last slice may be shorter.",
        ),
        mistakes=(
            Mistake(
                "The samples come in their own order: shuffle them.",
                changed(MyLoader, "for start", "order.sort()\n        for start"),
            ),
            Mistake(
                "Each epoch needs a new order: draw it not once for the loader, and not from the same seed again.",
                OrderMadeOnce,
            ),
            Mistake(
                "The order must come from the generator, or a random number drawn before changes it.",
                changed(MyLoader, ", generator=self.generator", ""),
                6,
            ),
            Mistake(
                "Pictures and labels got two different orders: draw one, and use it for both.", LabelsShuffledApart, 1
            ),
            Mistake("Only the batches are shuffled. The same samples always share a batch.", BatchesShuffled),
            Mistake(
                "The last, smaller batch counts in len(loader), too.",
                changed(
                    MyLoader, "math.ceil(len(self.dataset) / self.batch_size)", "len(self.dataset) // self.batch_size"
                ),
                3,
            ),
            Mistake(
                "len(loader) is the number of batches, not of samples.",
                changed(MyLoader, "math.ceil(len(self.dataset) / self.batch_size)", "len(self.dataset)"),
                3,
            ),
            Mistake(
                "The last, smaller batch does not come.",
                changed(MyLoader, "range(0, len(order),", "range(0, len(order) - self.batch_size + 1,"),
                3,
            ),
            Mistake(
                "The labels of a batch are one tensor of int64.",
                changed(MyLoader, "torch.tensor([label for _, label in samples])", "[label for _, label in samples]"),
                4,
            ),
            Mistake(
                "The pictures of a batch are one tensor: stack them.",
                changed(MyLoader, "torch.stack([image for image, _ in samples])", "[image for image, _ in samples]"),
                4,
            ),
            Mistake(
                "These are two lists. The pictures of a batch are one tensor, and so are its labels.",
                changed(
                    changed(
                        MyLoader, "torch.stack([image for image, _ in samples])", "[image for image, _ in samples]"
                    ),
                    "torch.tensor([label for _, label in samples])",
                    "[label for _, label in samples]",
                ),
                4,
            ),
            Mistake("return ends __iter__. yield hands out a batch and goes on.", changed(MyLoader, "yield", "return")),
            Mistake(
                "The epoch sets the seed of all random numbers, or takes some of them. Draw from the generator only.",
                SeedOfAll,
                6,
            ),
            Mistake("Each epoch shuffles dataset itself: shuffle indices.", DatasetShuffled, 7),
            Mistake("The exercise is to do it without DataLoader, as section 2 does by hand.", DataLoaderInside, 2),
            Mistake(
                "The random numbers come from a second generator with the same seed: use the given one.",
                SeedOnly,
                6,
            ),
            Mistake("Fetch a sample when its batch needs it: a whole data set may not fit into memory.", ReadFirst, 2),
            Mistake(
                "The samples are fetched only once. A random transform must run again in each epoch.",
                ReadOnce,
                "Course03 9",
            ),
            Mistake(
                "What self holds is shared by all loops over the loader: keep the order of a loop in a local variable.",
                OrderKept,
            ),
        ),
    ),
]
