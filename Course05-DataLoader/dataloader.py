"""Course 05 · DataLoader — how do samples become batches?

Run   python Course05-DataLoader/dataloader.py
See   outputs/Course05-DataLoader/     (the pictures that it draws)
Read  notes.md, whose sections carry the numbers of the cells below
"""

# %% 1. Setup
import json
import pickle
import subprocess
import sys
import textwrap
import time
from multiprocessing.reduction import ForkingPickler

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

# %% 3. The number of batches
for count, batch_size in [(10, 4), (1000, 64), (1000, 100)]:
    whole, rest = divmod(count, batch_size)
    for drop_last in (False, True):
        predicted = whole if drop_last or rest == 0 else whole + 1
        loader = DataLoader(range(count), batch_size, drop_last=drop_last)
        print(f"{count} in batches of {batch_size}, {drop_last=}: predicted {predicted}, actual {len(loader)}")

# %% 4. A real batch
loader = DataLoader(dataset, batch_size=64)
images, labels = next(iter(loader))
print("images", tuple(images.shape), images.dtype)
print("labels", tuple(labels.shape), labels.dtype)
stacked = torch.stack([dataset[i][0] for i in range(64)])  # by hand: the pictures one behind the other
print("the batch is its samples, stacked:", torch.equal(images, stacked))
images, labels = list(loader)[-1]  # all batches of one epoch in a list; the last of them
print("the last batch", tuple(images.shape))

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
for name in ("loader A", "loader B"):
    generator = torch.Generator().manual_seed(5)
    seeded = DataLoader(range(5), batch_size=5, shuffle=True, generator=generator)
    for epoch in (1, 2):
        print(f"{name}, epoch {epoch}: {next(iter(seeded)).tolist()}")

# %% 7. Sampler and batch sampler
letters = list("abcdefghij")
for shuffle in (False, True):
    loader = DataLoader(letters, shuffle=shuffle)
    print(f"{shuffle=}: the indices come from a", type(loader.sampler).__name__)
print("batch_size=4 makes", list(DataLoader(letters, batch_size=4).batch_sampler))
print("own order:  ", next(iter(DataLoader(letters, batch_size=4, sampler=[7, 7, 2, 0]))))
for batch in DataLoader(letters, batch_sampler=[[0, 9], [1, 2, 3], [5]]):
    print("own batches:", batch)

# %% 8. Break it: two orders at once
try:
    DataLoader(numbers, shuffle=True, sampler=[0, 1, 2])
except ValueError as error:
    print("ValueError:", error)

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

# %% 11. Workers, and the guard that they need


def your_file(name):
    """Stands for a file that you write. In a real one, Python sets the name: `__name__`."""
    print("above the guard: this file is called", name)
    if name == "__main__":
        print("below the guard: load, train, save")


print("you start the program:")
your_file(name="__main__")
print("a worker imports it:")
your_file(name="__mp_main__")

# ---- Second reading --------------------------------------------------------------------------------------------------

# %% 12. A rare class, drawn more often
rare = torch.tensor([0] * 90 + [1] * 10)  # labels of 90 pictures of one class and of 10 of the other
weights = 1 / torch.bincount(rare)[rare]  # (100,): each class weighs 1 in all
sampler = WeightedRandomSampler(weights, num_samples=1000)
drawn = torch.cat(list(DataLoader(rare, batch_size=50, sampler=sampler)))  # (1000,)
print(f"the rare class: {rare.float().mean():.0%} of the data set, {drawn.float().mean():.0%} of what was drawn")

# %% 13. Pinned memory
has_cuda = torch.cuda.is_available()
device = torch.device("cuda" if has_cuda else "cpu")
images, labels = next(iter(DataLoader(dataset, batch_size=64, pin_memory=has_cuda)))
print("pinned where there is a CUDA device, and only there:", images.is_pinned() == has_cuda)
images = images.to(device, non_blocking=True)  # from pinned memory, the copy runs while the program goes on

# %% 14. Batched fetching


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

# %% 15. Two workers, measured
# workers.py is a file of its own, because a worker may import the file that started it. Type the same with your folder.
command = [sys.executable, str(REPOSITORY / lesson / "workers.py"), str(insects.root)]
done = subprocess.run(command, stdout=subprocess.PIPE, encoding="utf-8", check=True)
print(done.stdout.strip())

# %% 16. Pictures per second


def pictures_per_second(loader):
    """Of the fastest of several epochs: whatever else the machine does can only slow one down."""
    seconds = []
    while len(seconds) < 2 or sum(seconds) < 0.05:
        begin = time.perf_counter()
        for _ in loader:
            pass
        seconds.append(time.perf_counter() - begin)
    return len(dataset) / min(seconds)


