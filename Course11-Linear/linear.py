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

from common.data import cifar10, in_memory, mean_and_std
from common.paths import fresh_log_dir, output_dir

torch.manual_seed(11)
train_set, test_set = cifar10(train=True), cifar10(train=False)
train_images, train_labels = in_memory(train_set)  # (N, 3, 32, 32) uint8, (N,)
train_images, train_labels = train_images[:10_000], train_labels[:10_000]  # all that are drawn; enough of the real ones
test_images, test_labels = in_memory(test_set)
mean, std = (torch.tensor(numbers)[:, None, None] for numbers in mean_and_std(train_images))  # (3, 1, 1) each


def normalise(images):
    """Bytes 0…255 to floats around 0, each channel with the mean and std of the training pictures (Course 03)."""
    return (images / 255 - mean) / std


train_inputs, test_inputs = normalise(train_images), normalise(test_images)
batch_size = 64
images, labels = test_inputs[:batch_size], test_labels[:batch_size]  # (64, 3, 32, 32), (64,)
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
on_rows = nn.Linear(32, 10)
for shape in [(32,), (64, 32), (64, 3, 32, 32)]:
    print(f"{shape} -> {tuple(on_rows(torch.zeros(shape)).shape)}")

# %% 4. Flatten: three axes become one
print("torch.flatten(images)              ", tuple(torch.flatten(images).shape))
print("torch.flatten(images, start_dim=1) ", tuple(torch.flatten(images, start_dim=1).shape))
print("images.flatten(1)                  ", tuple(images.flatten(1).shape))
print("images.flatten(2)                  ", tuple(images.flatten(2).shape))
print("images.flatten(0, 1)               ", tuple(images.flatten(0, 1).shape))
print("nn.Flatten()(images)               ", tuple(nn.Flatten()(images).shape))
print("nn.Flatten(start_dim=0)(images)    ", tuple(nn.Flatten(start_dim=0)(images).shape))

# %% 5. A real batch: ten scores for each picture
channels, height, width = images.shape[1:]
num_classes = len(train_set.classes)
classifier = nn.Linear(channels * height * width, num_classes)
logits = classifier(images.flatten(1))  # (64, 3, 32, 32) -> (64, 3072) -> (64, 10)
print("logits", tuple(logits.shape))
print("weight", tuple(classifier.weight.shape), "bias", tuple(classifier.bias.shape))
print("parameters", sum(p.numel() for p in classifier.parameters()))

# %% 6. Train it
learning_rate = 0.001
epochs = 5


def train_one_epoch(layer, inputs, labels, epoch):
    """Show the layer each picture once, in batches, and move its weights a little after each batch."""
    torch.manual_seed(epoch)  # a different order of the pictures in each epoch, the same in each run
    for batch in torch.randperm(len(inputs)).split(batch_size):  # 64 random places in the data set
        logits = layer(inputs[batch].flatten(1))
        loss = cross_entropy(logits, labels[batch])  # one number: how wrong the scores are (Course 13)
        loss.backward()
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter -= learning_rate * parameter.grad  # one small step against the gradient (Course 15)
                parameter.grad = None  # gradients add up (Course 00): clear this one


def accuracy(layer, inputs, labels):
    """The share of all pictures whose highest score is that of the right class."""
    with torch.no_grad():
        answers = layer(inputs.flatten(1)).argmax(dim=1)  # (N, 10) -> (N,)
    return (answers == labels).double().mean().item()


for parameter in classifier.parameters():
    nn.init.zeros_(parameter)  # a single layer may start at 0; why deeper networks may not: Course 12
print(f"before: {accuracy(classifier, test_inputs, test_labels):.0%} of the test pictures right")
with SummaryWriter(fresh_log_dir("Course11-Linear")) as writer:
    for epoch in range(epochs):
        train_one_epoch(classifier, train_inputs, train_labels, epoch)
        print(f"epoch {epoch}: {accuracy(classifier, test_inputs, test_labels):.0%}")
        templates = classifier.weight.detach().unflatten(1, (channels, height, width))  # (10, 3072) -> (10, 3, 32, 32)
        largest = templates.abs().amax(dim=(1, 2, 3), keepdim=True)  # (10, 1, 1, 1)
        templates_to_show = 0.5 + 0.5 * templates / largest  # a weight of 0 is mid grey, whatever the scale
        writer.add_images("templates", templates_to_show, epoch)

# %% 7. Look at the weights: ten templates
fig, axes = plt.subplots(2, 5, figsize=(8.6, 4.1), layout="constrained")
for ax, template, name in zip(axes.flat, templates_to_show, train_set.classes, strict=True):
    ax.imshow(template.permute(1, 2, 0).numpy())  # (3, 32, 32) -> (32, 32, 3)
    ax.set_title(name, fontsize=14)
    ax.axis("off")
fig.savefig(output_dir("Course11-Linear") / "templates.png", dpi=90)

frog = train_set.class_to_idx["frog"]
by_template = (templates[frog] * images[0]).sum() + classifier.bias[frog]
by_layer = classifier(images[0].flatten())[frog]
print("score = picture times template, summed:", torch.allclose(by_template, by_layer, atol=1e-4))

