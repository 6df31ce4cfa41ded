"""Course 04 · TorchvisionDatasets — what is inside a famous data set?

Run   python Course04-TorchvisionDatasets/cifar10_by_hand.py
See   outputs/Course04-TorchvisionDatasets/     (the pictures that it draws)
Read  notes.md, whose sections carry the numbers of the cells below
"""

# %% 1. Setup
import pickle
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from PIL import Image
from torch.utils.data import Dataset
from torch.utils.tensorboard import SummaryWriter
from torchvision import datasets
from torchvision.transforms import v2

from common.data import cifar10
from common.paths import fresh_log_dir, output_dir

torch.manual_seed(4)
train_set = cifar10(train=True)
test_set = cifar10(train=False)

# %% 2. One item, and what its number means
picture, label = test_set[0]
print("classes:", ", ".join(test_set.classes))
print("one item:", picture.mode, picture.size, "and the class", label)
print("class", label, "is", test_set.classes[label])
print("and back: class_to_idx gives", test_set.class_to_idx[test_set.classes[label]])

# %% 3. All labels at once, and a page of samples
print("the first ten:", train_set.targets[:10])
counts = torch.bincount(torch.tensor(train_set.targets), minlength=10)  # (10000,) -> (10,)
print("pictures of each class:", counts.tolist())
print("data:", train_set.data.shape, train_set.data.dtype)

samples = [[i for i, target in enumerate(train_set.targets) if target == c][4:8] for c in range(10)]  # four of each
fig, axes = plt.subplots(4, 10, figsize=(9, 4), layout="constrained")
for column, indices, name in zip(axes.T, samples, train_set.classes, strict=True):
    column[0].set_title(name, fontsize=11)
    for ax, index in zip(column, indices, strict=True):
        ax.imshow(train_set[index][0], interpolation="nearest")
        ax.axis("off")
fig.savefig(output_dir("Course04-TorchvisionDatasets") / "samples.png", dpi=100)

# %% 4. Open one file
folder = Path(train_set.root) / train_set.base_folder
for path in sorted(folder.glob("*batch*")):
    print(f"{path.name:13} {path.stat().st_size / 1e6:5.1f} MB")


def unpickle(path):
    """What is in one of the files. Only for files that you trust: unpickling can run any code."""
    return pickle.loads(path.read_bytes(), encoding="latin1")


batch = unpickle(folder / "data_batch_1")
for key in sorted(batch):
    value = batch[key]
    print(f"{key:11} {type(value).__name__:7}", getattr(value, "shape", len(value)))
print("first picture:", batch["labels"][0], batch["filenames"][0])
print("names:", unpickle(folder / "batches.meta")["label_names"][:3], "…")

# %% 5. The smallest row, by hand
row = torch.arange(12)  # a colour picture of 2x2 pixels, stored as CIFAR-10 stores 32x32: red, then green, then blue
small = row.view(3, 2, 2)  # (12,) -> (3, 2, 2): channels, height, width
print("red  ", small[0].tolist())
print("green", small[1].tolist())
print("blue ", small[2].tolist())
print("pixel of row 0, column 1:", small[:, 0, 1].tolist())

# %% 6. From a row of the file to a picture
rows = torch.from_numpy(batch["data"])  # (2000, 3072)
images = rows.view(-1, 3, 32, 32)  # (2000, 3072) -> (2000, 3, 32, 32)
print("view(-1, 3, 32, 32):", tuple(images.shape))
places = torch.arange(3072).view(3, 32, 32)  # each number is its own place in the row
channel, i, j = (places == 1214).nonzero()[0].tolist()  # nonzero: where it is true
print("place 1214: channel", channel, "row", i, "column", j)
print("the same number:", bool(images[0, channel, i, j] == rows[0, 1214]))
array = images[0].numpy().transpose(1, 2, 0)  # (3, 32, 32) -> (32, 32, 3): PIL wants the channels last
by_hand = Image.fromarray(array)
print("equal to torchvision's first picture:", by_hand.tobytes() == train_set[0][0].tobytes())

# %% 7. Five files, one data set
parts = [torch.tensor(unpickle(folder / f"data_batch_{n}")["labels"]) for n in range(1, 6)]  # five times (2000,)
print("cat:  ", tuple(torch.cat(parts).shape))
print("stack:", tuple(torch.stack(parts).shape))
print("cat gives torchvision's targets:", torch.cat(parts).tolist() == train_set.targets)

# %% 8. The data set, by hand


class CIFAR10Dataset(Dataset):
    """CIFAR-10 from its files: item i is (PIL picture or what transform makes of it, class index)."""

    def __init__(self, folder, train, transform=None):
        names = [f"data_batch_{n}" for n in range(1, 6)] if train else ["test_batch"]
        batches = [unpickle(folder / name) for name in names]
        self.images = torch.cat([torch.from_numpy(batch["data"]) for batch in batches]).view(-1, 3, 32, 32)
        self.targets = [label for batch in batches for label in batch["labels"]]
        self.classes = unpickle(folder / "batches.meta")["label_names"]
        self.transform = transform

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        picture = Image.fromarray(self.images[index].numpy().transpose(1, 2, 0))  # (3, 32, 32) -> (32, 32, 3)
        if self.transform is not None:
            picture = self.transform(picture)
        return picture, self.targets[index]


