"""Writes photos with the logits of the framework that trained a network, for `resnetd verify`.

    python training/reference.py --torchvision resnet50 --output golden.npz photos/*.jpg
    python training/reference.py --torchvision resnet50:IMAGENET1K_V1 --weights mine.pth ...
    python training/reference.py --timm resnet50.a1_in1k ...
    python training/reference.py --transformers microsoft/resnet-50 ...
    python training/reference.py --own models/cifar10-resnet56 ...

Each photo is preprocessed by the library, so that resnetd's preprocessing is compared too. The file
has `photo_0`, `photo_1`, ... (uint8, the image files' bytes) and `logits` (float32, [photos,
classes]). Requires `requirements.txt` and the library, which may download its weights. For torchvision and timm,
`--weights` (a state dict, as safetensors or of `torch.save`) replaces the library's weights, and `--classes` sets
their number of classes.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from safetensors.torch import load_file

Scorer = Callable[[Image.Image], torch.Tensor]


def state_dict(weights: Path) -> dict[str, torch.Tensor]:
    """The tensors of a state dict, or of a training checkpoint that contains one."""
    if weights.suffix == ".safetensors":
        return load_file(weights)
    with torch.serialization.safe_globals([argparse.Namespace]):
        saved = torch.load(weights, map_location="cpu", weights_only=True)
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(saved.get(key), dict):
            return saved[key]
    return saved


def of_torchvision(name: str, weights: Path | None, classes: int | None) -> Scorer:
    import torchvision

    name, _, version = name.partition(":")
    published = torchvision.models.get_model_weights(name)[version or "DEFAULT"]
    transform = published.transforms()
    if weights is None:
        model = torchvision.models.get_model(name, weights=published)
    else:
        model = torchvision.models.get_model(name, num_classes=classes or 1000)
        model.load_state_dict(state_dict(weights))
    model.eval()
    return lambda image: model(transform(image)[None])[0]


def of_timm(name: str, weights: Path | None, classes: int | None) -> Scorer:
    import timm

    options = {"pretrained": weights is None} | ({"num_classes": classes} if classes else {})
    model = timm.create_model(name, **options)
    if weights is not None:
        model.load_state_dict(state_dict(weights))
    model.eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
    return lambda image: model(transform(image)[None])[0]


def of_transformers(name: str, *_: None) -> Scorer:
    from transformers import AutoImageProcessor, AutoModelForImageClassification

    processor = AutoImageProcessor.from_pretrained(name)
    model = AutoModelForImageClassification.from_pretrained(name).eval()
    return lambda image: model(**processor(image, return_tensors="pt")).logits[0]


def of_own(folder: str, *_: None) -> Scorer:
    """A network of this repository, built by `resnet.py` from its card; torchvision resizes with Pillow."""
    import tomllib

    from resnet import ResNet
    from torchvision.transforms import v2

    card = tomllib.loads((Path(folder) / "card.toml").read_text())
    steps = card["preprocess"]
    if (steps["resize"], steps["crop_ratio"], steps["interpolation"]) != ("shorter-side", 1.0, "bilinear"):
        raise SystemExit(f"{folder}: preprocess must have resize shorter-side, crop_ratio 1.0 and interpolation bilinear")
    transform = v2.Compose([
        v2.Resize(steps["input"][0]),
        v2.CenterCrop(steps["input"]),
        v2.ToImage(),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize(steps["mean"], steps["std"]),
    ])
    model = ResNet(card["architecture"], len(card["labels"]))
    model.load_state_dict(load_file(Path(folder) / "model.safetensors"))
    model.eval()
    return lambda image: model(transform(image)[None])[0]


LIBRARIES = {
    "torchvision": of_torchvision,
    "timm": of_timm,
    "transformers": of_transformers,
    "own": of_own,
}


def upright(photo: Path) -> Image.Image:
    """Decodes a photo with its EXIF orientation applied, as in resnetd. Most training libraries ignore it."""
    return ImageOps.exif_transpose(Image.open(photo)).convert("RGB")


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    library = parser.add_mutually_exclusive_group(required=True)
    for name in LIBRARIES:
        library.add_argument(f"--{name}", metavar="MODEL", help="folder of the model" if name == "own" else f"name of the network in {name}")
    parser.add_argument("--weights", type=Path, help="state dict (safetensors or torch.save) that replaces the library's weights")
    parser.add_argument("--classes", type=int, help="number of classes of these weights")
    parser.add_argument("--output", type=Path, default=Path("golden.npz"))
    parser.add_argument("photos", type=Path, nargs="+")
    arguments = parser.parse_args()

    name = next(name for name in LIBRARIES if getattr(arguments, name))
    if (arguments.weights or arguments.classes) and name not in ("torchvision", "timm"):
        parser.error("--weights and --classes are for --torchvision and --timm; for transformers, give the folder of your model")
    scorer = LIBRARIES[name](getattr(arguments, name), arguments.weights, arguments.classes)
    logits = [scorer(upright(photo)).numpy() for photo in arguments.photos]
    arrays = {
        f"photo_{number}": np.frombuffer(photo.read_bytes(), np.uint8)
        for number, photo in enumerate(arguments.photos)
    }
    np.savez(arguments.output, logits=np.stack(logits).astype(np.float32), **arrays)
    print(f"{arguments.output}: {len(logits)} photos, {len(logits[0])} classes")


if __name__ == "__main__":
    main()
