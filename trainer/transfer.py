"""Training that starts from trained weights: where they come from, which part learns how fast, what is frozen."""

import copy

import torch
from torch import Tensor, nn
from tqdm import tqdm

from common.checkpoint import Trained
from common.pretrained import load_course_network
from trainer import distributed
from trainer.imagenet import load_imagenet_network
from trainer.loader import MemoryLoader

HEAD = "fc"  # the last linear layer of every ResNet: the only part that knows the classes
BACKBONE_LR = 0.1  # times the head's: the backbone is good already, while the head begins with random numbers
CHUNK = 250  # pictures that go through the frozen part together


def load_pretrained(which: str | None) -> Trained | None:
    """The network that --pretrained names, on the CPU, or None without it. UserError where it is not to be had."""
    if which is None:
        return None
    if which == "imagenet":
        trained = distributed.local_rank0_first(load_imagenet_network)
        print("start: ResNet-18, trained on 1.3 million photographs of ImageNet's 1,000 classes, with a new head")
    else:
        course = distributed.local_rank0_first(load_course_network)
        trained = course.trained
        found = f"finds {course.accuracy:.1%} of {course.test_pictures:,} test pictures"
        print(f"start: the course's network ({course.pictures:,} photographs of CIFAR-10; {found}), with a new head")
    return trained


def copy_backbone(trained: Trained, model: nn.Module) -> None:
    """Give the model all weights of the trained one but those of its head."""
    weights = model.state_dict()
    weights |= {k: v for k, v in trained.model.state_dict().items() if not k.startswith(f"{HEAD}.")}
    model.load_state_dict(weights)


def parameter_groups(model: nn.Module, options: dict) -> tuple[list[dict], list[float]]:
    """What the optimizer gets, and the learning rate of each group: the head first, whose rate is --lr.

    Without --pretrained, all weights are one group. With --freeze, only the head is left to learn.
    """
    lr = options["lr"]
    if not options["pretrained"]:
        return [{"params": list(model.parameters())}], [lr]
    head = list(model.get_submodule(HEAD).parameters())
    backbone = [p for name, p in model.named_parameters() if not name.startswith(f"{HEAD}.")]
    if options["freeze"]:
        for parameter in backbone:
            parameter.requires_grad_(False)
        return [{"params": head, "lr": lr}], [lr]
    return [{"params": head, "lr": lr}, {"params": backbone, "lr": lr * BACKBONE_LR}], [lr, lr * BACKBONE_LR]


def head_and_features(model: nn.Module, loaders: dict, amp: bool) -> tuple[nn.Module, dict[str, "FeatureLoader"]]:
    """The head alone, to be trained in its place in the model, and loaders that give it what the frozen part says."""
    backbone = copy.deepcopy(model)  # never trained, so that a copy stays the same
    setattr(backbone, HEAD, nn.Identity())
    backbone.eval().requires_grad_(False)  # BatchNorm: with the statistics that it came with, which stay as they are
    chosen = {split: loader for split, loader in loaders.items() if split != "test"}  # measured with the whole network
    return model.get_submodule(HEAD), {s: FeatureLoader(loader, backbone, amp) for s, loader in chosen.items()}


class FeatureLoader(MemoryLoader):
    """The batches of a MemoryLoader after the frozen part of a network: float32 features (B, F) and labels (B,).

    Without augmentation a picture's features are always the same: they are computed once and kept.
    """

    def __init__(self, loader: MemoryLoader, backbone: nn.Module, amp: bool):
        vars(self).update(vars(loader))  # the same pictures, order, augmentation and share
        self.backbone, self.amp = backbone, amp
        self.features = None if self.augment else self.compute_all()  # (N, F)

    def compute_all(self) -> Tensor:
        """The features of all pictures, in their order."""
        prepare = super().prepare
        numbers = torch.arange(len(self.labels), device=self.labels.device).split(CHUNK)
        bar = tqdm(numbers, "features", leave=False, disable=None if distributed.rank() == 0 else True)
        return torch.cat([self.run(prepare(index, None, None)) for index in bar])

    @torch.no_grad()
    def run(self, images: Tensor) -> Tensor:
        """The features of prepared pictures: (B, 3, H, W) -> (B, F)."""
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.amp):
            return self.backbone(images).float()

    def prepare(self, index: Tensor, flip: Tensor, shift: Tensor) -> Tensor:
        """The features of these pictures (B,): those that are kept, or else computed after the augmentation."""
        if self.features is not None:
            return self.features[index]
        return self.run(super().prepare(index, flip, shift))
