"""Course 16 · ModifyNN — how do I reuse a network that others trained?

Run   python Course16-ModifyNN/modify_nn.py
See   outputs/Course16-ModifyNN        (the figures that the notes show)
Read  notes.md, whose sections carry the numbers of the cells below
"""

# %% 1. Setup
import copy
import json
import tempfile
import textwrap
import warnings
from pathlib import Path
from statistics import mean

import matplotlib.pyplot as plt
import torch
from torch import nn
from torchvision.models import ResNet18_Weights, ResNet50_Weights, VGG16_Weights, resnet18, vgg16, vgg19

from common.data import ants_bees, in_memory, open_data
from common.models import count_parameters, make_model
from common.paths import REPOSITORY, output_dir
from common.pretrained import load_course_network

lesson = "Course16-ModifyNN"


def some_of_each(labels, count, seed):
    """The indices of `count` pictures of each class, chosen at random: (N,) -> (10 * count,)."""
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    return torch.cat([order[labels[order] == label][:count] for label in range(10)])


# Never the real CIFAR-10, even if you have it: the network of section 5 was trained with it.
drawn_train, drawn_test = open_data("drawn", "train"), open_data("drawn", "test")
(all_bytes, all_labels), (test_bytes, test_labels) = in_memory(drawn_train), in_memory(drawn_test)
few, others = some_of_each(all_labels, 10, seed=0), some_of_each(test_labels, 20, seed=0)
train_bytes, train_labels = all_bytes[few], all_labels[few]  # (100, 3, 32, 32), (100,)
test_bytes, test_labels = test_bytes[others], test_labels[others]  # (200, 3, 32, 32), (200,)
print(len(few), "drawings to learn from,", len(others), "to test with:", *drawn_train.classes[:4], "…")

# %% 2. Read VGG16 without using memory
with torch.device("meta"):  # every tensor made here has a shape and a dtype, but no numbers and no memory
    vgg = vgg16(weights=None)
for name, part in vgg.named_children():
    print(f"{name:10} {type(part).__name__:17} parameters {count_parameters(part):11,}")
print(f"in all     {type(vgg).__name__:17} parameters {count_parameters(vgg):11,}")
print(vgg.classifier)

# %% 3. Shapes through VGG16
picture = torch.empty(1, 3, 224, 224, device="meta")
maps = picture
for layer in vgg.features:  # 31 layers: convolutions that keep the size, ReLUs, five pools that halve it
    maps = layer(maps)
    if isinstance(layer, nn.MaxPool2d):
        print("after a pool", tuple(maps.shape))
for side in (32, 224, 500):
    maps = vgg.features(torch.empty(1, 3, side, side, device="meta"))
    print(f"{side} px: features {tuple(maps.shape)}, avgpool {tuple(vgg.avgpool(maps).shape)}")

# %% 4. Add a layer, or replace the last one
vgg.add_module("extra", nn.Linear(1000, 10, device="meta"))
print("added to the network:   ", tuple(vgg(picture).shape), f"parameters {count_parameters(vgg):,}")
del vgg.extra
vgg.classifier.add_module("7", nn.Linear(1000, 10, device="meta"))
print("added to the classifier:", tuple(vgg(picture).shape), f"parameters {count_parameters(vgg):,}")
del vgg.classifier[7]

in_features = vgg.classifier[6].in_features  # asked, not typed: 4096
vgg.classifier[6] = nn.Linear(in_features, 10, device="meta")
print("replaced:               ", tuple(vgg(picture).shape), f"parameters {count_parameters(vgg):,}")

# %% 5. Random or trained weights
for weights in (VGG16_Weights.DEFAULT, ResNet18_Weights.DEFAULT):
    facts = weights.meta
    accuracy = facts["_metrics"]["ImageNet-1K"]["acc@1"]
    print(f"{weights}: {len(facts['categories'])} classes, {facts['_file_size']:.0f} MB, accuracy {accuracy:.1f}")

course = load_course_network()
model, classes = course.trained.model, course.trained.classes  # a ResNet-20, in eval mode
center, spread = (torch.tensor(numbers).view(3, 1, 1) for numbers in (course.trained.mean, course.trained.std))
train_images, test_images = ((images / 255 - center) / spread for images in (train_bytes, test_bytes))
print(f"ours: {len(classes)} classes, accuracy {100 * course.accuracy:.1f} on {course.test_pictures:,} photographs")


