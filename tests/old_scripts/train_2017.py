# -*- coding: utf-8 -*-
# A training script in the style of 2017 (PyTorch 0.2 and Python 2.7). The comment `#! row` names what stands in a line.
from __future__ import print_function
import os
import time
import cPickle  #! python2-cPickle
import numpy as np
from PIL import Image
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.nn.init as init
import torch.optim as optim
import torch.optim.lr_scheduler as lr_scheduler
import torchvision
from torch.autograd import Variable
from torch.utils.data import DataLoader, Dataset
from torchvision import datasets, models, transforms
from tensorboardX import SummaryWriter  #! module-tensorboardX

torch.set_default_tensor_type('torch.FloatTensor')  #! set-default-tensor-type
use_cuda = torch.cuda.is_available()
batch_size, epochs, lr = 64, 10, 0.01

normalize = transforms.Normalize([0.5, 0.5, 0.5], [0.5, 0.5, 0.5])
train_transform = transforms.Compose([
    transforms.Scale(40),  #! transforms-Scale
    transforms.RandomSizedCrop(32),  #! transforms-RandomSizedCrop
    transforms.RandomHorizontalFlip(),
    transforms.ToTensor(),  #! to-tensor
    normalize,
])
test_transform = transforms.Compose([  #! normalized-at-training-only
    transforms.Scale(32),  #! transforms-Scale
    transforms.ToTensor(),  #! to-tensor
])
train_set = datasets.CIFAR10('..\\data\\cifar', train=True, transform=train_transform)  #! backslash-path
test_set = datasets.CIFAR10('..\\data\\cifar', train=False, transform=test_transform)  #! backslash-path
print(train_set.train_data.shape, len(train_set.train_labels))  #! cifar-train-data cifar-train-data
print(test_set.test_data.shape)  #! cifar-train-data
train_loader = DataLoader(train_set, batch_size=batch_size, num_workers=2)  #! train-not-shuffled
test_loader = DataLoader(test_set, batch_size=batch_size, shuffle=True, num_workers=2)


class AntsBees(Dataset):
    def __init__(self, root, labels):
        self.root = root
        self.images = os.listdir(root)
        self.labels = os.listdir(labels)

    def __getitem__(self, index):
        image = Image.open(os.path.join(self.root, self.images[index]))
        image = image.resize((32, 32), Image.ANTIALIAS)  #! image-ANTIALIAS
        with open(self.labels[index]) as file:  #! listdir-pairs
            return image, file.read()

    def __len__(self):
        return len(self.images)


class Net(nn.Module):
    def __init__(self):
        super(Net, self).__init__()  #! super-with-arguments
        self.conv1 = nn.Conv2d(3, 20, 5)
        self.conv2 = nn.Conv2d(20, 50, 5)
        self.fc1 = nn.Linear(50 * 5 * 5, 500)
        self.fc2 = nn.Linear(500, 10)
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                init.kaiming_normal(m.weight)  #! init-kaiming_normal
                init.constant(m.bias, 0)  #! init-constant
            elif isinstance(m, nn.Linear):
                nn.init.xavier_uniform(m.weight)  #! init-xavier_uniform
                init.normal(m.bias, 0, 0.01)  #! init-normal

    def forward(self, x):
        x = F.max_pool2d(F.tanh(self.conv1(x)), 2)  #! functional-tanh
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = x.view(x.size(0), -1)
        x = F.dropout(F.sigmoid(self.fc1(x)), 0.5)  #! functional-dropout functional-sigmoid
        return F.log_softmax(self.fc2(x))  #! functional-log_softmax


class Clamp(torch.autograd.Function):
    def forward(self, x):  #! legacy-function
        return x.clamp(min=0)

    def backward(self, grad):
        return grad.clone()


model = Net()
resnet = models.resnet18(pretrained=True)  #! pretrained-true
for param in resnet.parameters():
    param.requires_grad = False
criterion = nn.NLLLoss(size_average=False)  #! size-average-False
if use_cuda:
    model.cuda()  #! cuda-guarded
    criterion = criterion.cuda()  #! cuda-guarded
optimizer = optim.SGD(model.parameters(), lr=lr, momentum=0.9)
scheduler = lr_scheduler.StepLR(optimizer, 5)
writer = SummaryWriter('logs')


def train(epoch):
    model.train()
    correct = 0
    for batch_idx, (data, target) in enumerate(train_loader):
        if use_cuda:
            data, target = data.cuda(), target.cuda()  #! cuda-guarded cuda-guarded
        data, target = Variable(data), Variable(target)  #! variable variable
        optimizer.zero_grad()
        output = model(data)
        loss = criterion(output, target)
        loss.backward(retain_variables=True)  #! retain-variables
        nn.utils.clip_grad_norm(model.parameters(), 5)  #! clip-grad-norm
        optimizer.step()
        pred = output.data.max(1, keepdim=True)[1]  #! tensor-data
        correct += pred.eq(target.data.view_as(pred)).sum()  #! tensor-data
        if batch_idx % 100 == 0:
            print('Epoch {} loss {:.4f}'.format(epoch, loss.data[0]))  #! loss-data-0
            writer.add_scalar('loss', loss.data[0], epoch)  #! loss-data-0
    print('train accuracy', correct, '/', len(train_loader.dataset))


def test():
    model.eval()
    test_loss = 0
    correct = 0
    for data, target in test_loader:
        data = Variable(data, volatile=True)  #! variable-volatile
        target = Variable(target.cuda(async=True))  #! variable cuda async-keyword
        output = model(data)
        test_loss += F.nll_loss(output, target, size_average=False).data[0]  #! size-average-False loss-data-0
        _, predicted = torch.max(output.data, 1)  #! tensor-data
        correct += (predicted == target).sum()
    print 'accuracy', 100. * correct / len(test_loader)  #! print-statement correct-over-batches


for epoch in xrange(epochs):  #! python2-xrange
    scheduler.step()  #! scheduler-first
    start = time.clock()  #! time-clock
    train(epoch)
    test()
    print 'seconds', time.clock() - start  #! print-statement time-clock
    print 'rate', scheduler.get_lr()  #! print-statement scheduler-get-lr
    torch.save(model, 'model_%d.pth' % epoch)  #! save-whole-model

images, labels = iter(test_loader).next()  #! iterator-next
torchvision.utils.save_image(images, 'grid.png', range=(0, 1))  #! save_image
writer.export_scalars_to_json('all.json')  #! export-scalars
saved = torch.load('model_9.pth', map_location=lambda storage, loc: storage)  #! load-whole-model map-location-lambda
saved.eval()
scores = {'train': np.float(1), 'test': 2.0}  #! numpy-float
for name, score in scores.iteritems():  #! python2-iteritems
    print '%s: %f' % (name, score)  #! print-statement
try:
    cPickle.dump(scores, open('scores.pkl', 'wb'))
except IOError, error:  #! except-comma
    print error  #! print-statement
