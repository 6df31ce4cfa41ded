"""Course 19 · TrainGPU, two ways — how do a model, a loss and the data get onto a GPU?

Run   python Course19-TrainGPU/two_ways.py
See   what it prints      (it runs without a GPU, too, and says so)
Read  two_ways.md, whose sections carry the numbers of the cells below
"""

# %% 1. Setup
import torch
from torch import nn
from torchvision.transforms import v2

from common.data import cifar10
from common.models import CifarCNN

to_float = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
train_set = cifar10(train=True, transform=to_float)
pictures = torch.stack([train_set[i][0] for i in range(640)])  # (640, 3, 32, 32), on the CPU
answers = torch.tensor(train_set.targets[:640])

# %% 2. Is there a GPU?
print("GPUs that PyTorch can use:", torch.cuda.device_count())
if not torch.cuda.is_available():
    print("no GPU here: everything below runs on the CPU")

# %% 3. The first way: .cuda() after an if
torch.manual_seed(19)
model = CifarCNN(num_classes=10)
loss_fn = nn.CrossEntropyLoss()
if torch.cuda.is_available():
    model = model.cuda()  # on purpose
    loss_fn = loss_fn.cuda()  # on purpose
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

first_way = []
for images, labels in zip(pictures.split(64), answers.split(64), strict=True):
    if torch.cuda.is_available():
        images = images.cuda()  # on purpose
        labels = labels.cuda()  # on purpose
    loss = loss_fn(model(images), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    first_way.append(loss.item())
print(f"loss at the first step {first_way[0]:.1f}, after ten steps lower: {first_way[-1] < first_way[0]}")

# %% 4. The second way: .to(device)
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

torch.manual_seed(19)
model = CifarCNN(num_classes=10).to(device)
loss_fn = nn.CrossEntropyLoss().to(device)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

second_way = []
for images, labels in zip(pictures.split(64), answers.split(64), strict=True):
    images, labels = images.to(device), labels.to(device)
    loss = loss_fn(model(images), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    second_way.append(loss.item())
same = torch.allclose(torch.tensor(first_way), torch.tensor(second_way), rtol=1e-2)
print("both ways gave the same losses, within 1 %:", same)

# %% 5. What moves in place, and what does not
layer = nn.Linear(2, 1)
layer.to(torch.float64)
print("module after .to:", layer.weight.dtype)

numbers = torch.zeros(2)
numbers.to(torch.float64)
print("tensor after .to, not assigned:", numbers.dtype)
numbers = numbers.to(torch.float64)
print("tensor after .to, assigned:", numbers.dtype)

# %% 6. Which GPU: cuda:1
second_gpu = torch.device("cuda:1")  # only a name: this line needs no GPU
print("type", second_gpu.type, "and index", second_gpu.index)
if torch.cuda.device_count() > 1:
    model = model.to(second_gpu)
    images = images.to(second_gpu)
    print("logits on", model(images).device)

# %% 7. Which tensors of a loss must move
plain = nn.CrossEntropyLoss()
weighted = nn.CrossEntropyLoss(weight=torch.ones(10))
print("plain loss:", [name for name, _ in plain.named_buffers()])
print("with class weights:", [name for name, _ in weighted.named_buffers()])