def accuracy_of(logits, labels):
    return (logits.argmax(dim=1) == labels).float().mean().item()


torch.manual_seed(16)
untrained = make_model("resnet20").eval()  # the same network with random weights
answers = {}  # what was trained -> logits for the test drawings, (200, 10)
with torch.no_grad():
    answers["nothing, random weights"] = untrained(test_images)
    answers["nothing, trained weights"] = model(test_images)
for name, logits in answers.items():
    most = logits.argmax(dim=1).bincount().max() / len(logits)
    print(f"{name}: {accuracy_of(logits, test_labels):.0%} right; its favourite answer is given to {most:.0%}")

# %% 6. Freeze it, then give it a new head
print([name for name, _ in model.named_children()])
print("fc", model.fc, f"parameters that learn {count_parameters(model):,}")
for p in model.parameters():
    p.requires_grad_(False)
print(f"frozen:   parameters that learn {count_parameters(model):,}")
model.fc = nn.Linear(model.fc.in_features, len(classes))
print(f"new head: parameters that learn {count_parameters(model):,} of {sum(p.numel() for p in model.parameters()):,}")


# %% 7. Train the head
def features_of(network, images):
    """What arrives at the head, without it: (N, 3, 32, 32) -> (N, 64)."""
    with torch.no_grad():  # 50 at a time, which is faster than all at once: less memory to fill
        return torch.cat([network.stages(network.stem(part)).mean(dim=(2, 3)) for part in images.split(50)])


def train_head(head, features, labels, steps=100):
    """Train one linear layer on features that were computed once; every step sees all of them."""
    optimizer = torch.optim.Adam(head.parameters(), lr=0.03)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = loss_fn(head(features), labels)
        loss.backward()
        optimizer.step()


loss_fn = nn.CrossEntropyLoss()
frozen_before = {name: value.clone() for name, value in model.state_dict().items()}
train_features, test_features = features_of(model, train_images), features_of(model, test_images)
train_head(model.fc, train_features, train_labels)
changed = [name for name, value in model.state_dict().items() if not torch.equal(value, frozen_before[name])]
print("changed by training:", changed)

train_head(untrained.fc, features_of(untrained, train_images), train_labels)
with torch.no_grad():
    answers["head, on random weights"] = untrained.fc(features_of(untrained, test_images))
    answers["head, on trained weights"] = model.fc(test_features)
for name in ("head, on random weights", "head, on trained weights"):
    print(f"{name}: {accuracy_of(answers[name], test_labels):.0%} right")

belief = answers["head, on trained weights"].softmax(dim=1)  # (200, 10)
fig, axes = plt.subplots(2, 5, figsize=(8, 3.9), layout="constrained")
for ax, i in zip(axes.flat, range(0, 200, 20), strict=True):  # the first one of each class
    guess = belief[i].argmax().item()
    ax.imshow(test_bytes[i].permute(1, 2, 0).numpy(), interpolation="nearest")
    colour = "#0072B2" if guess == test_labels[i] else "#D55E00"
    ax.set_title(f"{classes[guess]} {belief[i, guess]:.0%}", fontsize=14, color=colour)
    ax.axis("off")
fig.savefig(output_dir(lesson) / "guesses.png", dpi=100)


# %% 8. Train everything: from trained and from random weights
def train_everything(network, lr, epochs=3):
    """Five steps of 20 drawings an epoch; every parameter learns. Logits for the test drawings, (200, 10)."""
    optimizer = torch.optim.Adam(network.parameters(), lr=lr)
    network.train()
    for _ in range(epochs):
        for batch in torch.randperm(len(train_labels)).split(20):
            optimizer.zero_grad()
            loss = loss_fn(network(train_images[batch]), train_labels[batch])
            loss.backward()
            optimizer.step()
    network.eval()
    with torch.no_grad():
        return network(test_images)


fine_tuned = copy.deepcopy(model)  # with the head that has learned; the frozen network stays as it is
for p in fine_tuned.parameters():
    p.requires_grad_(True)
