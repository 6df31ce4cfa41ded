"""Course 05 · DataLoader — how do samples become batches?

Run   python Course05-DataLoader/dataloader.py
See   outputs/Course05-DataLoader/        (two pictures that it draws)
Read  notes.md, whose sections carry the numbers of the cells below
"""

# %% 1. Setup
import json
import subprocess
import sys
import textwrap
import time

import matplotlib.pyplot as plt
import torch
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler, Subset, WeightedRandomSampler
from torchvision.transforms import v2

from common.data import ants_bees, cifar10
from common.paths import REPOSITORY, output_dir

lesson = "Course05-DataLoader"
torch.manual_seed(5)
to_float = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
dataset = Subset(cifar10(train=False, transform=to_float), range(1000))  # as many, be they drawn or real
image, label = dataset[0]
print("one sample:", tuple(image.shape), image.dtype, "and", type(label).__name__)

# %% 2. The smallest loader, by hand
numbers = list(range(10))  # a list has a length and items: it is a data set
for batch in DataLoader(numbers, batch_size=4):
    print("loader: ", batch)
by_hand = [torch.tensor(numbers[start : start + 4]) for start in range(0, len(numbers), 4)]
for batch in by_hand:
    print("by hand:", batch)

# %% 3. Predict the number of batches, then look
for count, batch_size in [(10, 4), (1000, 64), (1000, 100)]:
    whole, rest = divmod(count, batch_size)
    for drop_last in (False, True):
        predicted = whole if drop_last or rest == 0 else whole + 1
        loader = DataLoader(range(count), batch_size, drop_last=drop_last)
        print(f"{count} in batches of {batch_size}, {drop_last=}: predicted {predicted}, actual {len(loader)}")

# %% 4. A real batch
loader = DataLoader(dataset, batch_size=64)
images, labels = next(iter(loader))  # (64, 3, 32, 32), (64,)
print("images", tuple(images.shape), images.dtype)
print("labels", tuple(labels.shape), labels.dtype)
stacked = torch.stack([dataset[i][0] for i in range(64)])  # 64 times (3, 32, 32) -> (64, 3, 32, 32)
print("the batch is its samples, stacked:", torch.equal(images, stacked))
*_, (images, labels) = loader  # one pass through the loader; only the last batch is kept
print("the last batch", tuple(images.shape), "=", len(dataset), "-", len(loader) - 1, "* 64")

# %% 5. Vary one thing: shuffle
shuffled = DataLoader(numbers, batch_size=5, shuffle=True)
orders = []
for epoch in range(1, 4):
    orders.append(torch.cat(list(shuffled)))  # (5,), (5,) -> (10,)
    print(f"epoch {epoch}: {orders[-1].tolist()}, each number once: {sorted(orders[-1].tolist()) == numbers}")

fig, axes = plt.subplots(3, 1, figsize=(7, 2.9), layout="constrained")
for ax, order, name in zip(axes, [numbers, *orders[:2]], ["in order", "epoch 1", "epoch 2"], strict=True):
    strip = torch.cat([dataset[int(index)][0] for index in order], dim=2)  # ten times (3, 32, 32) -> (3, 32, 320)
    ax.imshow(strip.permute(1, 2, 0).numpy(), interpolation="nearest")
    ax.set(ylabel=name, yticks=[], xticks=range(16, 320, 32), xticklabels=[int(index) for index in order])
fig.savefig(output_dir(lesson) / "epochs.png", dpi=100)

# %% 6. The seed of an order
for seed in (5, 5, 6):
    generator = torch.Generator().manual_seed(seed)
    seeded = DataLoader(numbers, batch_size=10, shuffle=True, generator=generator)
    print(f"seed {seed}: {next(iter(seeded)).tolist()}")

# %% 7. Sampler: which samples, in which order
for shuffle in (False, True):
    loader = DataLoader(numbers, shuffle=shuffle)
    print(f"{shuffle=}: the indices come from a", type(loader.sampler).__name__)
print("any order of indices will do:", next(iter(DataLoader(numbers, batch_size=4, sampler=[7, 7, 2, 0]))))

rare = torch.tensor([0] * 90 + [1] * 10)  # labels of 90 pictures of one class and of 10 of another
weights = 1 / torch.bincount(rare)[rare]  # (100,): each class weighs 1 in all
sampler = WeightedRandomSampler(weights, num_samples=1000)
drawn = torch.cat(list(DataLoader(rare, batch_size=50, sampler=sampler)))  # (1000,)
print(f"the rare class: {rare.float().mean():.0%} of the data set, {drawn.float().mean():.0%} of what was drawn")

# %% 8. Batch sampler: which samples share a batch
print("batch_size=4 makes", list(DataLoader(numbers, batch_size=4).batch_sampler))
for batch in DataLoader(numbers, batch_sampler=[[0, 9], [1, 2, 3], [5]]):
    print("own batches:", batch)

# %% 9. Break it: pictures of different sizes
insects = ants_bees("train", transform=to_float)
mixed = [insects[i] for i in range(4)]
print("sizes", [tuple(image.shape[1:]) for image, _ in mixed])
try:
    next(iter(DataLoader(mixed, batch_size=4)))
except RuntimeError as error:
    print("RuntimeError:", error)

# %% 10. Your own collate_fn


def pad_to_largest(samples):
    """[(image (3, H, W), label), …] -> images (N, 3, largest H, largest W), black where they end; labels (N,)."""
    images, labels = zip(*samples, strict=True)
    height = max(image.shape[1] for image in images)
    width = max(image.shape[2] for image in images)
    batch = torch.zeros(len(images), 3, height, width)
    for place, image in zip(batch, images, strict=True):
        place[:, : image.shape[1], : image.shape[2]] = image
    return batch, torch.tensor(labels)


