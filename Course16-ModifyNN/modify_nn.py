"""Course 16 · ModifyNN — how do I reuse a network that others trained?

Run   python Course16-ModifyNN/modify_nn.py
See   outputs/Course16-ModifyNN        (the figures that the notes show)
Read  notes.md, whose sections carry the numbers of the cells below
"""

# %% 1. Setup
import tempfile
import textwrap
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from torch import nn
from torchvision.models import ResNet18_Weights, ResNet50_Weights, VGG16_Weights, resnet18, vgg16, vgg19

from common.data import ants_bees, in_memory
from common.models import count_parameters
from common.paths import output_dir

lesson = "Course16-ModifyNN"
size = 64  # pixels; the trained weights know 224, which takes twelve times as long

train_set, val_set = ants_bees("train"), ants_bees("val")
prepare = ResNet18_Weights.DEFAULT.transforms()  # how pictures are prepared for the trained weights
mean, std = torch.tensor(prepare.mean).view(3, 1, 1), torch.tensor(prepare.std).view(3, 1, 1)
(train_bytes, train_labels), (val_bytes, val_labels) = in_memory(train_set, size), in_memory(val_set, size)
train_images, val_images = (train_bytes / 255 - mean) / std, (val_bytes / 255 - mean) / std  # (N, 3, 64, 64)
print("the trained weights know pictures of", prepare.crop_size[0], "pixels; ours have", size)
print("mean", prepare.mean, "std", prepare.std)

# %% 2. Read VGG16 without using memory
with torch.device("meta"):  # every tensor made here has a shape and a dtype, but no numbers and no memory
    vgg = vgg16(weights=None)
for name, part in vgg.named_children():
    print(f"{name:10} {type(part).__name__:17} parameters {count_parameters(part):11,}")
print(f"in all     {type(vgg).__name__:17} parameters {count_parameters(vgg):11,}")
print(vgg.classifier)
print("first linear layer:", vgg.classifier[0].weight.numel(), "weights =", 4096, "*", 512, "* 7 * 7")

# %% 3. Shapes through VGG16
picture = torch.empty(1, 3, 224, 224, device="meta")
maps = picture
for layer in vgg.features:  # 31 layers: convolutions that keep the size, ReLUs, five pools that halve it
    maps = layer(maps)
    if isinstance(layer, nn.MaxPool2d):
        print("after a pool", tuple(maps.shape))
for side in (32, 64, 224, 500):
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
def cached(weights):
    """The weights if their file was downloaded before, else None: nothing is ever downloaded here."""
    name = str(weights).split("_Weights")[0]
    found = (Path(torch.hub.get_dir()) / "checkpoints" / Path(weights.url).name).is_file()
    print(f"{name}: {'trained weights, from the cache' if found else 'random weights, no trained ones in the cache'}")
    return weights if found else None


for weights in (VGG16_Weights.DEFAULT, ResNet18_Weights.DEFAULT):
    facts = weights.meta
    accuracy = facts["_metrics"]["ImageNet-1K"]["acc@1"]
    print(f"{weights}: {len(facts['categories'])} classes, {facts['_file_size']:.0f} MB, accuracy {accuracy:.1f}")

torch.manual_seed(16)
trained_weights = cached(ResNet18_Weights.DEFAULT)
model = resnet18(weights=trained_weights).eval()
with torch.no_grad():
    probabilities = model(val_images).softmax(dim=1)  # (N, 1000)
favourites = probabilities.argmax(dim=1)  # (N,)
share = (favourites == favourites.mode().values).float().mean()
print(f"one of its 1000 classes is its answer to {share:.0%} of the pictures")

# %% 6. ResNet-18: freeze it, then give it a new head
print([name for name, _ in model.named_children()])
print("fc", model.fc, f"parameters that learn {count_parameters(model):,}")
for p in model.parameters():
    p.requires_grad_(False)
print(f"frozen:   parameters that learn {count_parameters(model):,}")
model.fc = nn.Linear(model.fc.in_features, len(train_set.classes))
print(f"new head: parameters that learn {count_parameters(model):,} of {sum(p.numel() for p in model.parameters()):,}")


# %% 7. Train the head
def cut(network):
    """A ResNet in two: up to layer3, and from layer4 to 512 numbers a picture. The head is left out."""
    parts = list(network.children())  # conv1, bn1, relu, maxpool, layer1, layer2, layer3 | layer4, avgpool | fc
    return nn.Sequential(*parts[:7]).eval(), nn.Sequential(*parts[7:9], nn.Flatten()).eval()


