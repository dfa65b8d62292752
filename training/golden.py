"""Puts golden photos into a model's card: pictures with the logits that PyTorch gives them.

    python training/golden.py --model models/cifar10-resnet20 tests/data/cifar10-*.png

resnetd runs them at every load, and does not become ready where its logits are others. The pictures
must be PNG, which every decoder reads alike, and of the network's own size, so that they say nothing
of resizing. The network is that of `resnet.py`, in float64. Golden photos that the card has are
replaced.
"""

import argparse
import base64
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
        raise SystemExit(f"{photo} is not of the network's size, {card['preprocess']['input']}")
    pixels = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1).double() / 255
    mean, std = (
        torch.tensor(card["preprocess"][key], dtype=torch.float64).view(3, 1, 1)
        for key in ("mean", "std")
    )
    return model(((pixels - mean) / std)[None])[0].tolist()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="folder with card and weights")
    parser.add_argument("photos", type=Path, nargs="+", help="PNG files")
    arguments = parser.parse_args()

    path = arguments.model / "card.toml"
    text = path.read_text().split(HEADER)[0].rstrip("\n") + "\n"
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
