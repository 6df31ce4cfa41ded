"""Course 18 · ModelTrainProcess — how do all the parts become one training run?

Run   python Course18-ModelTrainProcess/train.py
See   tensorboard --logdir logs        (runs under Course18-ModelTrainProcess)
Read  notes.md, whose sections carry the numbers of the cells below
"""

# %% 1. Setup
import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.utils.data import DataLoader
from torch.utils.tensorboard import SummaryWriter
from torchvision.transforms import v2
from tqdm import tqdm

from common.data import cifar10
from common.models import CifarCNN
from common.paths import checkpoint_dir, fresh_log_dir, output_dir

lesson = "Course18-ModelTrainProcess"
epochs = 3
batch_size = 64
learning_rate = 0.001

torch.manual_seed(18)
device = torch.device("cpu")  # "cuda" where there is a GPU: Course 19 shows how
print("training on the", device.type)

# %% 2. Data
to_float = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
train_set = cifar10(train=True, transform=to_float)
test_set = cifar10(train=False, transform=to_float)
classes = train_set.classes
train_loader = DataLoader(train_set, batch_size, shuffle=True)
test_loader = DataLoader(test_set, batch_size)
print(f"{len(train_loader)} training batches; the last one has {len(train_set) % batch_size} of {batch_size} pictures")

# %% 3. Model, loss and optimizer
model = CifarCNN(num_classes=len(classes))  # (N, 3, 32, 32) -> (N, 10): one logit per class
model = model.to(device, memory_format=torch.channels_last)  # the same numbers; faster on a CPU
loss_fn = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
print("parameters", sum(p.numel() for p in model.parameters()))

# %% 4. Predict the first loss, then look
images, labels = next(iter(test_loader))  # (64, 3, 32, 32), (64,)
model.eval()
with torch.no_grad():
    first_loss = loss_fn(model(images.to(device)), labels.to(device)).item()
print(f"before training: loss {first_loss:.1f}, and ln(10) = {torch.tensor(10.0).log().item():.1f}")

# %% 5. The loop
history = {"train loss": [], "train accuracy": [], "test loss": [], "test accuracy": []}
writer = SummaryWriter(fresh_log_dir(lesson))
step = 0

for epoch in range(1, epochs + 1):
    # First half: learn.
    model.train()
    loss_sum, correct, seen = 0.0, 0, 0
    bar = tqdm(train_loader, total=len(train_loader), leave=False, disable=None)  # None: draw it only on a terminal
    bar.set_description(f"epoch {epoch}/{epochs}")
    for images, labels in bar:
        images, labels = images.to(device), labels.to(device)
        logits = model(images)  # forward: (N, 3, 32, 32) -> (N, 10)
        loss = loss_fn(logits, labels)  # the mean over this batch
        optimizer.zero_grad()  # clear the gradients of the last step
        loss.backward()  # a gradient for every parameter
        optimizer.step()  # move every parameter a little

        step += 1
        seen += len(labels)
        loss_sum += loss.item() * len(labels)  # back to a sum, because the last batch is smaller
        correct += (logits.argmax(dim=1) == labels).sum().item()
        bar.set_postfix(loss=f"{loss_sum / seen:.2f}", accuracy=f"{correct / seen:.0%}")
        if step % 100 == 0:
            writer.add_scalar("loss/every 100 steps", loss.item(), step)
    history["train loss"].append(loss_sum / seen)
    history["train accuracy"].append(correct / seen)

    # Second half: measure.
    model.eval()
    loss_sum, correct = 0.0, 0
    with torch.no_grad():  # nothing is learned here, so no graph is kept
        for images, labels in test_loader:
            images, labels = images.to(device), labels.to(device)
            logits = model(images)
            loss_sum += loss_fn(logits, labels).item() * len(labels)
            correct += (logits.argmax(dim=1) == labels).sum().item()
    history["test loss"].append(loss_sum / len(test_set))
    history["test accuracy"].append(correct / len(test_set))

    # After both: print, log, save.
    for split in ("train", "test"):
        split_loss, split_accuracy = history[f"{split} loss"][-1], history[f"{split} accuracy"][-1]
        print(f"epoch {epoch} {split:5} loss {split_loss:.2f}, accuracy {split_accuracy:.0%}")
        writer.add_scalar(f"loss/{split}", split_loss, epoch)
        writer.add_scalar(f"accuracy/{split}", split_accuracy, epoch)
    torch.save(model.state_dict(), checkpoint_dir(lesson) / f"epoch_{epoch}.pt")

