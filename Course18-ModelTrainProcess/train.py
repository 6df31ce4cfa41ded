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
from common.device import pick_device
from common.models import CifarCNN
from common.paths import checkpoint_dir, fresh_log_dir, output_dir

lesson = "Course18-ModelTrainProcess"
epochs = 3
batch_size = 64
learning_rate = 0.001

torch.manual_seed(18)
device, _ = pick_device("cpu")  # "auto" takes the GPU where there is one: Course 19
print("training on the", device.type)

# %% 2. Data
to_float = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
train_set = cifar10(train=True, transform=to_float)
test_set = cifar10(train=False, transform=to_float)
train_loader = DataLoader(train_set, batch_size, shuffle=True)
test_loader = DataLoader(test_set, batch_size)
print(f"{len(train_loader)} training batches; the last one has {len(train_set) % batch_size} of {batch_size} pictures")

# %% 3. Model
model = CifarCNN(num_classes=len(train_set.classes)).to(device)  # (N, 3, 32, 32) -> (N, 10): one logit per class
print("parameters", sum(p.numel() for p in model.parameters()))

# %% 4. Loss and optimizer
loss_fn = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)

# %% 5. Predict the first loss, then look
images, labels = next(iter(test_loader))  # (64, 3, 32, 32), (64,)
model.eval()
with torch.no_grad():
    first_loss = loss_fn(model(images.to(device)), labels.to(device)).item()
print(f"before training: loss {first_loss:.1f}, and ln(10) = {torch.tensor(10.0).log().item():.1f}")

# %% 6. The loop
history = {"train loss": [], "train accuracy": [], "test loss": [], "test accuracy": []}
writer = SummaryWriter(fresh_log_dir(lesson))

for epoch in range(1, epochs + 1):
    model.train()
    loss_sum, correct = 0.0, 0
    for images, labels in tqdm(train_loader, f"epoch {epoch}", leave=False, disable=None):
        images, labels = images.to(device), labels.to(device)
        optimizer.zero_grad()  # gradients add up: forget those of the last batch
        logits = model(images)  # forward: (N, 3, 32, 32) -> (N, 10)
        loss = loss_fn(logits, labels)  # the mean over this batch
        loss.backward()  # a gradient for every parameter
        optimizer.step()  # one small step against it
        loss_sum += loss.item() * len(labels)  # back to a sum, because the last batch is smaller
        correct += (logits.argmax(dim=1) == labels).sum().item()
    history["train loss"].append(loss_sum / len(train_set))
    history["train accuracy"].append(correct / len(train_set))

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

    for name, values in history.items():
        split, measure = name.split()
        writer.add_scalar(f"{measure}/{split}", values[-1], epoch)  # loss/train, loss/test, …: grouped by measure
    torch.save(model.state_dict(), checkpoint_dir(lesson) / f"epoch_{epoch}.pt")
    for split in ("train", "test"):
        loss, accuracy = history[f"{split} loss"][-1], history[f"{split} accuracy"][-1]
        print(f"epoch {epoch} {split:5}: loss {loss:.2f}, accuracy {accuracy:.0%}")

writer.close()

# %% 7. Look at the curves
fig, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
for ax, measure in zip(axes, ["loss", "accuracy"], strict=True):
    for split, colour in [("train", "#0072B2"), ("test", "#D55E00")]:
        ax.plot(range(1, epochs + 1), history[f"{split} {measure}"], "o-", color=colour, label=split)
    ax.set(title=measure, xlabel="epoch", xticks=range(1, epochs + 1))
    ax.grid(alpha=0.3)
    ax.legend(frameon=False)
fig.savefig(output_dir(lesson) / "curves.png", dpi=100)

# %% 8. Use what was saved
first_weights = torch.load(checkpoint_dir(lesson) / "epoch_1.pt", weights_only=True)
model.load_state_dict(first_weights)  # back to the network as it was after the first epoch
model.eval()
correct = 0
with torch.no_grad():
    for images, labels in test_loader:
        correct += (model(images.to(device)).argmax(dim=1) == labels.to(device)).sum().item()
print("the accuracy of epoch 1 again:", correct / len(test_set) == history["test accuracy"][0])

# %% 9. Break it: the mean of the batches' means
is_right = torch.cat([torch.ones(64), torch.zeros(1)])  # 65 pictures, all right but the last
means = [batch.mean().item() for batch in is_right.split(64)]
print(f"batch means {means}, their mean {sum(means) / len(means):.1%}")
print(f"over all samples {is_right.mean().item():.1%}")

# %% 10. Break it: forget zero_grad
images, labels = next(iter(test_loader))
for forget in (False, True):
    model.zero_grad()
    norms = []
    for _ in range(4):  # the same batch and the same weights four times: the gradient should be the same
        if not forget:
            model.zero_grad()
        loss_fn(model(images.to(device)), labels.to(device)).backward()
        norms.append(sum(p.grad.norm() ** 2 for p in model.parameters()).sqrt().item())
    print("without zero_grad:" if forget else "with zero_grad:   ", [f"x{norm / norms[0]:.1f}" for norm in norms])

# %% 11. Break it: forget eval
for forget in (False, True):
    model.train(forget)
    with torch.no_grad():
        alone, in_company = model(images[:2].to(device))[0], model(images.to(device))[0]  # (10,), (10,): one picture
    same = torch.allclose(alone, in_company, atol=1e-4)
    print("without eval:" if forget else "with eval:   ", "same answer whatever else is in the batch:", same)
