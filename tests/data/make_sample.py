"""Writes cifar10-sample.parquet: the first ten test images of each class, bytes untouched.

    python tests/data/make_sample.py path/to/cifar10/test.parquet

The rows keep the order and the columns of the original. The first image of three classes becomes a
PNG too, decoded by Pillow. Needs `training/requirements.txt`.
"""

import io
import sys
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
from PIL import Image

HERE = Path(__file__).parent
PER_CLASS = 10
PNGS = {0: "airplane", 3: "cat", 8: "ship"}


def main() -> None:
    table = pq.read_table(sys.argv[1])
    seen = Counter()
    rows = []
    for row, label in enumerate(table.column("label").to_pylist()):
        seen[label] += 1
        if seen[label] <= PER_CLASS:
            rows.append(row)
    sample = table.take(rows)
    pq.write_table(sample, HERE / "cifar10-sample.parquet", compression="snappy")

    labels = sample.column("label").to_pylist()
    for label, name in PNGS.items():
        encoded = sample.flatten().column("img.bytes")[labels.index(label)].as_py()
        Image.open(io.BytesIO(encoded)).save(HERE / f"cifar10-{name}.png", optimize=True)


if __name__ == "__main__":
    main()
