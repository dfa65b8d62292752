"""Writes the logits of PyTorch, torchvision and timm for weights and pixels that follow a formula.

    python tests/golden/make.py

Weights and pixels are those of `seeded.py`, which states the formula. The networks run in
evaluation mode in f64, so that the numbers are the reference's and not one kernel's rounding.
Each file holds, for two images, all logits and the first eight values of the embedding (the
features that the last linear layer reads). The script needs `training/requirements.txt` and
`timm==1.0.31`.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import timm
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck

HERE = Path(__file__).parent
sys.path += [str(HERE), str(HERE.parents[1] / "training")]
import seeded  # noqa: E402
from resnet import ResNet, shortcut  # noqa: E402


@dataclass
class Kind:
    """What all networks for one dataset share."""

    classes: int
    input: tuple[int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


SMALL = Kind(10, (64, 64), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
IMAGENET = Kind(1000, (224, 224), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CIFAR10 = Kind(10, (32, 32), (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))


TORCHVISION = (
    "resnet34",
    "resnet101",
    "resnet152",
    "wide_resnet50_2",
    "wide_resnet101_2",
    "resnext50_32x4d",
    "resnext101_32x8d",
    "resnext101_64x4d",
    "vgg11",
    "vgg16_bn",
)
TIMM = ("resnet18d", "resnet50d", "resnet10t", "resnet14t", "seresnet18", "seresnet50")

MAKERS = (torch, torchvision, timm)


def main() -> None:
    write("resnet18", IMAGENET, torchvision.models.resnet18())
    write("resnet50", IMAGENET, torchvision.models.resnet50())
    write("resnet50-v1", IMAGENET, stride_on_first(torchvision.models.resnet50()))
    write("resnet20", CIFAR10, ResNet("resnet20"))
    write("plain20", CIFAR10, ResNet("plain20"))
    for name in TORCHVISION:
        write(name, SMALL, small(name))
    for name in TIMM:
        write(name, SMALL, timm.create_model(name, num_classes=SMALL.classes))
    write("plain18", SMALL, plain(small("resnet18")))
    write("resnet34-a", SMALL, zero_padded(small("resnet34")))
    write("resnet34-c", SMALL, projected_always(small("resnet34")))


def small(name: str) -> nn.Module:
    return torchvision.models.get_model(name, num_classes=SMALL.classes)


class PlainBlock(nn.Module):
    """A basic block of torchvision without its shortcut."""

    def __init__(self, block: BasicBlock):
        super().__init__()
        self.conv1, self.bn1 = block.conv1, block.bn1
        self.conv2, self.bn2 = block.conv2, block.bn2

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))


class ZeroPad(nn.Module):
    """The option A of `training/resnet.py`, in the place of a projection."""

    def __init__(self, outputs: int, stride: int):
        super().__init__()
        self.outputs, self.stride = outputs, stride

    def forward(self, x: Tensor) -> Tensor:
        return shortcut(x, self.outputs, self.stride)


def plain(model: nn.Module) -> nn.Module:
    for stage in (model.layer1, model.layer2, model.layer3, model.layer4):
        for index, block in enumerate(stage):
            stage[index] = PlainBlock(block)
    return model


def zero_padded(model: nn.Module) -> nn.Module:
    """Option A: no parameters in any shortcut."""
    for block in blocks(model):
        if block.downsample:
            block.downsample = ZeroPad(block.conv1.out_channels, block.stride)
    return model


def projected_always(model: nn.Module) -> nn.Module:
    """Option C: a projection in every shortcut."""
    for block in blocks(model):
        channels = block.conv1.out_channels
        if not block.downsample:
            projection = nn.Conv2d(channels, channels, 1, bias=False)
            block.downsample = nn.Sequential(projection, nn.BatchNorm2d(channels))
    return model


def blocks(model: nn.Module) -> list[BasicBlock]:
    return [block for block in model.modules() if isinstance(block, BasicBlock)]


def stride_on_first(model: nn.Module) -> nn.Module:
    """Moves each bottleneck's stride from the 3x3 convolution to the first 1x1, as in the paper."""
    for block in model.modules():
        if isinstance(block, Bottleneck):
            block.conv1.stride, block.conv2.stride = block.conv2.stride, block.conv1.stride
    return model


@torch.inference_mode()
def write(architecture: str, kind: Kind, model: nn.Module) -> None:
    seed(model)
    model.eval().double()
    features = []  # what enters the classifier
    classifier = [layer for layer in model.modules() if isinstance(layer, nn.Linear)][-1]
    classifier.register_forward_pre_hook(lambda _, inputs: features.append(inputs[0]))
    logits = model(network_input(kind))
    golden = {
        "architecture": architecture,
        "classes": kind.classes,
        "input": kind.input,
        "logits": rounded(logits),
        "embedding_first8": rounded(features[0][:, :8]),
        "made_by": {library.__name__: library.__version__ for library in MAKERS},
    }
    (HERE / f"{architecture}.json").write_text(json.dumps(golden) + "\n")
    print(f"{architecture}: largest logit {logits.abs().max():.4g}")


def seed(model: nn.Module) -> None:
    """Fills every parameter and every running statistic by its name."""
    for name, value in model.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            value.copy_(torch.from_numpy(seeded.tensor(name, tuple(value.shape))))


def network_input(kind: Kind) -> Tensor:
    """Two images, normalised: f64 [2, 3, H, W]."""
    pixels = torch.from_numpy(seeded.pixels(2, *kind.input)).permute(0, 3, 1, 2).double()
    mean = torch.tensor(kind.mean, dtype=torch.float64).view(3, 1, 1)
    std = torch.tensor(kind.std, dtype=torch.float64).view(3, 1, 1)
    return (pixels / 255 - mean) / std


def rounded(values: Tensor) -> list[list[float]]:
    """Nine significant digits, which tell any two f32 apart."""
    return [[float(f"{value:.9g}") for value in row] for row in values.tolist()]


if __name__ == "__main__":
    main()
