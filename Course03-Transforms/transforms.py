"""Course 03 · Transforms — how does a picture become a tensor that suits a network?

Run   python Course03-Transforms/transforms.py
See   outputs/Course03-Transforms/     (the pictures that it draws)
Read  notes.md, whose sections carry the numbers of the cells below
"""

# %% 1. Setup
import io
import pickle
import warnings
from pathlib import Path

import cv2
import matplotlib.pyplot as plt
import numpy as np
import torch
from PIL import Image
from torch.utils.tensorboard import SummaryWriter
from torchvision import transforms
from torchvision.transforms import v2

from common.data import ants_bees
from common.paths import fresh_log_dir, output_dir

torch.manual_seed(3)
pictures = ants_bees("train")  # no transform yet: an item is (PIL picture, class)
sizes = {picture.size for picture, _ in pictures}
print("different sizes:", len(sizes))

# %% 2. The smallest picture, by hand
red, green, blue = [255, 0, 0], [0, 255, 0], [0, 0, 255]
black, grey, white = [0, 0, 0], [128, 128, 128], [255, 255, 255]
array = np.array([[red, green, blue], [black, grey, white]], dtype=np.uint8)
tiny = Image.fromarray(array)
tiny_tensor = v2.ToImage()(tiny)
print("array ", array.shape, array.dtype)
print("PIL   ", tiny.size, tiny.mode)
print("tensor", tuple(tiny_tensor.shape), tiny_tensor.dtype)
print("blue pixel:", array[0, 2].tolist(), tiny.getpixel((2, 0)), tiny_tensor[:, 0, 2].tolist())
print("red channel:", tiny_tensor[0].tolist())

# %% 3. From bytes to floats
scaled = v2.ToDtype(torch.float32, scale=True)(tiny_tensor)
unscaled = v2.ToDtype(torch.float32)(tiny_tensor)
print("bytes   ", tiny_tensor[0, 1].tolist(), "in", tiny_tensor.nbytes, "bytes of memory")
print("scaled  ", [round(x, 3) for x in scaled[0, 1].tolist()], "in", scaled.nbytes)
print("unscaled", unscaled[0, 1].tolist())
back = v2.ToDtype(torch.uint8, scale=True)(scaled)
print("and back without loss:", torch.equal(back, tiny_tensor))

