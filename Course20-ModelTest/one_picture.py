"""Course 20 · ModelTest, one picture — what does it take to classify a single file?

Run   python Course20-ModelTest/one_picture.py
See   outputs/Course20-ModelTest/one_picture.png     (what it classifies)
Read  one_picture.md, whose sections carry the numbers of the cells below
"""

# %% 1. Setup
import torch
from PIL import Image
from torch import nn
from torchvision.transforms import v2

from common.data import cifar10
from common.models import CifarCNN
from common.paths import checkpoint_dir, output_dir

lesson = "Course20-ModelTest"
sample = output_dir(lesson) / "one_picture.png"  # cell 2 saves this picture
path = sample  # or a picture of yours, which is only read: "photos/dog.jpg"
weights = checkpoint_dir(lesson) / "one_picture.pt"

# %% 2. A picture, and weights if there are none
train_set, test_set = cifar10(train=True), cifar10(train=False)
classes = test_set.classes
Image.fromarray(test_set.data[186]).resize((128, 128)).convert("RGBA").save(sample)  # 4 channels, as screenshots have

if weights.exists():
    print("weights of an earlier run")
else:
    print("no weights yet: training for some seconds")
    torch.manual_seed(20)
    images = torch.from_numpy(train_set.data[:7680]).permute(0, 3, 1, 2) / 255  # (7680, 3, 32, 32), 0…1
    labels = torch.tensor(train_set.targets[:7680])
    model = CifarCNN(num_classes=10).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.005, total_steps=120)
    for batch, answers in zip(images.split(64), labels.split(64), strict=True):  # 120 steps, each picture once
        loss = nn.functional.cross_entropy(model(batch), answers)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    torch.save(model.state_dict(), weights)

# %% 3. One picture, a dozen lines
transform = v2.Compose([v2.Resize((32, 32)), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
picture = Image.open(path).convert("RGB")
image = transform(picture)
batch = image.unsqueeze(0)

model = CifarCNN(num_classes=10)
model.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
model.eval()
with torch.no_grad():
    logits = model(batch)
guess = logits.argmax(dim=1).item()
print("shapes:", tuple(image.shape), tuple(batch.shape), tuple(logits.shape))
print("the network says:", classes[guess])
if path == sample:
    print("the truth is:    ", classes[test_set.targets[186]])

# %% 4. Break it: forget convert
try:
    model(transform(Image.open(sample)).unsqueeze(0))
except RuntimeError as error:
    print(str(error).replace("], ", "],\n"))

# %% 5. Break it: forget unsqueeze
try:
    model(image)
except ValueError as error:
    print(error)

# %% 6. Break it: forget eval
model.train()
with torch.no_grad():
    without_eval = model(batch)
print("without eval, the same logits:", torch.allclose(without_eval, logits, atol=1e-3))
model.eval()
with torch.no_grad():
    afterwards = model(batch)
print("with eval again, the same logits:", torch.allclose(afterwards, logits, atol=1e-3))
