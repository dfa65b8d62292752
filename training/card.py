"""The model card that resnetd reads next to the weights."""

from dataclasses import dataclass
from pathlib import Path

import cifar10
from files import replacing

CARD = """\
name = "cifar10-{architecture}"
architecture = "{architecture}"
description = "{title} of He et al. 2015 (section 4.2), trained on CIFAR-10"
license = "Apache-2.0"
labels = [{labels}]

[preprocess]
input = [32, 32]
resize = "shorter-side"
crop_ratio = 1.0
interpolation = "bilinear"
mean = [{mean}]
std = [{std}]
"""

FIGURE = """
[[figures]]
metric = "{0.metric}"
value = {0.value}
dataset = "{0.dataset}"
command = "{0.command}"
"""


@dataclass
class Figure:
    """A measured value with its metric, dataset and command."""

    metric: str
    value: float
    dataset: str
    command: str


def write_card(path: Path, architecture: str, figures: list[Figure]) -> None:
    text = CARD.format(
        architecture=architecture,
        title=architecture.replace("resnet", "ResNet-"),
        labels=", ".join(f'"{label}"' for label in cifar10.LABELS),
        mean=", ".join(f"{value:.4f}" for value in cifar10.MEAN),
        std=", ".join(f"{value:.4f}" for value in cifar10.STD),
    )
    text += "".join(FIGURE.format(figure) for figure in figures)
    with replacing(path) as unfinished:
        unfinished.write_text(text)