print(f"thawed: parameters that learn {count_parameters(fine_tuned):,}")
answers["everything, from random weights"] = train_everything(make_model("resnet20"), lr=0.003)
answers["everything, from trained weights"] = train_everything(fine_tuned, lr=0.001)  # smaller, to keep what is good
for name in ("everything, from random weights", "everything, from trained weights"):
    print(f"{name}: {accuracy_of(answers[name], test_labels):.0%} right")

# %% 9. Five seeds, and more pictures
measured = json.loads((REPOSITORY / lesson / "measured" / "transfer.json").read_text(encoding="utf-8"))
ways = measured["accuracies"]  # way -> pictures of each class -> an accuracy for each seed
print(f"{'drawings of each class':24}", *(f"{count:>4}" for count in ways["from scratch"]))
for way, by_count in ways.items():
    print(f"{way:24}", *(f"{mean(accuracies):4.0%}" for accuracies in by_count.values()))

# %% 10. Break it: Linear(1000, 10) where 4096 numbers come in
wrong = nn.Linear(1000, 10)
arriving = torch.zeros(1, 4096)  # what the layer before, classifier[3], gives to classifier[6]
try:
    wrong(arriving)
except RuntimeError as error:
    print("RuntimeError:", str(error).removeprefix("addmm: "))  # newer versions name the operation first

# %% 11. Break it: everything frozen, in two modes
for p in model.parameters():
    p.requires_grad_(False)
for mode in ("eval", "train"):
    model.train(mode == "train")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():
        for batch in train_images.split(10):
            model(batch)
    changed = [name for name, value in model.state_dict().items() if not torch.equal(value, before[name])]
    print(f"{mode}: {len(changed)} of {len(before)} entries changed", sorted({name.split(".")[-1] for name in changed}))
with torch.no_grad():
    drifted = model.eval()(test_images)
before_drift, after = (accuracy_of(logits, test_labels) for logits in (answers["head, on trained weights"], drifted))
print(f"new drawings that are right: {before_drift:.0%} before, {after:.0%} after")

# ---- Second reading --------------------------------------------------------------------------------------------------

# %% 12. VGG19, and what the number counts
with torch.device("meta"):
    large = {"VGG16": vgg16(weights=None), "VGG19": vgg19(weights=None), "ResNet-18": resnet18(weights=None)}
layers = {}
for name, network in large.items():
    kinds = [type(layer) for layer in network.modules()]
    shortcuts = sum(path.endswith("downsample") for path, _ in network.named_modules())
    layers[name] = kinds.count(nn.Conv2d) - shortcuts, kinds.count(nn.Linear)
    print(
        f"{name:9} {layers[name][0]} convolutions + {layers[name][1]} linear, {count_parameters(network):,} parameters"
    )

# %% 13. The weights called DEFAULT, and where the file goes
print('weights="DEFAULT" means', ResNet18_Weights["DEFAULT"])
print("and for ResNet-50      ", ResNet50_Weights["DEFAULT"], "of", [str(w).split(".")[1] for w in ResNet50_Weights])
print("it would come from     ", Path(ResNet18_Weights.DEFAULT.url).parent.as_posix().replace("https:/", "https://"))
print("as the file            ", Path(ResNet18_Weights.DEFAULT.url).name)

# %% 14. Break it: pretrained=True
kept = torch.hub.get_dir()
with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    torch.hub.set_dir(folder)  # an empty cache, into which we put weights of our own under the trained ones' name
    (Path(folder) / "checkpoints").mkdir()
    ours = resnet18(weights=None).state_dict()
    torch.save(ours, Path(folder) / "checkpoints" / Path(ResNet18_Weights.IMAGENET1K_V1.url).name)
    old_call = resnet18(pretrained=True)  # on purpose
    torch.hub.set_dir(kept)
for warning in caught:
    print(textwrap.fill(f"{warning.category.__name__}: {warning.message}", 80, subsequent_indent="    "))
print("it took what lay under that name:", torch.equal(old_call.conv1.weight, ours["conv1.weight"]))

# %% 15. Break it: the optimizer was built before the head was replaced
for order in ("optimizer, then head", "head, then optimizer"):
    small = nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 1000))
    if order == "head, then optimizer":
        small[2] = nn.Linear(16, 10)
    optimizer = torch.optim.SGD(small.parameters(), lr=0.1)
    if order == "optimizer, then head":
        small[2] = nn.Linear(16, 10)
    as_made = small[2].weight.detach().clone()
    loss_fn(small(train_features), train_labels).backward()
    optimizer.step()
    print(f"{order}: the new head moved: {not torch.equal(small[2].weight, as_made)}")

