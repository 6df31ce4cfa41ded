"""Course 11 · Linear — what can a single linear layer tell apart?

Run   python Course11-Linear/linear.py
See   tensorboard --logdir logs        (runs under Course11-Linear)
Read  notes.md, whose sections carry the numbers of the cells below
"""

# %% 1. Setup
import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.tensorboard import SummaryWriter

from common.data import MemoryLoader, cifar10, in_memory, mean_and_std
from common.paths import fresh_log_dir, output_dir

torch.manual_seed(11)
batch_size = 64
train_set, test_set = cifar10(train=True), cifar10(train=False)
train_images, train_labels = in_memory(train_set)  # (N, 3, 32, 32) uint8, (N,)
train_images, train_labels = train_images[:10_000], train_labels[:10_000]  # all that are drawn; enough of the real ones
test_images, test_labels = in_memory(test_set)
mean, std = mean_and_std(train_images)
test_loader = MemoryLoader(test_images, test_labels, batch_size, mean, std)
images, labels = next(iter(test_loader))  # (64, 3, 32, 32), (64,)
print("images", tuple(images.shape), images.dtype)

# %% 2. One linear layer, by hand
linear = nn.Linear(in_features=3, out_features=2)
with torch.no_grad():
    linear.weight.copy_(torch.tensor([[1.0, 0.0, -1.0], [2.0, 2.0, 2.0]]))  # (2, 3): one row per output
    linear.bias.copy_(torch.tensor([0.5, -1.0]))  # (2,): one number per output
x = torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]])  # (2, 3): two samples
by_hand = x @ linear.weight.T + linear.bias  # (2, 3) @ (3, 2) + (2,) -> (2, 2)
print("by hand\n", by_hand.detach())
print("equals the layer:", torch.equal(by_hand, linear(x)))

# %% 3. Predict the shapes, then look
# The layer works on the last axis. It never looks at the axes in front of it.
linear = nn.Linear(32, 10)
for shape in [(32,), (64, 32), (64, 3, 32, 32)]:
    print(f"{shape} -> {tuple(linear(torch.zeros(shape)).shape)}")

# %% 4. Flatten: three axes become one
print("torch.flatten(images)              ", tuple(torch.flatten(images).shape))
print("torch.flatten(images, start_dim=1) ", tuple(torch.flatten(images, start_dim=1).shape))
print("images.flatten(1)                  ", tuple(images.flatten(1).shape))
print("images.flatten(2)                  ", tuple(images.flatten(2).shape))
print("images.flatten(0, 1)               ", tuple(images.flatten(0, 1).shape))
print("nn.Flatten()(images)               ", tuple(nn.Flatten()(images).shape))
print("nn.Flatten(start_dim=0)(images)    ", tuple(nn.Flatten(start_dim=0)(images).shape))

# %% 5. Predict where a pixel goes, then look
channels, height, width = images.shape[1:]
c, i, j = 1, 5, 7  # green, row 5, column 7
place = (c * height + i) * width + j
print("place", place)
print("the same number:", torch.equal(images.flatten(1)[:, place], images[:, c, i, j]))
print("and back:", torch.equal(images.flatten(1).unflatten(1, (channels, height, width)), images))

# %% 6. A real batch: ten scores a picture
num_classes = len(train_set.classes)
classifier = nn.Linear(channels * height * width, num_classes)
logits = classifier(images.flatten(1))  # (64, 3, 32, 32) -> (64, 3072) -> (64, 10)
print("logits", tuple(logits.shape))
print("weight", tuple(classifier.weight.shape), "bias", tuple(classifier.bias.shape))
print("parameters", sum(p.numel() for p in classifier.parameters()), "= 10 * (3*32*32 + 1)")

# %% 7. Train it
learning_rate = 0.001
epochs = 5


def train_one_epoch(layer, loader):
    """Show the layer every picture once and move its weights a little after each batch."""
    for images, labels in loader:
        loss = cross_entropy(layer(images.flatten(1)), labels)  # one number: how wrong the scores are (Course 13)
        loss.backward()
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter -= learning_rate * parameter.grad  # one small step against the gradient (Course 15)
                parameter.grad = None  # gradients add up (Course 00): forget this one


def accuracy(layer, loader):
    """The share of all pictures whose highest score is that of the right class."""
    with torch.no_grad():
        right = sum((layer(images.flatten(1)).argmax(dim=1) == labels).sum().item() for images, labels in loader)
    return right / len(loader.labels)


for parameter in classifier.parameters():
    nn.init.zeros_(parameter)  # a single layer may start from nothing; why deeper networks may not: Course 12
