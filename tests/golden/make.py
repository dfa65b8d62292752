"""Writes the logits of PyTorch and torchvision for weights and pixels that follow a formula.

    python tests/golden/make.py

Weights and pixels are those of `seeded.py`, which states the formula. The networks run in
evaluation mode in f64, so that the numbers are the reference's and not one kernel's rounding.
Each file holds, for two images, all logits and the first eight values of the embedding (the
features after global average pooling). The script needs `training/requirements.txt`.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck

HERE = Path(__file__).parent
sys.path += [str(HERE), str(HERE.parents[1] / "training")]
import seeded  # noqa: E402
from resnet import ResNet  # noqa: E402


@dataclass
class Kind:
    """What all networks for one dataset share."""

    classes: int
    input: tuple[int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


IMAGENET = Kind(1000, (224, 224), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CIFAR10 = Kind(10, (32, 32), (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))


def main() -> None:
    write("resnet18", IMAGENET, torchvision.models.resnet18())
    write("resnet50", IMAGENET, torchvision.models.resnet50())
    write("resnet50-v1", IMAGENET, stride_on_first(torchvision.models.resnet50()))
    write("resnet20", CIFAR10, ResNet("resnet20"))


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
    model.fc.register_forward_pre_hook(lambda _, inputs: features.append(inputs[0]))
    logits = model(network_input(kind))
    golden = {
        "architecture": architecture,
        "classes": kind.classes,
        "input": kind.input,
        "logits": rounded(logits),
        "embedding_first8": rounded(features[0][:, :8]),
        "made_by": {"torch": torch.__version__, "torchvision": torchvision.__version__},
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