# %% 16. Look: what does the network take for what?
shown = {"nothing, trained weights": "its own head", "head, on trained weights": "a new head"}
fig, axes = plt.subplots(1, 2, figsize=(9, 5.4), layout="constrained", sharey=True)
for ax, (name, title) in zip(axes, shown.items(), strict=True):
    confusion = torch.zeros(10, 10, dtype=torch.int64)
    for label, guess in zip(test_labels, answers[name].argmax(dim=1), strict=True):
        confusion[label, guess] += 1  # row: what it is; column: what the network answers
    ax.imshow(confusion.numpy(), cmap="Blues", vmin=0, vmax=20)
    for (row, column), count in zip(torch.cartesian_prod(*[torch.arange(10)] * 2), confusion.flatten(), strict=True):
        if count:
            ax.text(column, row, count.item(), ha="center", va="center", color="white" if count > 10 else "black")
    ax.set_title(f"{title}: {accuracy_of(answers[name], test_labels):.0%}", fontsize=14)
    ax.set_xticks(range(10), classes, rotation=60, ha="right", rotation_mode="anchor", fontsize=12)
    ax.set_yticks(range(10), classes, fontsize=12)
    ax.set_xlabel("the network answers", fontsize=12)
axes[0].set_ylabel("it is", fontsize=12)
fig.savefig(output_dir(lesson) / "confusions.png", dpi=100)
print("each row adds up to", confusion.sum(dim=1).unique().tolist(), "drawings")

# %% 17. Ants and bees: two new classes
insects, more_insects = ants_bees("train"), ants_bees("val")
insect_sets = in_memory(insects), in_memory(more_insects)
(learn_images, learn_labels), (val_images, val_labels) = (((x / 255 - center) / spread, y) for x, y in insect_sets)
unspoiled = load_course_network().trained.model  # as the file has it, because section 11 has spoiled the other one
for name, backbone in (("random", make_model("resnet20").eval()), ("trained", unspoiled)):
    head = nn.Linear(64, len(insects.classes))
    train_head(head, features_of(backbone, learn_images), learn_labels)
    right = accuracy_of(head(features_of(backbone, val_images)), val_labels)
    print(f"head, on {name} weights: {right:.0%} of {len(val_labels)} new pictures are right")


# %% 18. ResNet-18, with ImageNet's weights
def cached(weights):
    """The weights if their file was downloaded before, else None: nothing is ever downloaded here."""
    name = str(weights).split("_Weights")[0]
    found = (Path(torch.hub.get_dir()) / "checkpoints" / Path(weights.url).name).is_file()
    print(f"{name}: {'trained weights, from the cache' if found else 'random weights, no trained ones in the cache'}")
    return weights if found else None


prepare = ResNet18_Weights.DEFAULT.transforms()  # how pictures are prepared for these weights
print("its weights know pictures of", prepare.crop_size[0], "pixels, mean", prepare.mean, "std", prepare.std)
size = 64  # pixels, because 224 take twelve times as long
imagenet_mean, imagenet_std = (torch.tensor(numbers).view(3, 1, 1) for numbers in (prepare.mean, prepare.std))
large_sets = in_memory(insects, size), in_memory(more_insects, size)
(learn_images, learn_labels), (val_images, val_labels) = (
    ((x / 255 - imagenet_mean) / imagenet_std, y) for x, y in large_sets
)  # (N, 3, 64, 64)

trained_weights = cached(ResNet18_Weights.DEFAULT)
resnet = resnet18(weights=trained_weights).eval()
for p in resnet.parameters():
    p.requires_grad_(False)
resnet.fc = nn.Linear(resnet.fc.in_features, len(insects.classes))
print(f"parameters that learn {count_parameters(resnet):,} of {sum(p.numel() for p in resnet.parameters()):,}")
backbone = nn.Sequential(*list(resnet.children())[:-1], nn.Flatten())  # all but fc: (N, 3, 64, 64) -> (N, 512)
train_head(resnet.fc, backbone(learn_images), learn_labels)
right = accuracy_of(resnet.fc(backbone(val_images)), val_labels)
print(f"head trained: {right:.0%} of {len(val_labels)} new pictures are right")
