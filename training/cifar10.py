"""CIFAR-10 from parquet files, kept in memory as uint8 and augmented batch by batch."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from PIL import Image
from torch import Tensor

LABELS = "airplane automobile bird cat deer dog frog horse ship truck".split()
MEAN = (0.4914, 0.4822, 0.4465)  # of values in 0..1, by channel R, G, B
STD = (0.2470, 0.2435, 0.2616)
PAD = 4


def load(path: Path) -> tuple[Tensor, Tensor, str]:
    """Reads pixels uint8 [N, 3, 32, 32], labels int64 [N], and the images' format, such as PNG.

    The encoded images are the column `img.bytes`, or the field `bytes` of the column `img`, as in
    the public dataset `uoft-cs/cifar10`.
    """
    table = pq.read_table(path)
    if "img" in table.column_names:
        table = table.flatten()  # the struct `img` becomes `img.bytes` and `img.path`
    images = [Image.open(io.BytesIO(encoded)) for encoded in table.column("img.bytes").to_pylist()]
    formats = " and ".join(sorted({image.format for image in images}))
    pixels = torch.from_numpy(np.stack([np.asarray(image.convert("RGB")) for image in images]))
    labels = torch.tensor(table.column("label").to_pylist())
    return pixels.permute(0, 3, 1, 2).contiguous(), labels, formats


def normalise(pixels: Tensor) -> Tensor:
    """Converts uint8 [N, 3, H, W] to the network's input, f32 of the same shape."""
    mean = torch.tensor(MEAN).view(3, 1, 1)
    std = torch.tensor(STD).view(3, 1, 1)
    x = (pixels.float() / 255 - mean) / std
    return x.contiguous(memory_format=torch.channels_last)


def pad(pixels: Tensor) -> Tensor:
    """Adds a border of the mean colour, which is zero after normalisation."""
    n, _, height, width = pixels.shape
    colour = torch.tensor(MEAN).mul(255).round().to(torch.uint8).view(1, 3, 1, 1)
    padded = colour.repeat(n, 1, height + 2 * PAD, width + 2 * PAD)
    padded[:, :, PAD:-PAD, PAD:-PAD] = pixels
    return padded


def augmented_batches(
    padded: Tensor, labels: Tensor, size: int, cutout: int, rng: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """One epoch in random order; each image is cropped randomly, and flipped with probability 0.5.

    `padded` is what `pad` returns. The last, smaller batch is omitted. A square of `cutout` pixels,
    centred anywhere in the image, is set to the mean colour (DeVries and Taylor 2017).
    """
    windows = padded.unfold(2, 32, 1).unfold(3, 32, 1)  # a view: [N, 3, top, left, 32, 32]
    order = torch.randperm(len(labels), generator=rng)
    for picked in order.split(size):
        if len(picked) < size:
            return
        top, left = torch.randint(2 * PAD + 1, (2, size), generator=rng)
        crops = windows[picked, :, top, left]
        flip = torch.randint(2, (size, 1, 1, 1), generator=rng, dtype=torch.bool)
        x = normalise(torch.where(flip, crops.flip(3), crops))
        if cutout:
            x = x * outside_of_squares(size, cutout, rng)
        yield x, labels[picked]


def outside_of_squares(count: int, side: int, rng: torch.Generator) -> Tensor:
    """Masks, f32 [count, 1, 32, 32]: 0 in a square of each image, which may extend beyond its border."""
    places = torch.arange(32)
    centre = torch.randint(32, (2, count, 1), generator=rng)
    inside = (places - centre + side // 2 >= 0) & (places - centre + side // 2 < side)
    rows, columns = inside
    return 1 - (rows[:, None, :, None] & columns[:, None, None, :]).float()


@torch.inference_mode()
def logits(model: torch.nn.Module, pixels: Tensor, size: int = 500) -> Tensor:
    """The logits in evaluation mode, f32 [N, classes]."""
    model.eval()
    return torch.cat([model(normalise(part)) for part in pixels.split(size)])


def accuracy(scores: Tensor, labels: Tensor, k: int = 1) -> float:
    """Top-k accuracy: the fraction of images whose label is among the k highest scores."""
    best = scores.topk(k, dim=1).indices
    return (best == labels[:, None]).any(dim=1).double().mean().item()
