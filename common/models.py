"""The networks that several lessons share: pictures (N, 3, 32, 32), or larger ones, to logits (N, num_classes)."""

from torch import Tensor, nn

from common import UserError


class CifarCNN(nn.Module):
    """The course CNN: three 5x5 convolutions, each with BatchNorm, ReLU and a pool, then two linear layers.

    The sizes are those of the CIFAR-10 quick model that video courses build; BatchNorm and ReLU they leave out.
    """

    def __init__(self, num_classes: int = 10):
        super().__init__()
        self.features = nn.Sequential(
            *_convolution(3, 32),  # (N, 3, 32, 32) -> (N, 32, 16, 16)
            *_convolution(32, 32),  # -> (N, 32, 8, 8)
            *_convolution(32, 64),  # -> (N, 64, 4, 4)
        )
        self.classifier = nn.Sequential(
            nn.Flatten(),  # (N, 64, 4, 4) -> (N, 1024)
            nn.Linear(64 * 4 * 4, 64),
            nn.ReLU(),
            nn.Linear(64, num_classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(self.features(images))


def _convolution(in_channels: int, out_channels: int) -> list[nn.Module]:
    """Same height and width out of the convolution, half of both out of the pool. BatchNorm brings its own bias."""
    return [
        nn.Conv2d(in_channels, out_channels, kernel_size=5, padding=2, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
        nn.MaxPool2d(2),
    ]


class ClassicCNN(nn.Module):
    """The network of the video courses, name for name (`model.0.weight` …): no activation anywhere.

    Without one, only the max pools keep it from being a single linear map.
    """

    def __init__(self, num_classes: int = 10):
        super().__init__()
        self.model = nn.Sequential(
            nn.Conv2d(3, 32, kernel_size=5, padding=2),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 32, kernel_size=5, padding=2),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 64, kernel_size=5, padding=2),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(64 * 4 * 4, 64),
            nn.Linear(64, num_classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        return self.model(images)


class LeNet(nn.Module):
    """LeNet-5 with ReLU and max pooling, for colour pictures (after LeCun et al. 1998, doi 10.1109/5.726791)."""

    def __init__(self, num_classes: int = 10):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 6, kernel_size=5),  # (N, 3, 32, 32) -> (N, 6, 28, 28)
            nn.ReLU(),
            nn.MaxPool2d(2),  # -> (N, 6, 14, 14)
            nn.Conv2d(6, 16, kernel_size=5),  # -> (N, 16, 10, 10)
            nn.ReLU(),
            nn.MaxPool2d(2),  # -> (N, 16, 5, 5)
        )
        self.classifier = nn.Sequential(
            nn.Flatten(),  # (N, 16, 5, 5) -> (N, 400)
            nn.Linear(16 * 5 * 5, 120),
            nn.ReLU(),
            nn.Linear(120, 84),
            nn.ReLU(),
            nn.Linear(84, num_classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(self.features(images))


def cifar_resnet18(num_classes: int = 10) -> nn.Module:
    """torchvision's ResNet-18 with random weights and the stem that fits 32x32 pictures.

    The stem made for 224x224 pictures would shrink these to 8x8 before the first block (He et al. 2015, section 4.2,
    use a 3x3 convolution and no pool on CIFAR-10; doi 10.1109/CVPR.2016.90).
    """
    model = large_resnet18(num_classes)
    model.conv1 = nn.Conv2d(3, 64, kernel_size=3, padding=1, bias=False)
    model.maxpool = nn.Identity()
    return model


def large_resnet18(num_classes: int = 10) -> nn.Module:
    """torchvision's ResNet-18 as it is, with random weights: for photographs of about 224x224, as in ImageNet."""
    from torchvision.models import resnet18  # here, because that takes seconds, and few lessons need it

    return resnet18(weights=None, num_classes=num_classes)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions, added to what came in (He et al. 2015, section 3.3).

    With stride 2, height and width are halved; what came in is then thinned out alike and filled up with channels of
    zeros, so that the shortcut has no weights of its own (their option A).
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, kernel_size=3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.stride, self.new_channels = stride, out_channels - in_channels

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn1(self.conv1(x)).relu()
        out = self.bn2(self.conv2(out))
        shortcut = x[:, :, :: self.stride, :: self.stride]
        if self.new_channels:
            shortcut = nn.functional.pad(shortcut, (0, 0, 0, 0, 0, self.new_channels))  # zeros behind the channels
        return (out + shortcut).relu()


class ResNet20(nn.Module):
    """The smallest of the residual networks made for CIFAR-10 (He et al. 2015, section 4.2; doi 10.1109/CVPR.2016.90).

    19 convolutions and one linear layer. Each channel is averaged at the end, so pictures of any size fit.
    """

    def __init__(self, num_classes: int = 10):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 16, kernel_size=3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()
        )  # (N, 3, 32, 32) -> (N, 16, 32, 32)
        self.stages = nn.Sequential(
            _stage(16, 16, stride=1),  # -> (N, 16, 32, 32)
            _stage(16, 32, stride=2),  # -> (N, 32, 16, 16)
            _stage(32, 64, stride=2),  # -> (N, 64, 8, 8)
        )
        self.fc = nn.Linear(64, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        features = self.stages(self.stem(images))
        return self.fc(features.mean(dim=(2, 3)))  # (N, 64, 8, 8) -> (N, 64) -> (N, num_classes)


def _stage(in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
    """Three blocks; the first one changes the sizes."""
    return nn.Sequential(
        BasicBlock(in_channels, out_channels, stride),
        BasicBlock(out_channels, out_channels, stride=1),
        BasicBlock(out_channels, out_channels, stride=1),
    )


MODELS = {
    "cnn": CifarCNN,
    "cnn-classic": ClassicCNN,
    "lenet": LeNet,
    "resnet18": cifar_resnet18,
    "resnet20": ResNet20,
    "resnet18-224": large_resnet18,
}

# Height and width of the pictures that a network takes: the least, the usual and the most. BatchNorm needs at least
# 2x2 numbers of a channel in the last stage, because the last batch of an epoch may be a single picture.
IMAGE_SIZES = {"resnet18": (16, 32, 1024), "resnet20": (8, 32, 1024), "resnet18-224": (64, 224, 1024)}
ONLY_32 = (32, 32, 32)  # for the others: their first linear layer counts on it


def make_model(name: str, num_classes: int = 10) -> nn.Module:
    """A new network by its name in MODELS, with random weights on the CPU. UserError for an unknown name."""
    if name not in MODELS:
        raise UserError(f"no model is called {name!r}: choose from {', '.join(MODELS)}")
    return MODELS[name](num_classes)


def count_parameters(model: nn.Module) -> int:
    """How many numbers training may change."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