my_train_set = CIFAR10Dataset(folder, train=True)
my_test_set = CIFAR10Dataset(folder, train=False)
to_float = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
float_set = CIFAR10Dataset(folder, train=False, transform=to_float)
print("train", len(my_train_set), "test", len(my_test_set))
print("first item:", my_train_set[0][0].size, my_train_set.classes[my_train_set[0][1]])
print("first item with a transform:", tuple(float_set[0][0].shape), float_set[0][0].dtype)

# %% 9. Picture by picture against torchvision's
for name, mine, theirs in (("train", my_train_set, train_set), ("test", my_test_set, test_set)):
    equal = 0
    for (my_picture, my_label), (their_picture, their_label) in zip(mine, theirs, strict=True):
        equal += my_picture.tobytes() == their_picture.tobytes() and my_label == their_label
    print(f"{name}: {equal:,} of {len(theirs):,} pictures and labels are equal")
print("the same class names:", my_train_set.classes == train_set.classes)

# %% 10. Break it: the reshape that shuffles colours
wrong = rows.reshape(-1, 32, 32, 3)  # (2000, 3072) -> (2000, 32, 32, 3): the right shape, without any error …
right = images.permute(0, 2, 3, 1)  # (2000, 3, 32, 32) -> (2000, 32, 32, 3)
print("same shape:", wrong.shape == right.shape)
print("same pictures:", torch.equal(wrong, right))
print("the wrong first pixel is three reds:", torch.equal(wrong[0, 0, 0], images[0, 0, 0, :3]))
fig, axes = plt.subplots(2, 3, figsize=(8, 4.4), layout="constrained")
for column, index in zip(axes.T, [indices[0] for indices in samples[:3]], strict=True):
    column[0].imshow(right[index].numpy(), interpolation="nearest")
    column[1].imshow(wrong[index].numpy(), interpolation="nearest")
for ax, title in zip(axes[:, 0], ["view(-1, 3, 32, 32)\nthen permute", "reshape(-1, 32, 32, 3)"], strict=True):
    ax.set_ylabel(title, rotation=0, ha="right", va="center", fontsize=11)
for ax in axes.flat:
    ax.set_xticks([])
    ax.set_yticks([])
fig.savefig(output_dir("Course04-TorchvisionDatasets") / "reshape.png", dpi=100)

# %% 11. Break it: CIFAR10 without the right folder
try:
    datasets.CIFAR10()
except TypeError as error:
    print("TypeError:", error)
try:
    datasets.CIFAR10(output_dir("Course04-TorchvisionDatasets"), train=True)  # a folder, but not the right one
except RuntimeError as error:
    print("RuntimeError:", error)

# ---- Second reading --------------------------------------------------------------------------------------------------

# %% 12. What a transform changes, and what it does not
image, label = float_set[0]  # (3, 32, 32)
print("an item:", tuple(image.shape), image.dtype)
print("what the data set keeps:", float_set.images.dtype)
print("equal to torchvision's:", torch.equal(image, cifar10(train=False, transform=to_float)[0][0]))
print("the label is as before:", label == test_set[0][1])
with SummaryWriter(fresh_log_dir("Course04-TorchvisionDatasets")) as writer:
    for c, indices in enumerate(samples):
        writer.add_images("four of a class", torch.stack([to_float(train_set[i][0]) for i in indices]), c)
print("logged:", len(samples), "classes, 4 pictures each")

# %% 13. Other data sets, the same handles
noise = datasets.FakeData(size=100, image_size=(1, 28, 28), num_classes=10, transform=to_float)
image, label = noise[0]
print("FakeData:", len(noise), "items; one is", tuple(image.shape), "and", type(label).__name__)

# %% 14. Break it: transpose of a tensor
try:
    images[0].transpose(1, 2, 0)
except TypeError as error:
    print("TypeError:", str(error).splitlines()[0])
print("permute does it:", tuple(images[0].permute(1, 2, 0).shape))

# %% 15. Break it: files from Python 2
# The real CIFAR-10 is of 2009. Here is a dictionary as Python 2 wrote it: labels [6, 9] and three bytes of data.
written_by_python_2 = b"}(U\x06labels](K\x06K\x09eU\x04dataU\x03\x3b\xfe\x9cu."
try:
    pickle.loads(written_by_python_2)
except UnicodeDecodeError as error:
    print("UnicodeDecodeError:", error)
as_bytes = pickle.loads(written_by_python_2, encoding="bytes")
print("encoding='bytes': the keys are", list(as_bytes))
try:
    as_bytes["labels"]
except KeyError as error:
    print("KeyError:", error)
print('the cure: as_bytes[b"labels"] is', as_bytes[b"labels"])
print("or encoding='latin1': the keys are", list(pickle.loads(written_by_python_2, encoding="latin1")))