by_batch_size = {f"batch_size={n}": pictures_per_second(DataLoader(dataset, batch_size=n)) for n in (1, 16, 64, 256)}
plain = by_batch_size["batch_size=64"]
by_workers = json.loads((output_dir(lesson) / "speeds.json").read_text())  # what workers.py measured
files, memory = by_workers["picture files"], by_workers["in memory"]
by_fetching = {"one by one": pictures_per_second(one_by_one), "batched": pictures_per_second(batched)}
groups = [  # each setting, times the plain loader
    {name: speed / plain for name, speed in by_batch_size.items()},
    {f"picture files, num_workers={n}": speed / files["0"] for n, speed in files.items()},
    {f"in memory, num_workers={n}": speed / memory["0"] for n, speed in memory.items()},
    {f"in memory, {name}": speed / plain for name, speed in by_fetching.items()},
]
print(f"the plain loader: {plain:,.0f} pictures per second")
print(f"in memory, one by one: {by_fetching['one by one'] / plain:.0f} times as many")
print(f"in memory, batched: {by_fetching['batched'] / plain:.0f} times as many")

fig, ax = plt.subplots(figsize=(8, 4.4), layout="constrained")
ticks, place = {}, 0
for group, colour in zip(groups, ["#0072B2", "#D55E00", "#E69F00", "#009E73"], strict=True):
    for name, ratio in group.items():
        ax.plot([1, ratio], [place, place], color=colour, linewidth=2)
        ax.plot(ratio, place, "o", color=colour, markersize=9)
        away, side = (10, "left") if ratio >= 1 else (-10, "right")
        ax.annotate(f"x {ratio:.2g}", (ratio, place), (away, 0), textcoords="offset points", ha=side, va="center")
        ticks[place] = name
        place += 1
    place += 1  # an empty line between the groups
ax.axvline(1, color="#999999", linewidth=1)
ax.set(xscale="log", xlim=(0.01, 100), xlabel="pictures per second, times the plain loader")
ax.set_xticks([0.01, 0.1, 1, 10, 100], ["1/100", "1/10", "1", "10", "100"])
ax.set_yticks(list(ticks), list(ticks.values()), fontsize=11)
ax.invert_yaxis()
ax.spines[["top", "right"]].set_visible(False)
fig.savefig(output_dir(lesson) / "speed.png", dpi=110)

# %% 17. Random numbers in workers


def run_program(name, lines):
    """Save the lines as a file, run it as `python NAME` does, and return what it printed."""
    path = output_dir(lesson) / name
    path.write_text(textwrap.dedent(lines), encoding="utf-8")
    done = subprocess.run([sys.executable, str(path)], capture_output=True, encoding="utf-8")
    return done.stdout + done.stderr


dice_program = """
    import numpy as np
    import torch
    from torch.utils.data import DataLoader, Dataset, get_worker_info


    class Dice(Dataset):  # eight throws of a die with 100 faces, from three sources of random numbers
        def __init__(self):
            self.rng = np.random.default_rng(5)

        def __len__(self):
            return 8

        def __getitem__(self, index):
            return int(torch.randint(100, ())), np.random.randint(100), int(self.rng.integers(100))


    def give_own_generator(worker_id):  # each worker calls it once, at its start
        info = get_worker_info()
        info.dataset.rng = np.random.default_rng(info.seed)


    if __name__ == "__main__":
        for worker_init_fn in (None, give_own_generator):
            generator = torch.Generator().manual_seed(5)
            loader = DataLoader(Dice(), 4, num_workers=2, generator=generator, worker_init_fn=worker_init_fn)
            first, second = loader  # worker 0 makes the first batch, worker 1 the second
            print("worker_init_fn:", worker_init_fn.__name__ if worker_init_fn else None)
            for source, a, b in zip(("torch", "np.random", "self.rng"), first, second, strict=True):
                print(f"  {source:9} worker 0 {a.tolist()}, worker 1 {b.tolist()}")
"""
print(run_program("dice.py", dice_program).strip())

# %% 18. Break it: a lambda for a worker
for name, collate_fn in (("a lambda", lambda samples: samples), ("pad_to_largest", pad_to_largest)):
    try:
        sent = ForkingPickler.dumps(collate_fn)  # what the loader does with it to send it to a spawned worker
        print(f"{name}: sent, and its name is among the bytes: {b'pad_to_largest' in bytes(sent)}")
    except (pickle.PicklingError, AttributeError) as error:
        print(f"{name}: {type(error).__name__}:", str(error).split(" at 0x")[0])

# %% 19. Break it: no guard
definitions = """
    import multiprocessing


    def hello():
        print("hello from the worker, which calls this file", __name__)


"""
start = """
    worker = multiprocessing.get_context("spawn").Process(target=hello)  # as a loader starts each of its workers
    worker.start()
    worker.join()
"""
without_guard = run_program("no_guard.py", definitions + start)
print("no_guard.py:", without_guard[without_guard.find("RuntimeError:") :].strip())
with_guard = run_program("guarded.py", definitions + '    if __name__ == "__main__":' + textwrap.indent(start, "    "))
print("guarded.py:", with_guard.strip())
