"""Compares the results of `POST /preprocess` for a folder's files with Pillow's.

Called by scripts/compare-with-pillow. Counts the files that are equal, near (at most one level apart), far, and
refused although Pillow opens them, and names the worst ten that are far, and the reasons of refusals. With --size the
server gets a model with the preprocessing that the options name; without, the preprocessing is the served model's.
Answers of 5xx and panics of a decoder are counted, too; there should be none.
"""

import argparse
import io
import json
import math
import os
import re
import sys
import tempfile
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy
import PIL
from PIL import Image, ImageOps, UnidentifiedImageError

from serving import server

FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def main() -> None:
    repository = Path(sys.argv[1])
    parser = argparse.ArgumentParser(
        prog="compare-with-pillow",
        description=__doc__,
        epilog="Other options, such as --jpeg-scaling off, are the server's.",
    )
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--size", type=int, help="height and width of the network's input")
    parser.add_argument("--ratio", type=float, default=1.0, help="the part of the resized picture that is kept")
    parser.add_argument("--filter", choices=FILTERS, default="bilinear")
    parser.add_argument("--squash", action="store_true", help="ignore the aspect ratio")
    parser.add_argument("--resnetd", type=Path, help="the program; without it the last build")
    wanted, options = parser.parse_known_args(sys.argv[2:])
    files = sorted(path for path in wanted.folder.rglob("*") if path.is_file())
    if not files:
        sys.exit(f"{wanted.folder} has no files")
    with tempfile.TemporaryDirectory() as model:
        if wanted.size:
            if "RESNETD_URL" in os.environ:
                sys.exit("--size starts a server of its own; unset RESNETD_URL")
            write_model(Path(model), repository, wanted)
            options += ["--model", model]
        with address(repository, wanted.resnetd, options) as url:
            steps = card(url)
            findings = [compare(url, path, steps) for path in files]
            panics = panics_of(url)
    report(wanted.folder, findings)
    print(f"  decoders panicked {panics} times")


def write_model(folder: Path, repository: Path, wanted: argparse.Namespace) -> None:
    """A network for images of any size, with the requested preprocessing."""
    weights = repository.resolve() / "models" / "cifar10-resnet20" / "model.safetensors"
    (folder / "model.safetensors").symlink_to(weights)
    (folder / "card.toml").write_text(
        "name = \"compared\"\narchitecture = \"resnet20\"\n"
        f"labels = {[f'class {index}' for index in range(10)]}\n[preprocess]\n"
        f"input = [{wanted.size}, {wanted.size}]\nresize = \"{'exact' if wanted.squash else 'shorter-side'}\"\n"
        f"crop_ratio = {wanted.ratio}\ninterpolation = \"{wanted.filter}\"\n"
        "mean = [0.5, 0.5, 0.5]\nstd = [0.5, 0.5, 0.5]\n"
    )


@contextmanager
def address(repository: Path, program: Path | None, options: list[str]) -> Iterator[str]:
    if url := os.environ.get("RESNETD_URL"):
        yield url.rstrip("/")
        return
    builds = [repository / "target" / profile / "resnetd" for profile in ["release", "debug"]]
    for program in [program] if program else builds:
        if program.exists():
            with server(program, *options) as url:
                yield url
            return
    sys.exit("there is no build: run `cargo build --release`, or set RESNETD_URL")


def card(url: str) -> dict:
    with urllib.request.urlopen(f"{url}/v1/model") as answer:
        return json.load(answer)["preprocess"]


