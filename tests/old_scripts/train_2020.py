# A training script in the style of 2020 (PyTorch 1.6). The comment `#! row` names what stands in a line.
import argparse
import collections
import os
from collections import Iterable  #! collections-Iterable

import cv2
import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn as nn
import torchvision
from PIL import Image
from apex import amp  #! module-apex
from torch.cuda.amp import GradScaler, autocast
from torch.utils.data import DataLoader, Dataset
from torch.utils.tensorboard import SummaryWriter
from torchvision import models, transforms
from torchvision.models.utils import load_state_dict_from_url  #! module-torchvision.models.utils
from tqdm import tqdm_notebook  #! tqdm-notebook

plt.style.use('seaborn-whitegrid')  #! plot-style
parser = argparse.ArgumentParser()
parser.add_argument('--data', default='.\\hymenoptera_data')  #! backslash-path
parser.add_argument('--epochs', type=int, default=25)
args = parser.parse_args()
device = torch.device('cuda' if torch.cuda.is_available else 'cpu')  #! is-available-not-called

data_transforms = {
    'train': transforms.Compose([
        transforms.RandomResizedCrop(224),
        transforms.RandomRotation(10, resample=Image.BILINEAR),  #! resample-RandomRotation
        transforms.RandomAffine(5, fillcolor=0),  #! fillcolor
        transforms.ToTensor(),  #! to-tensor
        transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.255]),  #! imagenet-misspelt
    ]),
    'val': transforms.Compose([
        transforms.Resize(256),
        transforms.RandomCrop(224),  #! random-at-test
        transforms.ToTensor(),  #! to-tensor
        transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    ]),
}


class Pictures(Dataset):  #! len-missing
    def __init__(self, folder, transform=None):
        self.folder = folder
        self.transform = transform
        self.names = sorted(os.listdir(folder))

    def __getitem__(self, i):  # and no __len__
        img = cv2.imread(os.path.join(self.folder, self.names[i]))
        img = cv2.cvtColor(img, cv2.COLOR_BGR2RGB)
        return self.transform(Image.fromarray(img)), np.int(0)  #! numpy-int


class Folder(Dataset):  #! len-missing
    def __getitem__(self, i):
        return i


class Classifier(nn.Module):
    def __init__(self, num_classes):
        super(Classifier, self).__init__()  #! super-with-arguments
        self.backbone = models.resnet50(pretrained=True)  #! pretrained-true
        self.backbone.fc = nn.Linear(2048, 512)
        self.heads = [nn.Linear(512, num_classes), nn.Linear(512, 2)]  #! layers-in-a-list
        self.softmax = nn.Softmax()  #! module-without-dim-Softmax

    def forward(self, x):
        x = self.backbone(x)
        x = nn.Dropout(0.3)(x)  #! layer-in-forward
        x = self.softmax(self.heads[0](x))  #! softmax-twice
        return x


class Upsampler(nn.Module):
    def forward(self, x):
        x = nn.functional.upsample(x, scale_factor=2)  #! functional-upsample
        return x.permute(0, 2, 3, 1).view(x.size(0), -1)  #! view-after-permute


image_datasets = {part: torchvision.datasets.ImageFolder(os.path.join(args.data, part), data_transforms[part])
                  for part in ('train', 'val')}
train_loader = DataLoader(image_datasets['train'], batch_size=32, shuffle=False)  #! train-not-shuffled
val_loader = DataLoader(image_datasets['val'], batch_size=32)
vgg = models.vgg16(pretrained=False)  #! pretrained-false
vgg2 = models.vgg16_bn(True)  #! pretrained-position
model = Classifier(10).to(device)
optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)  #! optimizer-before-head
model.extra = nn.Linear(512, 10)
criterion = nn.CrossEntropyLoss(reduction='elementwise_mean')  #! elementwise-mean
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=7, gamma=0.1, verbose=True)  #! scheduler-verbose
scaler = GradScaler()  #! cuda-amp-scaler
writer = SummaryWriter(logdir='runs/a')  #! logdir
writer.add_graph(model, torch.zeros(1, 3, 224, 224))  #! add-graph

best_acc = 0.0
for epoch in range(args.epochs):
    running_loss, accuracy = 0.0, 0.0
    for inputs, labels in tqdm_notebook(train_loader):  #! tqdm-notebook
        inputs = inputs.to(device)
        labels = labels.type(torch.LongTensor).to(device)  #! type-of-a-string
        with autocast():  #! cuda-amp-autocast
            outputs = model(inputs)
            loss = criterion(outputs, labels)
        loss.backward()
        optimizer.zero_grad()  #! zero-grad-between
        optimizer.step()
        running_loss += loss  #! loss-kept
    scheduler.step(epoch)  #! scheduler-step-epoch

    for inputs, labels in val_loader:  #! no-no-grad
        outputs = model(inputs.to(device))
        _, preds = torch.max(outputs.data, 1)  #! tensor-data
        accuracy += (preds == labels).float().mean().item()
    val_acc = accuracy / len(val_loader)  #! mean-of-accuracies
    test_acc = val_acc
    if test_acc > best_acc:  #! best-by-test
        best_acc = test_acc
        torch.save(model, 'best.pth')  #! save-whole-model
    model.eval()  #! eval-never-train

grid = torchvision.utils.make_grid(torch.rand(4, 3, 8, 8), normalize=True, range=(0, 1))  #! make_grid
a, b = torch.meshgrid(torch.arange(3), torch.arange(4))  #! meshgrid
values = torch.symeig(torch.eye(3))  #! torch-symeig
spectrum = torch.rfft(torch.rand(8), 1)  #! torch-rfft
mask = torch.rand(3) > 0.5
picked = torch.rand(3)[mask.byte()]  #! byte-index
kept = torch.rand(3).masked_fill(mask.byte(), 0)  #! byte-mask
torch.rand(3).add_(2, torch.ones(3))  #! old-add
traced = torch.jit.trace(model, torch.zeros(1, 3, 8, 8))  #! jit-trace
print(isinstance(a, collections.Mapping), np.bool8, np.object)  #! collections-Mapping numpy-bool8 numpy-object
colours = plt.cm.get_cmap('jet')  #! get-cmap
plt.hist([1, 2], normed=True)  #! hist-normed
ax = plt.figure().gca(projection='3d')  #! gca-projection