# %% 8. A linear layer is a convolution of the full size
conv = nn.Conv2d(channels, num_classes, kernel_size=(height, width))  # ten kernels, each as large as a picture
with torch.no_grad():
    conv.weight.copy_(templates)
    conv.bias.copy_(classifier.bias)
    maps = conv(images)  # (64, 3, 32, 32) -> (64, 10, 1, 1)
    same_scores = torch.allclose(maps.flatten(1), classifier(images.flatten(1)), atol=1e-4)
print("feature maps", tuple(maps.shape))
print("parameters", sum(p.numel() for p in conv.parameters()))
print("the same scores:", same_scores)

# %% 9. Vary one thing: shuffle the pixels
torch.manual_seed(11)
order = torch.randperm(height * width)  # the same new place for each pixel, in all pictures
shuffled_train = train_inputs.flatten(2)[:, :, order].unflatten(2, (height, width))  # (10000, 3, 32, 32)
shuffled_test = test_inputs.flatten(2)[:, :, order].unflatten(2, (height, width))  # (2000, 3, 32, 32)
fig, axes = plt.subplots(2, 6, figsize=(8.6, 3), layout="constrained")
for row, pictures in zip(axes, [test_inputs, shuffled_test], strict=True):
    for ax, picture in zip(row, pictures, strict=False):
        ax.imshow((picture * std + mean).permute(1, 2, 0).clamp(0, 1).numpy())  # undo normalise()
        ax.axis("off")
fig.savefig(output_dir("Course11-Linear") / "shuffled.png", dpi=90)

shuffled_classifier = nn.Linear(channels * height * width, num_classes)
for parameter in shuffled_classifier.parameters():
    nn.init.zeros_(parameter)
for epoch in range(epochs):
    train_one_epoch(shuffled_classifier, shuffled_train, train_labels, epoch)
print(f"shuffled: {accuracy(shuffled_classifier, shuffled_test, test_labels):.0%} of the test pictures right")
shuffled_templates = templates.flatten(2)[:, :, order].flatten(1)  # (10, 3, 32, 32) -> (10, 3072)
print("the same weights in other places:", torch.allclose(shuffled_classifier.weight, shuffled_templates, atol=1e-4))

# %% 10. Break it: Linear(196608, 10)
swallows = nn.Linear(batch_size * channels * height * width, num_classes)
print(swallows)
print("answers for 64 pictures:", tuple(swallows(torch.flatten(images)).shape))  # (196608,) -> (10,)
print("with reshape:           ", tuple(swallows(torch.reshape(images, (1, 1, 1, -1))).shape))  # on purpose
test_batches = test_inputs[:2000].split(batch_size)
for number, batch in enumerate(test_batches, start=1):
    try:
        swallows(torch.flatten(batch))
    except RuntimeError as error:
        print(f"fails on batch {number} of {len(test_batches)}, which has {len(batch)} pictures")
        print("RuntimeError:", str(error).split(": ")[-1])

# %% 11. Break it: forget to flatten
try:
    classifier(images)
except RuntimeError as error:
    print("RuntimeError:", str(error).split(": ")[-1])

# ---- Second reading --------------------------------------------------------------------------------------------------

# %% 12. Where a pixel goes
c, i, j = 1, 5, 7  # green, row 5, column 7
place = (c * height + i) * width + j
print("place", place)
print("the same number:", torch.equal(images.flatten(1)[:, place], images[:, c, i, j]))
print("and back:", torch.equal(images.flatten(1).unflatten(1, (channels, height, width)), images))

# %% 13. Two pictures at once
# Half of one picture over half of another, as in a double exposure.
with torch.no_grad():
    double_exposure = (images[0] + images[1]) / 2
    of_the_mixture = classifier(double_exposure.flatten())  # (10,)
    mean_of_scores = (classifier(images[0].flatten()) + classifier(images[1].flatten())) / 2  # (10,)
print("the mean of their scores:", torch.allclose(of_the_mixture, mean_of_scores, atol=1e-4))

# %% 14. Linear, or affine?
with torch.no_grad():
    once, twice = linear(x[0]), linear(2 * x[0])  # (2,) each: the layer of cell 2
    unbiased = linear.weight @ x[0], linear.weight @ (2 * x[0])
print("with bias:    f(x)", once.tolist(), " f(2x)", twice.tolist(), " 2 f(x)", (2 * once).tolist())
print("without bias: f(x)", unbiased[0].tolist(), " f(2x)", unbiased[1].tolist(), " 2 f(x)", (2 * unbiased[0]).tolist())

# %% 15. The classifier slides
wide = torch.zeros(1, channels, 40, 48)
wide[..., 4:36, 10:42] = images[0]  # a larger picture, with the first one somewhere in it
with torch.no_grad():
    score_maps = conv(wide)  # (1, 3, 40, 48) -> (1, 10, 9, 17)
print("score maps", tuple(score_maps.shape))
print("at row 4, column 10:", torch.allclose(score_maps[0, :, 4, 10], maps[0, :, 0, 0], atol=1e-4))
