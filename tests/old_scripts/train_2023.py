# 2023 年的视频课程风格的训练脚本. The comment `#! row` names what stands in a line.
import time

import cv2
import numpy as np
import torch
import torchvision
from PIL import Image, ImageDraw, ImageFont
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torch.utils.tensorboard import SummaryWriter
from torchvision import transforms
from torchvision.transforms import v2
from tqdm import *  #! tqdm-star

root_dir = "dataset\train"  #! tab-in-path
ants_label = "dataset\\train\\ants_label"
image_path = "dataset\\train\\ants_image"  #! backslash-path

# 准备数据集
train_data = torchvision.datasets.CIFAR10("../data", train=True, transform=torchvision.transforms.ToTensor(),  #! to-tensor
                                          download=True)
test_data = torchvision.datasets.CIFAR10("../data", train=False, transform=torchvision.transforms.ToTensor(),  #! to-tensor
                                         download=True)
train_data_size, test_data_size = len(train_data), len(test_data)
train_dataloader = DataLoader(train_data, batch_size=64)  #! train-not-shuffled
test_dataloader = DataLoader(test_data, batch_size=64)


class Tudui(nn.Module):
    def __int__(self):  #! int-for-init
        super(Tudui, self).__init__()  #! super-with-arguments
        self.linear = nn.Linear(196608, 10)  #! linear-196608

    def forward(self, input):
        return self.linear(input)


class Net(nn.Module):
    def __init__(self):
        super(Net, self).__init__()  #! super-with-arguments
        self.model = nn.Sequential(
            nn.Conv2d(3, 32, 5, 1, 2),
            nn.BatchNorm2d(32),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Dropout(0.5),
            nn.Linear(32 * 16 * 16, 10),
        )

    def forward(self, x):
        return self.model(x)


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3072, 10)

    def forward(self, x):
        x = torch.flatten(x)  #! flatten-the-batch
        return self.fc(x)


# 图片
img = cv2.imread("imgs/dog.png")
writer = SummaryWriter("logs_train")
trans = transforms.ToTensor()  #! to-tensor
writer.add_image("dog", trans(img))  #! bgr-picture
pil = Image.open("imgs/dog.png")
tensor = v2.ToTensor()(pil)  #! v2-to-tensor
erase = transforms.Compose([
    transforms.RandomErasing(),  #! erasing-before-to-tensor
    transforms.ToTensor(),  #! to-tensor
])
draw = ImageDraw.Draw(pil)
size = draw.textsize("dog")  #! textsize
width = ImageFont.load_default().getsize("dog")  #! getsize

tudui = Net()
vgg16 = torchvision.models.vgg16(pretrained=True)  #! pretrained-true
vgg16.classifier.add_module("add_linear", nn.Linear(1000, 10))
tudui = tudui.cuda()  #! cuda
loss_fn = nn.CrossEntropyLoss()
if torch.cuda.is_available():
    loss_fn = loss_fn.cuda()  #! cuda-guarded
learning_rate = 1e-2
for param in vgg16.parameters():
    param.require_grad = False  #! requires-grad-misspelt
optimizer = torch.optim.SGD(tudui.parameters(), lr=learning_rate)
optim_vgg = torch.optim.SGD(vgg16.parameters(), lr=learning_rate)  #! optimizer-before-head
vgg16.classifier[6] = nn.Linear(4096, 10)

total_train_step, total_test_step, epoch = 0, 0, 10
for i in range(epoch):
    for data in train_dataloader:
        imgs, targets = data
        imgs = imgs.cuda()  #! cuda
        targets = targets.cuda()  #! cuda
        outputs = tudui(imgs)
        loss = loss_fn(outputs, targets)
        optimizer.zero_grad  #! method-not-called
        loss.backward()
        optimizer.step()
        total_train_step = total_train_step + 1

    total_test_loss, total_accuracy = 0, 0
    for data in test_dataloader:  #! no-eval
        imgs, targets = data
        with torch.no_grad:  #! no-grad-without-brackets
            outputs = tudui(imgs.cuda())  #! cuda
            loss = loss_fn(outputs, targets)
        total_test_loss = total_test_loss + loss.item()
        accuracy = (outputs.argmax(1) == targets).sum()
        total_accuracy = total_accuracy + accuracy
    print("整体测试集上的正确率: {}".format(total_accuracy / len(test_dataloader)))  #! correct-over-batches
    writer.add_scalar("test_loss", total_test_loss, total_test_step)  #! summed-loss-drawn
    torch.save(tudui, "tudui_{}.pth".format(i))  #! save-whole-model

for data in test_dataloader:  #! no-eval
    imgs, targets = data
    output = torch.reshape(imgs, (1, 1, 1, -1))  #! reshape-the-batch
    flat = torch.flatten(imgs)  #! flatten-the-batch
    probabilities = F.softmax(tudui(imgs))  #! functional-softmax
    log = torch.log(torch.softmax(tudui(imgs), dim=1))  #! log-of-softmax

vgg16.state_dict = torch.load("vgg16_method2.pth")  #! state-dict-assigned
vgg16.training = False  #! training-assigned
model = torch.load("tudui_9.pth", map_location=torch.device("cpu"))  #! load-whole-model
print(model(imgs).argmax(1))
x = torch.Tensor(3)  #! tensor-of-a-size
y = torch.range(1, 3)  #! range
z = torch.cuda.FloatTensor(3)  #! cuda-tensor-Float
n = np.Inf  #! numpy-Inf
data_iter = iter(train_dataloader)
imgs, targets = data_iter.next()  #! iterator-next
parallel = nn.DataParallel(tudui)  #! data-parallel