writer.close()

# %% 6. Look at the curves
fig, axes = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
for ax, measure in zip(axes, ["loss", "accuracy"], strict=True):
    for split, colour in [("train", "#0072B2"), ("test", "#D55E00")]:
        ax.plot(range(1, epochs + 1), history[f"{split} {measure}"], "o-", color=colour, label=split)
    ax.set(title=measure, xlabel="epoch", xticks=range(1, epochs + 1))
    ax.grid(alpha=0.3)
    ax.legend(frameon=False)
fig.savefig(output_dir(lesson) / "curves.png", dpi=110)

# %% 7. Look at the wrong answers
model.eval()
with torch.no_grad():
    logits = torch.cat([model(images.to(device)).cpu() for images, _ in test_loader])  # (2000, 10)
probabilities = logits.softmax(dim=1)  # (2000, 10), each row adds up to 1
truth = torch.tensor(test_set.targets)  # (2000,)
wrong = (probabilities.argmax(dim=1) != truth).nonzero().flatten()
surest = probabilities[wrong].max(dim=1).values.argsort(descending=True)
worst = wrong[surest[:6]].tolist()  # the six mistakes that the network is most sure of

fig, axes = plt.subplots(2, 6, figsize=(9, 3.4), width_ratios=[1, 1.3] * 3, layout="constrained")
for i, picture_ax, bar_ax in zip(worst, axes[:, 0::2].flat, axes[:, 1::2].flat, strict=True):
    picture_ax.imshow(test_set.data[i])
    picture_ax.set_title(classes[truth[i]], fontsize=11)
    picture_ax.axis("off")
    top = probabilities[i].topk(3)
    for row, (share, k) in enumerate(zip(top.values.tolist(), top.indices.tolist(), strict=True)):
        bar_ax.barh(row, share, color="#0072B2" if k == truth[i] else "#D55E00", alpha=0.5)
        bar_ax.text(0.03, row, f"{classes[k]} {share:.0%}", va="center", fontsize=11)
    bar_ax.set(xlim=(0, 1), ylim=(2.6, -0.6))  # the first bar on top
    bar_ax.axis("off")
fig.savefig(output_dir(lesson) / "wrong.png", dpi=110)

# %% 8. Overfit on purpose: few pictures, many epochs
few_images, few_labels = next(iter(DataLoader(train_set, batch_size=250, shuffle=True)))  # 250 of 10,000
new_images, new_labels = next(iter(DataLoader(test_set, batch_size=500)))  # never learned from
second_model = CifarCNN(num_classes=len(classes)).to(memory_format=torch.channels_last)  # new weights
optimizer = torch.optim.Adam(second_model.parameters(), lr=learning_rate)
few = {"loss": [], "accuracy": []}
new = {"loss": [], "accuracy": []}

for _ in range(30):
    second_model.train()
    loss_sum, correct = 0.0, 0
    for index in torch.randperm(250).split(25):  # 10 shuffled batches
        logits = second_model(few_images[index])
        loss = loss_fn(logits, few_labels[index])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss_sum += loss.item() * len(index)
        correct += (logits.argmax(dim=1) == few_labels[index]).sum().item()
    few["loss"].append(loss_sum / 250)
    few["accuracy"].append(correct / 250)

    second_model.eval()
    with torch.no_grad():
        logits = second_model(new_images)
    new["loss"].append(loss_fn(logits, new_labels).item())
    new["accuracy"].append((logits.argmax(dim=1) == new_labels).sum().item() / 500)
