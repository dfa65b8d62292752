"""Weight files by formula for the ImageNet and CIFAR ResNets, without a deep learning library."""

import json
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "golden"))
import seeded  # noqa: E402

Shape = tuple[int, ...]

# Name: blocks per stage, widths, outputs of a block per width, kernel of the stem, classes.
NETWORKS = {
    "resnet18": ((2, 2, 2, 2), (64, 128, 256, 512), 1, 7, 1000),
    "resnet50": ((3, 4, 6, 3), (64, 128, 256, 512), 4, 7, 1000),
    "resnet20": ((3, 3, 3), (16, 32, 64), 1, 3, 10),
    "resnet56": ((9, 9, 9), (16, 32, 64), 1, 3, 10),
    "plain20": ((3, 3, 3), (16, 32, 64), 1, 3, 10),
}


def shapes(architecture: str) -> Iterator[tuple[str, Shape]]:
    """Names and shapes of all tensors, as torchvision has them."""
    blocks, widths, expansion, kernel, classes = NETWORKS[architecture]
    channels = widths[0]
    yield from convolution("conv1", "bn1", (channels, 3, kernel, kernel))
    for stage, (count, width) in enumerate(zip(blocks, widths, strict=True), start=1):
        outputs = width * expansion
        for index in range(count):
            block = f"layer{stage}.{index}"
            if expansion == 1:
                convolutions = [(width, channels, 3, 3), (width, width, 3, 3)]
            else:
                convolutions = [
                    (width, channels, 1, 1),
                    (width, width, 3, 3),
                    (outputs, width, 1, 1),
                ]
            for i, shape in enumerate(convolutions, start=1):
                yield from convolution(f"{block}.conv{i}", f"{block}.bn{i}", shape)
            if channels != outputs and classes > 10:  # the CIFAR nets' shortcuts have no weights
                name = f"{block}.downsample"
                yield from convolution(f"{name}.0", f"{name}.1", (outputs, channels, 1, 1))
            channels = outputs
    yield "fc.weight", (classes, channels)
    yield "fc.bias", (classes,)


def convolution(name: str, norm: str, shape: Shape) -> Iterator[tuple[str, Shape]]:
    yield f"{name}.weight", shape
    for part in ("weight", "bias", "running_mean", "running_var"):
        yield f"{norm}.{part}", shape[:1]


def write(path: Path, architecture: str) -> None:
    """Writes a safetensors file: the header's length, the header in JSON, the values."""
    header, values, end = {}, [], 0
    for name, shape in shapes(architecture):
        data = seeded.tensor(name, shape).astype("<f4").tobytes()
        offsets = [end, end + len(data)]
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": offsets}
        values.append(data)
        end = offsets[1]
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)))
        file.write(text)
        file.writelines(values)
