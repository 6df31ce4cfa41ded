# Code that looks like an old call or a mistake, and is fine. The checker must find nothing here. It is only read, never run.
import collections
import collections.abc
import functools
import glob
import os
import pickle
import re
import string
import time
from pathlib import Path

import cv2
import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
import torchvision
from PIL import Image, ImageDraw
from torch import nn, optim
from torch.optim import lr_scheduler
from torch.utils.data import BatchSampler, DataLoader, Dataset, IterableDataset, RandomSampler, Sampler
from torch.utils.tensorboard import SummaryWriter
from torchvision import datasets, models
from torchvision.transforms import v2
from tqdm import tqdm

try:
    from collections.abc import Mapping
except ImportError:
    from collections import Mapping
try:
    import cPickle
except ImportError:
    cPickle = pickle
from .helpers import unichr

DATA = Path("dataset") / "train" / "ants"
NUMBER = re.compile(r"..\d+\w")
WORDS = re.compile("\\w+\\s")
FORMULA = r"$\alpha\beta\tau$"
TABLE = "name\tloss\taccuracy\n"
MESSAGE = "use C:\\ or D:\\ as you like"
ESCAPED = "a\\nb"
names = sorted(os.listdir("dataset"))
texts = sorted(glob.glob("dataset/*.txt"))
pairs = list(zip(sorted(os.listdir("images")), sorted(os.listdir("labels"))))
with open("table\n.txt".strip(), "w") as file:
    file.write(TABLE)


class Variable:
    """Somebody's own class with that name."""

    def __init__(self, value, volatile=False):
        self.data = [value]
        self.volatile = volatile


variable = Variable(3, volatile=True)
first = variable.data[0]


class Prefetcher:
    def __init__(self, loader):
        self.loader, self.data = iter(loader), [1, 2]

    def next(self):
        return next(self.loader)

    def cuda(self):
        return self

    def has_keys(self):
        return True


class Squares(Dataset):
    def __init__(self, root, transform=None):
        self.root, self.transform = root, transform
        self.names = os.listdir(root)

    def __getitem__(self, i):
        return self.names[i], i**2

    def __len__(self):
        return len(self.names)


class Base(Dataset):
    def __getitem__(self, i):
        return i


class Derived(Base):
    def __len__(self):
        return 3


class Stream(IterableDataset):
    def __iter__(self):
        return iter(range(3))


class Backwards(Sampler):
    def __init__(self, data):
        super().__init__()
        self.data = data


class Money:
    def __init__(self, cents):
        self.cents = cents

    def __int__(self):
        return self.cents


class LeNet(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 5)
        self.blocks = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)])
        self.sizes = [16, 32]
        layers = [nn.Linear(6, 6), nn.ReLU()]
        self.tail = nn.Sequential(*layers)
        self.parts = [nn.Linear(4, 4)]
        self.parts = nn.Sequential(*self.parts)
        self.attention = nn.Softmax(dim=-1)
        self.data = torch.zeros(3)
        self.head = nn.Linear(6, num_classes)

    def forward(self, x):
        x = F.relu(self.conv(x))
        x = F.dropout(x, 0.5, self.training)
        x = F.dropout(x, p=0.5, training=self.training)
        weights = self.attention(x)
        x = torch.flatten(x * weights, 1)
        x = nn.ReLU()(x)
        return self.head(x)


class Attention(nn.Module):
    def forward(self, x):
        return F.softmax(x, dim=-1)


class DiceLoss(nn.Module):
    def forward(self, outputs, targets):
        a, b = torch.flatten(outputs), torch.flatten(targets)
        return 1 - 2 * (a * b).sum() / (a.sum() + b.sum())


class Double(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, slope):
        return slope * 2


class Ema:
    def __init__(self, model):
        self.state_dict = model.state_dict()
        self.train = True


