"""Adds golden photos to a model's card: images with the logits that PyTorch computes for them.

    python training/golden.py --model models/cifar10-resnet20 tests/data/cifar10-*.png

resnetd runs them at every load, and does not become ready if its logits differ. The images must be
PNG, which all decoders decode identically, and have the network's input size, so that resizing has no
influence. The network is that of `resnet.py`, in float64. Existing golden photos of the card are
replaced.
"""

import argparse
import base64
import re
import tomllib
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file

from resnet import ResNet

HEADER = "\n[[golden]]"


@torch.inference_mode()
def logits(model: ResNet, card: dict, photo: Path) -> list[float]:
    image = Image.open(photo).convert("RGB")
    if [image.height, image.width] != card["preprocess"]["input"]:
        raise SystemExit(f"{photo} has {image.height}x{image.width} pixels; it must have {card['preprocess']['input']}")
    pixels = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1).double() / 255
    mean, std = (
        torch.tensor(card["preprocess"][key], dtype=torch.float64).view(3, 1, 1)
        for key in ("mean", "std")
    )
    return model(((pixels - mean) / std)[None])[0].tolist()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="folder with card.toml and the weights")
    parser.add_argument("photos", type=Path, nargs="+", help="PNG files")
    arguments = parser.parse_args()

    path = arguments.model / "card.toml"
    text = re.sub(r"\n\[\[golden\]\]\n(?:(?!\n\[).)*", "", path.read_text(), flags=re.DOTALL).rstrip("\n") + "\n"
    card = tomllib.loads(text)
    model = ResNet(card["architecture"])
    model.load_state_dict(load_file(arguments.model / "model.safetensors"), strict=False)
    model.eval().double()
    for photo in arguments.photos:
        encoded = base64.b64encode(photo.read_bytes()).decode()
        values = ", ".join(f"{value:.7g}" for value in logits(model, card, photo))
        text += f'{HEADER}\nphoto = "{encoded}"\nlogits = [{values}]\n'
    path.write_text(text)
    print(f"{path}: {len(arguments.photos)} golden photos")


if __name__ == "__main__":
    main()