def compare(url: str, path: Path, steps: dict) -> tuple[str, float, float, str, str]:
    """Its kind, the largest and the mean difference, the name, and the reason."""
    try:
        reference = pillow(path, steps)
    except (OSError, ValueError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        reference, why = None, f"Pillow: {error}"
    request = urllib.request.Request(
        f"{url}/preprocess", path.read_bytes(), {"Accept": "image/png", "Content-Type": "application/octet-stream"}
    )
    try:
        with urllib.request.urlopen(request) as answer:
            ours = numpy.asarray(Image.open(io.BytesIO(answer.read())).convert("RGB"), dtype=int)
    except urllib.error.HTTPError as error:
        text = error.read().decode(errors="replace")
        if error.code >= 500:
            return ("5xx", 0, 0, path.name, text[:160])
        return ("refused" if reference is not None else "refused by both", 0, 0, path.name, reason(text))
    if reference is None:
        return ("refused by Pillow only", 0, 0, path.name, why)
    difference = numpy.abs(ours - reference)
    largest, mean = int(difference.max()), float(difference.mean())
    kind = "equal" if largest == 0 else "near" if largest <= 1 else "far"
    return (kind, largest, mean, path.name, f"at most {largest} levels, {mean:.3f} in the mean")


def reason(problem: str) -> str:
    """The message of a problem document, without the advice and checksums."""
    message = json.loads(problem).get("detail", problem)
    return re.sub("0x[0-9a-f]+", "0x…", re.split("; send|, which is not supported", message)[0])[:110]


def panics_of(url: str) -> int:
    with urllib.request.urlopen(f"{url}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    return sum(int(line.split()[-1]) for line in lines if line.startswith("resnetd_decoder_panics_total"))


def pillow(path: Path, steps: dict) -> numpy.ndarray:
    image = ImageOps.exif_transpose(eight_bits(Image.open(path)))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    image = image.convert("RGB")
    height, width = steps["input"]
    ratio = steps.get("crop_ratio", 1.0)
    filter = FILTERS[steps["interpolation"]]
    target = [math.floor(side / ratio) for side in (height, width)]
    if steps["resize"] == "shorter-side":
        target = shorter_side(image, target)
    image = image.resize((target[1], target[0]), filter)
    top, left = (round((target[way] - (height, width)[way]) / 2) for way in (0, 1))
    return numpy.asarray(image.crop((left, top, left + width, top + height)), dtype=int)


def eight_bits(image: Image.Image) -> Image.Image:
    """Scales gray of 16 bits, which Pillow would clip at 255, as docs/images.md says."""
    if not image.mode.startswith("I;16"):
        return image
    levels = numpy.asarray(image).astype(numpy.uint16)
    gray = Image.fromarray((levels >> 8).astype(numpy.uint8))
    if isinstance(clear := image.info.get("transparency"), int):
        gray.putalpha(Image.fromarray(numpy.where(levels == clear, 0, 255).astype(numpy.uint8)))
    gray.info["exif"] = image.getexif().tobytes()
    return gray


def shorter_side(image: Image.Image, target: list[int]) -> list[int]:
    if image.width * target[0] <= image.height * target[1]:
        return [max(target[1] * image.height // image.width, target[0]), target[1]]
    return [target[0], max(target[0] * image.width // image.height, target[1])]


def report(folder: Path, findings: list[tuple[str, float, float, str, str]]) -> None:
    print(f"{folder}: {len(findings)} files, Pillow {PIL.__version__}")
    for kind in ["equal", "near", "far", "refused", "refused by Pillow only", "refused by both", "5xx"]:
        print(f"  {kind:<24}{sum(found[0] == kind for found in findings):>6}")
    compared = [found for found in findings if found[0] in ("equal", "near", "far")]
    if compared:
        mean = sum(found[2] for found in compared) / len(compared)
        print(f"  differences: {mean:.3f} levels in the mean, at most {max(found[1] for found in compared)}")
        print(f"  more than 4 levels: {sum(found[1] > 4 for found in compared)}")
    worst = sorted((found for found in findings if found[0] in ("far", "5xx")), key=lambda found: -found[1])
    for kind, _, _, name, why in worst[:10]:
        print(f"  {kind}: {name}: {why}")
    refusals = Counter(found[4] for found in findings if found[0] == "refused")
    for why, number in refusals.most_common():
        print(f"  refused: {number}: {why}")


main()