images, labels = next(iter(DataLoader(mixed, batch_size=4, collate_fn=pad_to_largest)))
print("one batch", tuple(images.shape), "with labels", labels.tolist())

# %% 11. Pinned memory
has_cuda = torch.cuda.is_available()
device = torch.device("cuda" if has_cuda else "cpu")
images, labels = next(iter(DataLoader(dataset, batch_size=64, pin_memory=has_cuda)))
print("pinned where there is a CUDA device, and only there:", images.is_pinned() == has_cuda)
images = images.to(device, non_blocking=True)  # from pinned memory, the copy runs while the program goes on

# %% 12. Batched fetching


class InMemory(Dataset):
    """All pictures as one tensor. An index may be one number or a list of them."""

    def __init__(self, images, labels):
        self.images, self.labels, self.calls = images, labels, 0

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        self.calls += 1
        return self.images[index].float() / 255, self.labels[index]


pixels = torch.from_numpy(dataset.dataset.data[: len(dataset)]).permute(0, 3, 1, 2)  # -> (1000, 3, 32, 32)
in_memory = InMemory(pixels, torch.tensor(dataset.dataset.targets[: len(dataset)]))
one_by_one = DataLoader(in_memory, batch_size=64)
batched = DataLoader(in_memory, sampler=BatchSampler(range(len(in_memory)), 64, drop_last=False), batch_size=None)
loaded = {}
for name, loader in (("one by one", one_by_one), ("batched", batched)):
    in_memory.calls = 0
    loaded[name] = list(loader)
    print(f"{name}: {len(loaded[name])} batches from {in_memory.calls} calls of __getitem__")
same = all(torch.equal(a[0], b[0]) for a, b in zip(*loaded.values(), strict=True))
print("the same batches:", same)
shuffled_batched = DataLoader(in_memory, sampler=BatchSampler(RandomSampler(in_memory), 64, False), batch_size=None)
print("shuffled, the first batch", tuple(next(iter(shuffled_batched))[0].shape))

# %% 13. Workers
# A program that starts workers must be a file that can be imported: workers.py, with a guard, is one.
program = REPOSITORY / lesson / "workers.py"
command = [sys.executable, str(program), str(insects.root)]
done = subprocess.run(command, stdout=subprocess.PIPE, encoding="utf-8", check=True)
speeds_printed, spawn_printed, copied_printed, cured_printed, lambda_printed = done.stdout.strip().split("\n\n")
print(spawn_printed)

# %% 14. Pictures per second


def pictures_per_second(loader):
    """Of the fastest of several epochs: whatever else the machine does can only slow one down."""
    seconds = []
    while len(seconds) < 2 or sum(seconds) < 0.05:
        begin = time.perf_counter()
        for _ in loader:
            pass
        seconds.append(time.perf_counter() - begin)
    return len(dataset) / min(seconds)


plain = pictures_per_second(DataLoader(dataset, batch_size=64))
speeds = json.loads((output_dir(lesson) / "speeds.json").read_text())  # what workers.py measured
panels = {
    "batch_size": {str(n): pictures_per_second(DataLoader(dataset, batch_size=n)) / plain for n in (1, 16, 64, 256)},
    "num_workers, JPEG files": {n: speed / speeds["JPEG files"]["0"] for n, speed in speeds["JPEG files"].items()},
    "num_workers, in memory": {n: speed / speeds["in memory"]["0"] for n, speed in speeds["in memory"].items()},
    "fetching, in memory": {
        "one by one": pictures_per_second(one_by_one) / plain,
        "batched": pictures_per_second(batched) / plain,
    },
}
print(f"the plain loader: {plain:,.0f} pictures per second")
print(speeds_printed)

fig, axes = plt.subplots(1, 4, figsize=(10, 3.4), sharey=True, layout="constrained")
for ax, (name, ratios), colour in zip(axes, panels.items(), ["#0072B2", "#D55E00", "#E69F00", "#009E73"], strict=True):
    heights = [ratio - 1 for ratio in ratios.values()]  # bars stand on 1, the plain loader, or hang from it
    bars = ax.bar(list(ratios), heights, bottom=1, color=colour)
    ax.bar_label(bars, [f"x{ratio:.2g}" for ratio in ratios.values()], padding=3)
    ax.axhline(1, color="black", linewidth=1)
    ax.set(yscale="log", ylim=(0.01, 100), title=name)
    ax.yaxis.grid(alpha=0.3)
axes[0].set_ylabel("pictures per second,\ntimes the plain loader")
fig.savefig(output_dir(lesson) / "speed.png", dpi=100)

# %% 15. Random numbers in workers
print(copied_printed)
print(cured_printed)

# %% 16. Break it: a lambda for a worker
print(lambda_printed)

# %% 17. Break it: no guard
no_guard = """
worker = multiprocessing.get_context("spawn").Process(target=print, args=("hello from the worker",))
worker.start()
worker.join()
"""
guarded = 'if __name__ == "__main__":' + textwrap.indent(no_guard, "    ")
for name, lines in (("no_guard", no_guard), ("guarded", guarded)):
    small_program = output_dir(lesson) / f"{name}.py"
    small_program.write_text("import multiprocessing\n\n" + lines)
    done = subprocess.run([sys.executable, str(small_program)], capture_output=True, encoding="utf-8")
    message = done.stderr[done.stderr.find("RuntimeError:") :]
    print(f"{name}.py:", done.stdout.strip() or message.strip())

# %% 18. Break it: two orders at once
try:
    DataLoader(numbers, shuffle=True, sampler=[0, 1, 2])
except ValueError as error:
    print("ValueError:", error)