print(f"after 30 epochs: training accuracy {few['accuracy'][-1]:.0%}, test accuracy {new['accuracy'][-1]:.0%}")

fig, axes = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
for ax, measure in zip(axes, ["loss", "accuracy"], strict=True):
    ax.plot(range(1, 31), few[measure], color="#0072B2", label="250 training pictures")
    ax.plot(range(1, 31), new[measure], color="#D55E00", label="500 test pictures")
    ax.set(title=measure, xlabel="epoch", xticks=[1, 10, 20, 30])
    ax.set_ylim(bottom=0)
    ax.grid(alpha=0.3)
    ax.legend(frameon=False)
fig.savefig(output_dir(lesson) / "overfitting.png", dpi=110)

# %% 9. Break it: forget zero_grad
images, labels = next(iter(test_loader))
model.eval()
for forget in (False, True):
    model.zero_grad()
    norms = []
    for _ in range(4):  # the same batch four times, and no step
        if not forget:
            model.zero_grad()
        loss_fn(model(images.to(device)), labels.to(device)).backward()
        norms.append(sum(p.grad.norm() ** 2 for p in model.parameters()).sqrt().item())
    print("without zero_grad:" if forget else "with zero_grad:   ", [f"x{norm / norms[0]:.1f}" for norm in norms])

# %% 10. Break it: forget eval
for forget in (False, True):
    model.train(forget)
    with torch.no_grad():
        alone, in_company = model(images[:2].to(device))[0], model(images.to(device))[0]  # (10,), (10,): one picture
    same = torch.allclose(alone, in_company, atol=1e-4)
    print("without eval:" if forget else "with eval:   ", "same answer whatever else is in the batch:", same)

# ---- Second reading --------------------------------------------------------------------------------------------------

# %% 11. Use what was saved
first_weights = torch.load(checkpoint_dir(lesson) / "epoch_1.pt", weights_only=True)
model.load_state_dict(first_weights)  # back to the network as it was after the first epoch
model.eval()
correct = 0
with torch.no_grad():
    for images, labels in test_loader:
        correct += (model(images.to(device)).argmax(dim=1) == labels.to(device)).sum().item()
print("the accuracy of epoch 1 again:", correct / len(test_set) == history["test accuracy"][0])

# %% 12. Why the test accuracy jumps
images, _ = next(iter(DataLoader(train_set, batch_size=1280, shuffle=True)))  # training pictures: 20 batches
fresh = []
for epoch in range(1, epochs + 1):
    model.load_state_dict(torch.load(checkpoint_dir(lesson) / f"epoch_{epoch}.pt", weights_only=True))
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.reset_running_stats()
            layer.momentum = None  # None: the mean over all batches, each counts the same
    model.train()  # so that BatchNorm collects; no gradient, no step: every weight stays as it is
    with torch.no_grad():
        for batch in images.split(batch_size):
            model(batch.to(device))
    model.eval()
    correct = 0
    with torch.no_grad():
        for batch, labels in test_loader:
            correct += (model(batch.to(device)).argmax(dim=1) == labels.to(device)).sum().item()
    fresh.append(correct / len(test_set))
    print(f"epoch {epoch} with the running statistics of the loop: {history['test accuracy'][epoch - 1]:.0%}")
    print(f"epoch {epoch} with statistics collected afterwards:   {fresh[-1]:.0%}")

# %% 13. Break it: the mean of the batches' means
is_right = torch.cat([torch.ones(64), torch.zeros(1)])  # 65 pictures, all right but the last
means = [batch.mean().item() for batch in is_right.split(64)]
print(f"batch means {means}, their mean {sum(means) / len(means):.1%}")
print(f"over all samples {is_right.mean().item():.1%}")
