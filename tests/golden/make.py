"""Writes the logits of PyTorch, torchvision and timm for weights and pixels that follow a formula.

    scripts/venv .venv-models scripts/model-matrix.txt
    .venv-models/bin/python tests/golden/make.py [NAME]...

makes all of them, or those that are named. Weights and pixels are those of `seeded.py`, which states the formula. The networks run in
evaluation mode in f64, so that the numbers are the reference's and not one kernel's rounding.
Each file holds, for two images, all logits and the first eight values of the embedding (the
features that the last linear layer reads).
"""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
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
    """Settings of all networks for one dataset."""

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
    "mobilenet_v2",
)
TIMM = (
    "resnet18d",
    "resnet50d",
    "resnet10t",
    "resnet14t",
    "resnet50c",
    "resnet50s",
    "resnext50d_32x4d",
    "seresnet18",
    "seresnet50",
    "seresnext50_32x4d",
    "seresnext26d_32x4d",
    "seresnetaa50d",
    "ecaresnet26t",
    "ecaresnet50d",
    "resnetrs50",
    "resnetaa34d",
    "resnetaa50",
    "resnetblur18",
    "resnetblur50d",
    "resnet50_gn",
    "resnetv2_50",
    "efficientnet_lite0",
    "tf_efficientnet_lite0",
)

MAKERS = (torch, torchvision, timm)


def main() -> None:
    wanted, known = sys.argv[1:], networks()
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise SystemExit(f"unknown: {', '.join(unknown)}; the networks are {', '.join(known)}")
    for name, (kind, make) in known.items():
        if not wanted or name in wanted:
            write(name, kind, make())


def networks() -> dict[str, tuple[Kind, Callable[[], nn.Module]]]:
    made = {
        "resnet18": (IMAGENET, torchvision.models.resnet18),
        "resnet50": (IMAGENET, torchvision.models.resnet50),
        "resnet50-v1": (IMAGENET, lambda: stride_on_first(torchvision.models.resnet50())),
        "resnet20": (CIFAR10, lambda: ResNet("resnet20")),
        "plain20": (CIFAR10, lambda: ResNet("plain20")),
        "resnet20-b": (CIFAR10, lambda: projected(ResNet("resnet20"))),
        "resnet18-cifar": (CIFAR10, lambda: for_cifar(small("resnet18"), nn.Identity())),
        "resnet18-cifar-maxpool": (
            CIFAR10,
            lambda: for_cifar(small("resnet18"), nn.MaxPool2d(3, stride=2, padding=1)),
        ),
        "plain18": (SMALL, lambda: plain(small("resnet18"))),
        "resnet34-a": (SMALL, lambda: zero_padded(small("resnet34"))),
        "resnet34-c": (SMALL, lambda: projected_always(small("resnet34"))),
    }
    for name in TORCHVISION:
        made[name] = (SMALL, partial(small, name))
    for name in TIMM:
        made[name] = (SMALL, partial(timm.create_model, name, num_classes=SMALL.classes))
    return made


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
    """The option A of `training/resnet.py`, instead of a projection."""

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


def projected(model: ResNet) -> nn.Module:
    """Option B, as in chenyaofo's pytorch-cifar-models: a projection where a block changes its shape."""
    for stage in (model.layer2, model.layer3):
        inputs, outputs = stage[0].conv1.in_channels, stage[0].conv1.out_channels
        projection = nn.Conv2d(inputs, outputs, 1, stride=2, bias=False)
        downsample = nn.Sequential(projection, nn.BatchNorm2d(outputs))
        stage[0] = BasicBlock(inputs, outputs, stride=2, downsample=downsample)
    return model


def for_cifar(model: nn.Module, pool: nn.Module) -> nn.Module:
    """The stem that kuangliu's pytorch-cifar has, without a pool, or what others make of it."""
    model.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    model.maxpool = pool
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
    head = getattr(model, "head", None)  # of ResNet v2 in timm, a 1x1 convolution
    linear = [layer for layer in model.modules() if isinstance(layer, nn.Linear)]
    classifier = linear[-1] if linear else head.fc
    classifier.register_forward_pre_hook(lambda _, inputs: features.append(inputs[0].flatten(1)))
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
    """Fills every parameter and running statistic, by its name in resnetd's graph."""
    inverted = inverted_names(model) if hasattr(model, "conv_stem") else {}
    for name, value in model.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            name = name.removeprefix("head.")
            layer, _, tensor = name.rpartition(".")
            name = f"{inverted.get(layer, layer)}.{tensor}"
            value.copy_(torch.from_numpy(seeded.tensor(name, tuple(value.shape))))


def inverted_names(model: nn.Module) -> dict[str, str]:
    """timm's names of layers of a net of inverted residual blocks: torchvision's names of the same layers."""
    names = {"conv_stem": "features.0.0", "bn1": "features.0.1", "classifier": "classifier.1"}
    blocks = [
        (f"blocks.{stage}.{index}", block)
        for stage, stage_blocks in enumerate(model.blocks)
        for index, block in enumerate(stage_blocks)
    ]
    for number, (name, block) in enumerate(blocks, start=1):
        layers = [layer for layer, part in block.named_children() if list(part.parameters())]
        places = ["0.0", "0.1", "1.0", "1.1", "2", "3"] if len(layers) == 6 else ["0.0", "0.1", "1", "2"]
        for layer, place in zip(layers, places, strict=True):
            names[f"{name}.{layer}"] = f"features.{number}.conv.{place}"
    last = f"features.{len(blocks) + 1}"
    return names | {"conv_head": f"{last}.0", "bn2": f"{last}.1"}


def network_input(kind: Kind) -> Tensor:
    """Two images, normalised: f64 [2, 3, H, W]."""
    pixels = torch.from_numpy(seeded.pixels(2, *kind.input)).permute(0, 3, 1, 2).double()
    mean = torch.tensor(kind.mean, dtype=torch.float64).view(3, 1, 1)
    std = torch.tensor(kind.std, dtype=torch.float64).view(3, 1, 1)
    return (pixels / 255 - mean) / std


def rounded(values: Tensor) -> list[list[float]]:
    """Nine significant digits, which distinguish all f32 values."""
    return [[float(f"{value:.9g}") for value in row] for row in values.tolist()]


if __name__ == "__main__":
    main()