device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else torch.device("cpu")
check = torch.cuda.is_available
train_transform = v2.Compose(
    [
        v2.ToImage(),
        v2.RandomHorizontalFlip(),
        v2.RandomErasing(),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    ]
)
test_transform = v2.Compose(
    [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])]
)
show_transform = v2.Compose([v2.Resize(64), v2.CenterCrop(64)])
cifar = v2.Normalize([0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616])
train_set = datasets.CIFAR10("data", train=True, transform=train_transform)
test_set = datasets.CIFAR10("data", train=False, transform=test_transform)
print(train_set.data.shape, train_set.targets[:3], test_set.data[0].shape)
labels_of_all = train_set.data[0]
train_loader = DataLoader(train_set, 64, True)
shuffled = DataLoader(train_set, batch_size=64, shuffle=True, num_workers=2)
sampled = DataLoader(train_set, batch_size=64, sampler=RandomSampler(train_set))
batched = DataLoader(train_set, batch_sampler=BatchSampler(RandomSampler(train_set), 64, False))
test_loader = DataLoader(test_set, batch_size=64)
statistics_loader = DataLoader(train_set, batch_size=1000)
mean = sum(images.mean() for images, _ in statistics_loader)
prefetcher = Prefetcher(train_loader)
batch = prefetcher.next()
moved = prefetcher.data[0]
images, labels = next(iter(train_loader))

weights = models.ResNet18_Weights.DEFAULT
model = models.resnet18(weights=weights)
vgg = models.vgg16(weights=None)
other = models.get_model("resnet18", weights="DEFAULT")
pretrained = True
options = dict(pretrained=True, size_average=False, verbose=True, range=(0, 1))
for parameter in model.parameters():
    parameter.requires_grad = False