# %% 4. Resize: one number or a pair
wide = next(picture for picture, _ in pictures if picture.width > picture.height)
tall = next(picture for picture, _ in pictures if picture.height > picture.width)
for picture in (wide, tall):
    image = v2.ToImage()(picture)
    _, height, width = image.shape
    short = min(height, width)
    by_hand = (64 * height // short, 64 * width // short)
    print(f"{height}x{width}: Resize(64) by hand {by_hand}, by v2 {tuple(v2.Resize(64)(image).shape[1:])}")
    print(f"{height}x{width}: Resize((64, 64)) {tuple(v2.Resize((64, 64))(image).shape[1:])}")

views = {
    "as it is": tall,
    "Resize(64)": v2.Resize(64)(tall),
    "Resize((64, 64))": v2.Resize((64, 64))(tall),
    "Resize(64), then\nCenterCrop(64)": v2.CenterCrop(64)(v2.Resize(64)(tall)),
}
fig, ax = plt.subplots(figsize=(8, 4.1), layout="constrained")
left = 0
for name, picture in views.items():  # all on one pair of axes: one pixel is equally large in each of them
    ax.imshow(picture, extent=(left, left + picture.width, picture.height, 0), interpolation="nearest")
    ax.text(left, -6, f"{name}\n{picture.height} rows x {picture.width}", va="bottom", fontsize=11)
    left += max(picture.width, 90) + 20
ax.set(
    xlim=(-4, left),
    ylim=(196, -52),  # the names stand above the pictures
    xticks=[],
    yticks=[0, 64, views["Resize(64)"].height, tall.height],
)
ax.set_ylabel("rows of pixels", y=0.4)
ax.grid(axis="y", color="#999999", alpha=0.5)
ax.set_frame_on(False)
fig.savefig(output_dir("Course03-Transforms") / "resize.png", dpi=110)

# %% 5. Compose: a chain of transforms
to_48 = v2.Compose(
    [
        v2.ToImage(),
        v2.Resize(54),
        v2.CenterCrop(48),
        v2.ToDtype(torch.float32, scale=True),
    ]
)
item = tall
print(f"{'start':10} PIL picture, width and height {item.size}")
for step in to_48.transforms:
    item = step(item)
    print(f"{type(step).__name__:10} {tuple(item.shape)} {item.dtype}")
print("the chain in one call gives the same:", torch.equal(to_48(tall), item))

# All pictures through the chain: now they have one size and can be stacked.
train_images = torch.stack([to_48(picture) for picture, _ in pictures])
train_labels = torch.tensor(pictures.targets)  # (120,)
print("stacked:", tuple(train_images.shape))

# %% 6. Normalize, by hand
pixel = torch.tensor([0.0, 0.25, 1.0]).reshape(3, 1, 1)  # one pixel: red 0, green 0.25, blue 1
half = v2.Normalize(mean=[0.5, 0.5, 0.5], std=[0.5, 0.5, 0.5])
by_hand = (pixel - 0.5) / 0.5
print("before    ", pixel.flatten().tolist())
print("Normalize ", half(pixel).flatten().tolist())
print("by hand   ", by_hand.flatten().tolist())
print("and back  ", (by_hand * 0.5 + 0.5).flatten().tolist())

# %% 7. Measure the mean and the standard deviation
mean = train_images.mean(dim=(0, 2, 3))  # (120, 3, 48, 48) -> (3,): over pictures, rows and columns
std = train_images.std(dim=(0, 2, 3))
print("mean:", " ".join(f"{x:.2f}" for x in mean))
print("std: ", " ".join(f"{x:.2f}" for x in std))
normalize = v2.Normalize(mean.tolist(), std.tolist())
normalized = normalize(train_images)
print(f"normalised: mean {normalized.mean().abs():.1f}, std {normalized.std():.1f}")
print("still in 0...1:", bool((normalized >= 0).all() and (normalized <= 1).all()))

# %% 8. Random transforms: flip, crop, colour, hole
arrow = torch.tensor([[[1, 2, 3], [4, 5, 6]]])  # (1, 2, 3)
print("as it is       ", arrow[0].tolist())
print("horizontal flip", v2.RandomHorizontalFlip(p=1)(arrow)[0].tolist())
flip = v2.RandomHorizontalFlip(p=0.3)
flipped = sum(not torch.equal(flip(arrow), arrow) for _ in range(1000))
print(f"p=0.3: {flipped} of 1000 were flipped")

bee_path = pictures.samples[pictures.targets.index(1)][0]  # class 1: bees
bee = pictures.loader(bee_path)  # PIL
bee_48 = to_48(bee)  # (3, 48, 48)
page = {
    "RandomHorizontalFlip()": v2.RandomHorizontalFlip(),
    "RandomCrop(32)": v2.RandomCrop(32),
    "RandomCrop(48, padding=6)": v2.RandomCrop(48, padding=6),
    "ColorJitter(0.4, 0.4, 0.4, 0.1)": v2.ColorJitter(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1),
    "RandomErasing(p=1)": v2.RandomErasing(p=1),
}
fig, axes = plt.subplots(len(page), 6, figsize=(7, 7), layout="constrained")
for row, (name, transform) in zip(axes, page.items(), strict=True):
    for ax, image in zip(row, [bee_48] + [transform(bee_48) for _ in range(5)], strict=True):
        # matplotlib wants the channels last: (3, H, W) -> (H, W, 3)
        ax.imshow(image.permute(1, 2, 0).numpy(), interpolation="nearest")
        ax.axis("off")
    row[1].set_title(name, fontsize=11, loc="left")
axes[0, 0].set_title("as it is", fontsize=11, loc="left")
fig.savefig(output_dir("Course03-Transforms") / "every_transform.png", dpi=100)

# %% 9. What goes on train, what on test
train_transform = v2.Compose(
    [
        v2.ToImage(),
        v2.Resize(54),
        v2.RandomCrop(48),
        v2.RandomHorizontalFlip(),
        v2.ColorJitter(brightness=0.3, contrast=0.3, saturation=0.3, hue=0.05),
        v2.ToDtype(torch.float32, scale=True),
        normalize,
        v2.RandomErasing(p=0.3),  # after Normalize: its zeros are now the mean colour
    ]
)
test_transform = v2.Compose([to_48, normalize])
train_set = ants_bees("train", train_transform)
test_set = ants_bees("val", test_transform)
print("train: picture 0 twice, equal:", torch.equal(train_set[0][0], train_set[0][0]))
print("test:  picture 0 twice, equal:", torch.equal(test_set[0][0], test_set[0][0]))

shown = range(0, len(train_set), len(train_set) // 4)[:4]
fig, axes = plt.subplots(len(shown), 6, figsize=(7, 5.1), layout="constrained")
for row, i in zip(axes, shown, strict=True):
    for ax, image in zip(row, [test_transform(pictures[i][0])] + [train_set[i][0] for _ in range(5)], strict=True):
        image = (image * std[:, None, None] + mean[:, None, None]).clamp(0, 1)  # undo Normalize to look at it
        ax.imshow(image.permute(1, 2, 0).numpy(), interpolation="nearest")
        ax.axis("off")
axes[0, 0].set_title("test", fontsize=11)
for visit, ax in enumerate(axes[0, 1:], start=1):
    ax.set_title(f"visit {visit}", fontsize=11)
fig.savefig(output_dir("Course03-Transforms") / "train_and_test.png", dpi=100)

# %% 10. Break it: Normalize before 0…1
bee_bytes = v2.ToImage()(bee)  # uint8, 0...255
try:
    normalize(bee_bytes)
except TypeError as error:
    print("TypeError:", error)
silenced = normalize(bee_bytes.float())  # no message
right = normalize(v2.ToDtype(torch.float32, scale=True)(bee_bytes))
print(f"with .float(): red varies {silenced[0].std() / right[0].std():.0f} times too much")
print("in the right order all of it lies in -5...5:", bool(right.abs().max() < 5))

# %% 11. Break it: one number, then a batch
try:
    torch.stack([v2.Resize(64)(v2.ToImage()(picture)) for picture in (wide, tall)])
except RuntimeError as error:
    print("RuntimeError:", error)

# ---- Second reading --------------------------------------------------------------------------------------------------

# %% 12. The same transform at training and at test time
# The simplest classifier there is: the mean ant, the mean bee; a new picture gets the class of the nearer one.
mean_pictures = torch.stack([normalized[train_labels == label].mean(dim=0) for label in (0, 1)])  # (2, 3, 48, 48)


def classify(image):
    """The class whose mean picture is nearer: the smaller sum of squared differences of all numbers."""
    distances = ((mean_pictures - image) ** 2).sum(dim=(1, 2, 3))  # (2, 3, 48, 48) -> (2,)
    return distances.argmin().item()


def accuracy(images):
    """The share of the test pictures that get their own class."""
    answers = [classify(image) for image in images]
    return sum(answer == label for answer, label in zip(answers, test_set.targets, strict=True)) / len(images)


test_images = torch.stack([image for image, _ in test_set])  # (80, 3, 48, 48), normalised like the training pictures
not_normalized = test_images * std[:, None, None] + mean[:, None, None]  # 0...1, Normalize forgotten
print(f"the same transform:  {accuracy(test_images):.0%}")
print(f"Normalize forgotten: {accuracy(not_normalized):.0%}")
print(f"bytes, 0...255:      {accuracy(not_normalized * 255):.0%}")
print("answers without Normalize:", {classify(image) for image in not_normalized})

# %% 13. One file, three libraries
# cv2.imread(path) cannot open a path with 中文 in it on Windows; reading the bytes and decoding them works everywhere.
file = io.BytesIO()
tiny.save(file, "PNG")
bgr = cv2.imdecode(np.frombuffer(file.getvalue(), np.uint8), cv2.IMREAD_COLOR)
print("the red pixel, PIL:", tiny.getpixel((0, 0)), "OpenCV:", bgr[0, 0].tolist())

bee_bgr = cv2.imdecode(np.frombuffer(Path(bee_path).read_bytes(), np.uint8), cv2.IMREAD_COLOR)
bee_rgb = cv2.cvtColor(bee_bgr, cv2.COLOR_BGR2RGB)
print("PIL", bee.size, "OpenCV", bee_bgr.shape, "tensor", tuple(v2.ToImage()(bee).shape))
for name, other in (("as it comes", bee_bgr), ("after cvtColor", bee_rgb)):
    difference = np.abs(np.asarray(bee).astype(int) - other).mean()
    print(f"OpenCV's picture {name}: the same as PIL's: {difference < 2}")  # two JPEG decoders may round differently

# %% 14. Break it: OpenCV's BGR shown as RGB
fig, axes = plt.subplots(1, 4, figsize=(8, 1.8), layout="constrained")
for ax, picture in zip(axes, (array, bgr, bee_rgb, bee_bgr), strict=True):
    ax.imshow(picture)
    ax.set(xticks=[], yticks=[])  # the frame stays: it shows where the white pixel ends
for ax, title in zip(axes, ["RGB: right", "BGR: wrong"] * 2, strict=True):
    ax.set_title(title, fontsize=11)
fig.savefig(output_dir("Course03-Transforms") / "bgr.png", dpi=110)
try:
    torch.from_numpy(bgr[:, :, ::-1])  # the channels backwards: right for NumPy, and PyTorch does not take it
except ValueError as error:
    print("ValueError:", str(error).split(", and")[0])

# %% 15. Shrinking, with and without antialias
lines = torch.zeros(1, 64, 64)
lines[:, ::4] = 1  # a bright line on every fourth row: a quarter of all pixels
for antialias in (True, False):
    small = v2.Resize(16, antialias=antialias)(lines)  # (1, 64, 64) -> (1, 16, 16)
    print(f"antialias={antialias}: mean brightness {lines.mean():.2f} -> {small.mean():.2f}")

fig, axes = plt.subplots(1, 3, figsize=(8, 2.4), layout="constrained")
axes[0].imshow(wide)
axes[0].set_title("as it is", fontsize=11)
for ax, antialias in zip(axes[1:], (True, False), strict=True):
    small = v2.Resize(32, antialias=antialias)(v2.ToImage()(wide))
    ax.imshow(small.permute(1, 2, 0).numpy(), interpolation="nearest")  # (3, 32, 42) -> (32, 42, 3)
    ax.set_title(f"Resize(32, antialias={antialias})", fontsize=11)
for ax in axes:
    ax.axis("off")
fig.savefig(output_dir("Course03-Transforms") / "antialias.png", dpi=100)

with warnings.catch_warnings(record=True, action="always") as caught:
    with_antialias, without = (v2.Resize(32, antialias=choice)(wide) for choice in (True, False))
print("a PIL picture, antialias or not, same result:", with_antialias.tobytes() == without.tobytes())
print(f"{caught[0].category.__name__}: {caught[0].message}")

# %% 16. Two numbers that are called std
mean_of_stds = train_images.std(dim=(2, 3)).mean(dim=0)  # (120, 3, 48, 48) -> (120, 3) -> (3,)
print("std of all pixels        ", " ".join(f"{x:.2f}" for x in std))
print("mean of the pictures' std", " ".join(f"{x:.2f}" for x in mean_of_stds))

# %% 17. Random crops, counted
numbered = torch.arange(54 * 54).reshape(1, 54, 54)  # every pixel holds its own number, so a crop tells where it began
crop = v2.RandomCrop(48)
corners = {crop(numbered)[0, 0, 0].item() for _ in range(2000)}
print("different crops:", len(corners))
padded_crop = v2.RandomCrop(48, padding=6)  # adds 6 black pixels on every side, then cuts 48x48 out of 60x60
print("size 48 stays 48:", tuple(padded_crop(train_images[0]).shape))
with SummaryWriter(fresh_log_dir("Course03-Transforms")) as writer:
    for step in range(10):
        writer.add_image("RandomCrop with padding", padded_crop(train_images[0]), step)
print("logged 10 crops of one picture")

# %% 18. Random colours and holes, measured
jitter = v2.ColorJitter(brightness=0.4)
plain = torch.full((3, 8, 8), 0.5)
levels = torch.tensor([jitter(plain).mean() for _ in range(1000)])
print(f"brightness=0.4: 0.5 became {levels.min():.1f} ... {levels.max():.1f}")
erase = v2.RandomErasing(p=0.5)
ones = torch.ones(3, 48, 48)
holes = torch.stack([(erase(ones) == 0).float().mean() for _ in range(1000)])  # the share of each picture that is gone
print(f"p=0.5: {(holes > 0).sum()} of 1000 have a hole")
print(f"a hole covers {holes[holes > 0].min():.0%} ... {holes.max():.0%} of the picture")

erased = v2.RandomErasing(p=1)(bee)  # a PIL picture: v2 takes it, and returns a PIL picture with a black hole
hole = (np.asarray(erased) != np.asarray(bee)).any(axis=2).mean()
print(f"v2.RandomErasing made a hole in a PIL picture: {isinstance(erased, Image.Image) and hole > 0}")
try:
    transforms.RandomErasing(p=1)(bee)
except AttributeError as error:
    print("the old one: AttributeError:", error)

# %% 19. The old ToTensor
old = transforms.ToTensor()(tiny)  # on purpose
print("ToTensor gives the same:", torch.equal(old, scaled))
with warnings.catch_warnings(record=True, action="always") as caught:
    v2.ToTensor()  # on purpose
print(f"v2.ToTensor: {caught[0].category.__name__}: {str(caught[0].message).split('. ')[0]}.")
try:
    transforms.ToTensor()(tiny_tensor)  # on purpose
except TypeError as error:
    print("TypeError:", error)
# The old way beside the new one, on purpose.
for to_float in (transforms.ToTensor(), v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])):
    print("a float array with 0...255 stays as it is:", to_float(array.astype(np.float32)).max().item())

