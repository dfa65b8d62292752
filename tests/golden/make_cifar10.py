"""Writes PyTorch's logits for the sample images and the weights that ship.

    .venv-training/bin/python tests/golden/make_cifar10.py

Reads models/cifar10-resnet56 and tests/data/cifar10-sample.parquet (decoded by Pillow), runs in f32
and evaluation mode, and writes cifar10-resnet56.json: the logits of each image, in the file's
order, its true class, how many the model gets right, and the rows of those images that tests/data
has as PNG. Needs `training/requirements.txt`.
"""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path.append(str(ROOT / "training"))
import cifar10  # noqa: E402
from resnet import ResNet  # noqa: E402

MODEL = "cifar10-resnet56"
PNGS = {0: "cifar10-airplane.png", 3: "cifar10-cat.png", 8: "cifar10-ship.png"}


def main() -> None:
    model = ResNet("resnet56", len(cifar10.LABELS))
    weights = load_file(ROOT / "models" / MODEL / "model.safetensors")
    missing, unexpected = model.load_state_dict(weights, strict=False)
    if unexpected or not all(name.endswith("num_batches_tracked") for name in missing):
        sys.exit(f"the weights do not fit: missing {missing}, unexpected {unexpected}")

    pixels, classes, _ = cifar10.load(ROOT / "tests" / "data" / "cifar10-sample.parquet")
    logits = cifar10.logits(model, pixels)
    classes = classes.tolist()
    golden = {
        "model": MODEL,
        "labels": cifar10.LABELS,
        "classes": classes,
        "correct": sum(row.argmax().item() == c for row, c in zip(logits, classes, strict=True)),
        "pictures": {name: classes.index(label) for label, name in PNGS.items()},
        "logits": [[float(f"{value:.9g}") for value in row] for row in logits.tolist()],
        "made_by": {"torch": torch.__version__},
    }
    (HERE / f"{MODEL}.json").write_text(json.dumps(golden) + "\n")
    print(f"{golden['correct']} of {len(classes)} correct")


if __name__ == "__main__":
    main()
