"""Writes cifar10-sample.parquet: the first ten test images of each class, bytes untouched.

    python tests/data/make_sample.py path/to/cifar10/test.parquet

The rows keep the order and the columns of the original. Needs pyarrow.
"""

import sys
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq

PER_CLASS = 10


def main() -> None:
    table = pq.read_table(sys.argv[1])
    seen = Counter()
    rows = []
    for row, label in enumerate(table.column("label").to_pylist()):
        seen[label] += 1
        if seen[label] <= PER_CLASS:
            rows.append(row)
    target = Path(__file__).with_name("cifar10-sample.parquet")
    pq.write_table(table.take(rows), target, compression="snappy")


if __name__ == "__main__":
    main()