print(f"before: {accuracy(classifier, test_loader):.0%} of the test pictures right")
train_loader = MemoryLoader(train_images, train_labels, batch_size, mean, std, shuffle=True, seed=11)
with SummaryWriter(fresh_log_dir("Course11-Linear")) as writer:
    for epoch in range(epochs):
        train_loader.set_epoch(epoch)  # another order of the pictures each time
        train_one_epoch(classifier, train_loader)
        templates = classifier.weight.detach().unflatten(1, (channels, height, width))  # (10, 3072) -> (10, 3, 32, 32)
        largest = templates.abs().amax(dim=(1, 2, 3), keepdim=True)  # (10, 1, 1, 1)
        templates_to_show = 0.5 + 0.5 * templates / largest  # a weight of 0 is mid grey, whatever the scale
        writer.add_images("templates", templates_to_show, epoch)
print(f"after:  {accuracy(classifier, test_loader):.0%} of the test pictures right")

# %% 8. Look at the weights: ten templates
fig, axes = plt.subplots(2, 5, figsize=(10, 4.6), layout="constrained")
for ax, template, name in zip(axes.flat, templates_to_show, train_set.classes, strict=True):
    ax.imshow(template.permute(1, 2, 0).numpy())  # (3, 32, 32) -> (32, 32, 3)
    ax.set_title(name)
    ax.axis("off")
fig.savefig(output_dir("Course11-Linear") / "templates.png", dpi=100)

frog = train_set.class_to_idx["frog"]
by_template = (templates[frog] * images[0]).sum() + classifier.bias[frog]
by_layer = classifier(images[0].flatten())[frog]
print("score = picture times template, summed:", torch.allclose(by_template, by_layer, atol=1e-4))

# %% 9. Predict the score of two pictures at once, then look
# Half of one picture laid over half of another, as in a double exposure.
with torch.no_grad():
    double_exposure = (images[0] + images[1]) / 2
    of_the_mixture = classifier(double_exposure.flatten())  # (10,)
    mean_of_scores = (classifier(images[0].flatten()) + classifier(images[1].flatten())) / 2  # (10,)
print("the mean of their scores:", torch.allclose(of_the_mixture, mean_of_scores, atol=1e-4))

# %% 10. Vary one thing: shuffle the pixels
order = torch.randperm(height * width)  # the same new place for every pixel, in every picture
shuffled_train = train_images.flatten(2)[:, :, order].unflatten(2, (height, width))  # (10000, 3, 32, 32)
shuffled_test = test_images.flatten(2)[:, :, order].unflatten(2, (height, width))  # (2000, 3, 32, 32)
fig, axes = plt.subplots(2, 8, figsize=(10, 2.8), layout="constrained")
for row, pictures in zip(axes, [test_images, shuffled_test], strict=True):
    for ax, picture in zip(row, pictures, strict=False):
        ax.imshow(picture.permute(1, 2, 0).numpy())
        ax.axis("off")
fig.savefig(output_dir("Course11-Linear") / "shuffled.png", dpi=100)

shuffled_classifier = nn.Linear(channels * height * width, num_classes)
for parameter in shuffled_classifier.parameters():
    nn.init.zeros_(parameter)
shuffled_loader = MemoryLoader(shuffled_train, train_labels, batch_size, mean, std, shuffle=True, seed=11)
for epoch in range(epochs):
    shuffled_loader.set_epoch(epoch)
    train_one_epoch(shuffled_classifier, shuffled_loader)
shuffled_test_loader = MemoryLoader(shuffled_test, test_labels, batch_size, mean, std)
print(f"shuffled: {accuracy(shuffled_classifier, shuffled_test_loader):.0%} of the test pictures right")
shuffled_templates = templates.flatten(2)[:, :, order].flatten(1)  # (10, 3, 32, 32) -> (10, 3072)
print("the same weights in other places:", torch.allclose(shuffled_classifier.weight, shuffled_templates, atol=1e-4))

# %% 11. Break it: the layer that swallows the batch
swallows = nn.Linear(batch_size * channels * height * width, num_classes)
print(swallows)
print("weights", swallows.weight.numel())
print("answers for 64 pictures:", tuple(swallows(torch.flatten(images)).shape))  # (196608,) -> (10,)
print("the same in disguise:   ", tuple(swallows(torch.reshape(images, (1, 1, 1, -1))).shape))
for number, (images_of_batch, _) in enumerate(test_loader, start=1):
    try:
        swallows(torch.flatten(images_of_batch))
    except RuntimeError as error:
        print(f"fails on batch {number} of {len(test_loader)}, which has {len(images_of_batch)} pictures")
        print("RuntimeError:", str(error).split(": ")[-1])

# %% 12. Break it: forget to flatten
try:
    classifier(images)
except RuntimeError as error:
    print("RuntimeError:", str(error).split(": ")[-1])