model.fc = nn.Linear(512, 10)
model = model.to(device)
optimizer = optim.SGD(model.fc.parameters(), lr=0.1)
loss_fn = nn.CrossEntropyLoss(reduction="sum", label_smoothing=0.1).to(device)
plateau = lr_scheduler.ReduceLROnPlateau(optimizer)
warm = lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 10)
scheduler = lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=100)
writer = SummaryWriter(log_dir="logs/run-001")
best_accuracy, history = 0.0, []
for epoch in range(3):
    model.train()
    total_loss, correct = 0.0, 0
    for step, (images, labels) in enumerate(tqdm(train_loader)):
        images, labels = images.to(device, non_blocking=True), labels.to(device)
        with torch.autocast(device.type):
            logits = model(images)
            loss = loss_fn(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
        total_loss += loss.item() * len(images)
        correct += (logits.argmax(1) == labels).sum().item()
        if step % 100 == 0:
            writer.add_scalar("loss/step", loss.item(), step)
    warm.step(epoch + 0.5)
    writer.add_scalar("loss/train", total_loss / len(train_set), epoch)
    writer.add_scalar("accuracy/train", correct / len(train_loader.dataset), epoch)
    model.eval()
    val_loss, hits = 0.0, 0
    with torch.no_grad():
        for images, labels in test_loader:
            logits = model(images.to(device))
            val_loss += F.cross_entropy(logits, labels.to(device), reduction="sum").item()
            hits += (logits.argmax(1) == labels.to(device)).sum().item()
            probabilities = F.softmax(logits, dim=1)
    plateau.step(val_loss)
    val_accuracy = hits / len(test_set)
    if val_accuracy > best_accuracy:
        best_accuracy = val_accuracy
        torch.save(model.state_dict(), "best.pt")
    history.append(val_accuracy)

total = 0.0
for images, labels in train_loader:
    loss_a, loss_b = model(images).mean(), model(images).std()
    both = loss_a + loss_b
    optimizer.zero_grad()
    both.backward()
    optimizer.step()
generator, critic = LeNet(), LeNet()
optimizer_g, optimizer_c = optim.Adam(generator.parameters()), optim.Adam(critic.parameters())
for images, _ in shuffled:
    optimizer_c.zero_grad()
    critic(images).mean().backward()
    optimizer_c.step()
    optimizer_g.zero_grad()
    critic(generator(images)).mean().backward()
    optimizer_g.step()
for images, _ in shuffled:
    losses = [model(images).mean(), model(images).std()]
    total_of_tasks = 0
    for loss in losses:
        total_of_tasks += loss
    total_of_tasks.backward()
    optimizer.step()
    optimizer.zero_grad()

checkpoint = {"model": model.state_dict(), "epoch": 3, "optimizer": optimizer.state_dict()}
torch.save(checkpoint, "checkpoint.pt")
state = torch.load("checkpoint.pt", map_location="cpu", weights_only=True)
network = LeNet()
network.load_state_dict(state["model"])
network.eval()
whole = torch.load("own.pt", weights_only=False)
tensor = torch.load("tensor.pt")
print(tensor.shape, tensor.to(device).sum())

x = torch.tensor([1.0, 2.0, 3.0])
y = torch.Tensor([1.0, 2.0])
z = torch.Tensor(2, 3)
r = torch.arange(1, 4)
v = x.reshape(1, -1).view(-1)
p = x.view(1, 3, 1).permute(0, 2, 1).contiguous().view(-1)
c = F.softmax(x, 0).log_softmax(0)
s = torch.log(x + 1) + torch.sigmoid(x) + torch.tanh(x)
inverse = ~(x > 1)
rest = 1 - x.sum()
count = {"a"}
count.add("b")
queue = collections.deque([1])
ordered = collections.OrderedDict(a=1)
is_many = isinstance(ordered, Mapping) and unichr(65)
keys = list(ordered.keys())[0]
value = next(iter(ordered.values()))
total = functools.reduce(max, [1, 2])
started = time.perf_counter()
letters = string.ascii_letters
flags = np.zeros(3, dtype=bool) | np.zeros(3, np.bool_)
floats = np.array([1, 2], dtype=np.float32).astype(np.int64).astype(float)
nothing, endless = np.nan, np.inf
product = np.prod([1, 2])
with open("other.pkl", "rb") as file:
    content = pickle.load(file)
image = cv2.imread("dog.png")
image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
plt.imshow(image)
grey = cv2.imread("dog.png", cv2.IMREAD_GRAYSCALE)
plt.imshow(grey, cmap="gray")
cv2.imwrite("copy.png", cv2.imread("dog.png"))
small = Image.open("dog.png").resize((32, 32), Image.Resampling.LANCZOS)
ImageDraw.Draw(small).textbbox((0, 0), "dog")
plt.style.use("seaborn-v0_8-whitegrid")
plt.style.use("ggplot")
axes = plt.figure().add_subplot(projection="3d")
plt.hist([1, 2], density=True)
plt.grid(True)
plt.get_current_fig_manager().set_window_title("loss")
grid = torchvision.utils.make_grid(images, value_range=(0, 1))
big = F.interpolate(images, scale_factor=2, mode="bilinear", align_corners=False)
grids = torch.meshgrid(r, r, indexing="ij")
solution = torch.linalg.solve(torch.eye(3), torch.ones(3))
spectrum = torch.fft.rfft(x)
exported = torch.export.export(model, (images,))
nn.init.xavier_normal_(model.fc.weight)
nn.init.constant_(model.fc.bias, 0)


def xrange(n):
    """A name of Python 2, given anew."""
    return range(n)


def unicode(text):
    return str(text)


for i in xrange(3):
    print(unicode(i))


def normal(weight):
    return weight


def augment(image, transforms):
    """`transforms` is an argument here, and no module."""
    image = transforms.ToTensor(image)
    return transforms.Scale(image)


def predict(model, loader):
    """No graph: the caller is in no_grad."""
    return [model(images).argmax(1) for images, _ in loader]


def test_speed(F, datasets):
    return F.sigmoid(3), F.softmax([1, 2]), datasets.data[0]


print("print the loss"), print("xrange and cuda() in a text: x.cuda()")
"""
print "in a text of several lines"
optimizer.zero_grad
"""