def fit_head(head, features, labels, steps=100):
    """Train one linear layer on features that were computed once; every step sees all of them."""
    optimizer = torch.optim.Adam(head.parameters(), lr=0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = loss_fn(head(features), labels)
        loss.backward()
        optimizer.step()
    return head


def accuracy_of(logits, labels):
    return (logits.argmax(dim=1) == labels).float().mean().item()


loss_fn = nn.CrossEntropyLoss()
trunk, last_block = cut(model)
with torch.no_grad():  # a frozen network gives the same answer each time: once is enough
    train_maps, val_maps = trunk(train_images), trunk(val_images)  # (N, 3, 64, 64) -> (N, 256, 4, 4)
    train_features, val_features = last_block(train_maps), last_block(val_maps)  # -> (N, 512)

frozen_before = {name: value.clone() for name, value in model.state_dict().items()}
answers = {}  # what was trained -> logits for the val pictures
with torch.no_grad():
    answers["nothing trained"] = model.fc(val_features)  # (N, 512) -> (N, 2)
fit_head(model.fc, train_features, train_labels)
changed = [name for name, value in model.state_dict().items() if not torch.equal(value, frozen_before[name])]
print("changed by training:", changed)
with torch.no_grad():
    answers["head trained"] = model.fc(val_features)
for name, logits in answers.items():
    print(f"{name}: {accuracy_of(logits, val_labels):.0%} of {len(val_labels)} new pictures are right")

# %% 8. Thaw the last block
for p in model.layer4.parameters():
    p.requires_grad_(True)
print(f"parameters that learn {count_parameters(model):,}")
still_learning = [p for p in model.parameters() if p.requires_grad]
optimizer = torch.optim.SGD(still_learning, lr=0.0001, momentum=0.9)  # small steps, to keep what is good already
for _ in range(3):  # epochs
    for batch in torch.randperm(len(train_labels)).split(20):
        optimizer.zero_grad()
        loss = loss_fn(model.fc(last_block(train_maps[batch])), train_labels[batch])  # the trunk is not needed again
        loss.backward()
        optimizer.step()
with torch.no_grad():
    answers["last block too"] = model.fc(last_block(val_maps))
print(f"last block too: {accuracy_of(answers['last block too'], val_labels):.0%}")

belief = answers["last block too"].softmax(dim=1)  # (N, 2)
fig, axes = plt.subplots(2, 4, figsize=(8, 4.8), layout="constrained")
shown = [*range(4), *range(len(val_set) - 4, len(val_set))]  # ImageFolder sorts: ants first, bees last
for ax, i in zip(axes.flat, shown, strict=True):
    guess = belief[i].argmax().item()
    ax.imshow(val_bytes[i].permute(1, 2, 0).numpy(), interpolation="nearest")
    right = guess == val_labels[i]
    colour = "#0072B2" if right else "#D55E00"
    ax.set_title(f"{val_set.classes[guess]} {belief[i, guess]:.0%}", fontsize=15, color=colour)
    ax.axis("off")
fig.savefig(output_dir(lesson) / "guesses.png", dpi=90)

# %% 9. Break it: Linear(1000, 10) where 4096 numbers come in
wrong = nn.Linear(1000, 10)
arriving = torch.zeros(1, 4096)  # what the layer before, classifier[3], gives to classifier[6]
try:
    wrong(arriving)
except RuntimeError as error:
    print("RuntimeError:", str(error).removeprefix("addmm: "))  # newer versions name the operation first

# %% 10. Break it: everything frozen, in two modes
for p in model.parameters():
    p.requires_grad_(False)
for mode in ("eval", "train"):
    model.train(mode == "train")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():
        for batch in train_images.split(20):
            model(batch)
    changed = [name for name, value in model.state_dict().items() if not torch.equal(value, before[name])]
    print(f"{mode}: {len(changed)} of {len(before)} entries changed", sorted({name.split(".")[-1] for name in changed}))
with torch.no_grad():
    drifted = model.eval()(val_images)
before_drift, after = (accuracy_of(logits, val_labels) for logits in (answers["last block too"], drifted))
print(f"new pictures that are right: {before_drift:.0%} before, {after:.0%} after")

# ---- Second reading --------------------------------------------------------------------------------------------------

# %% 11. Look: what does the network take for what?
if trained_weights is not None:  # then show, beside it, what random weights would have made of the same pictures
    trunk, last_block = cut(resnet18(weights=None))
    with torch.no_grad():
        train_features, val_features = last_block(trunk(train_images)), last_block(trunk(val_images))
    head = fit_head(nn.Linear(512, 2), train_features, train_labels)
    answers = {"random weights, head trained": head(val_features).detach()} | answers

fig, axes = plt.subplots(1, len(answers), figsize=(3 * len(answers), 3.2), layout="constrained")
for ax, (name, logits) in zip(axes, answers.items(), strict=True):
    confusion = torch.zeros(2, 2, dtype=torch.int64)
    for label, guess in zip(val_labels, logits.argmax(dim=1), strict=True):
        confusion[label, guess] += 1  # row: what it is; column: what the network answers
    shares = confusion / confusion.sum(dim=1, keepdim=True)
    ax.imshow(shares.numpy(), cmap="Blues", vmin=0, vmax=1)
    for row in range(2):
        for column in range(2):
            colour = "white" if shares[row, column] > 0.5 else "black"
            ax.text(column, row, confusion[row, column].item(), ha="center", va="center", color=colour, fontsize=16)
    ax.set(title=f"{name}: {accuracy_of(logits, val_labels):.0%}", xticks=[0, 1], yticks=[0, 1])
    ax.set_xticklabels(val_set.classes)
    ax.set_yticklabels(val_set.classes)
    ax.set_xlabel("the network answers")
axes[0].set_ylabel("it is")
fig.savefig(output_dir(lesson) / "confusions.png", dpi=100)
print(f"each row adds up to {confusion.sum(dim=1).tolist()} pictures")

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
    small = nn.Sequential(nn.Linear(512, 16), nn.ReLU(), nn.Linear(16, 1000))
    if order == "head, then optimizer":
        small[2] = nn.Linear(16, 2)
    optimizer = torch.optim.SGD(small.parameters(), lr=0.1)
    if order == "optimizer, then head":
        small[2] = nn.Linear(16, 2)
    before = small[2].weight.detach().clone()
    loss_fn(small(train_features), train_labels).backward()
    optimizer.step()
    print(f"{order}: the new head moved: {not torch.equal(small[2].weight, before)}")
