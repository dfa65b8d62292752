"""Checks the starter model that scripts/fetch-imagenet installs: check_starter.py --resnetd PATH --dir FOLDER."""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from checks import Checks

ROOT = Path(__file__).resolve().parents[2]
COFFEE = ROOT / "src/http/page/samples/coffee.jpg"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--resnetd", type=Path, required=True)
    parser.add_argument("--dir", type=Path, required=True, help="where the model is put")
    options = parser.parse_args()
    checks = Checks()

    fetch = [ROOT / "scripts/fetch-imagenet", "--resnetd", options.resnetd, "--dir", options.dir]
    subprocess.run(fetch, check=True)
    files = sorted(path.name for path in options.dir.iterdir())
    kept = [".stamp", "card.toml", "model-int8.onnx", "pytorch_model.bin"]
    checks.that(files == kept, f"the card, the weights and the int8 variant are kept, and nothing else: {files}")
    again = subprocess.run(fetch, check=True, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"})
    checks.that("already" in again.stdout, "the second run fetches nothing")
    for precision in ("fp32", "int8"):
        label, probability = best(options, precision)
        checks.that(label == "espresso" and probability > 0.7, f"{precision}: {label}, {probability:.3f}")
    checks.done()


def best(options: argparse.Namespace, precision: str) -> tuple[str, float]:
    """The most probable class of a photo of a coffee, and its probability."""
    command = [options.resnetd, "classify", "--model", options.dir, "--precision", precision, "--device", "cpu"]
    run = subprocess.run([*command, "--json", COFFEE], check=True, capture_output=True, text=True)
    first = json.loads(run.stdout)["predictions"][0]
    return first["label"], first["probability"]


if __name__ == "__main__":
    sys.exit(main())