# %% 20. Break it: channels last where channels first are wanted
channels_last = torch.from_numpy(bee_rgb)  # (H, W, 3)
print("Resize((64, 64)) of", tuple(channels_last.shape), "is", tuple(v2.Resize((64, 64))(channels_last).shape))
print("ToImage of that tensor:", tuple(v2.ToImage()(channels_last).shape))
print("ToImage of the array:  ", tuple(v2.ToImage()(bee_rgb).shape))
try:
    normalize(torch.rand(64, 64, 3))
except RuntimeError as error:
    print("RuntimeError:", error)

# %% 21. Break it: ToDtype without ToImage
forgotten = v2.Compose([v2.Resize((64, 64)), v2.ToDtype(torch.float32, scale=True)])(bee)
print("what comes out:", type(forgotten).__module__, "in", forgotten.mode)

# %% 22. Break it: a lambda in a transform
try:
    pickle.dumps(v2.Compose([v2.ToImage(), lambda image: 255 - image]))
except pickle.PicklingError as error:
    print("PicklingError:", str(error).split(" at 0x")[0])


def negative(image):
    """Bright becomes dark. It has a name, so a different process can find it again."""
    return 255 - image


with_name = v2.Compose([v2.ToImage(), negative])
again = pickle.loads(pickle.dumps(with_name))
print("with a name, there and back:", torch.equal(again(tiny), with_name(tiny)))
