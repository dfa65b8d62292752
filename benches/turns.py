"""Compares int8 models with each other, and resnetd's kernels with ONNX Runtime's, in turns.

    make bench-turns

Each round measures the machine's limit (`resnetd bench --in-process`) of ResNet-50 and of the starter model, with
`--int8-kernels on` and `off`. Printed are medians over the rounds, and the ratio to the first line: its median and, in
brackets, the lowest and highest of a round. So a machine whose speed drifts changes both sides of a ratio.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

from common import bench, chosen, faultless, make, starter


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--resnetd", required=True, help="the binary")
    parser.add_argument("--photos", required=True, help="folder of photos")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--only", action="append", help="a model, by its name in the table; can be repeated")
    args = parser.parse_args()
    options = ["--in-process", "--device", "cpu", "--data", args.photos]
    options += ["--duration", f"{int(1000 * args.seconds)}ms", "--warm-up", "500ms"]
    with tempfile.TemporaryDirectory() as folder:
        forms = make(args.resnetd, Path(folder), "resnet50") | starter(args.resnetd)
        models = {
            f"{name}, kernels {kernels}": [*forms[name], "--int8-kernels", kernels]
            for name in ("resnet50 int8", "starter int8")
            for kernels in ("on", "off")
        }
        models = chosen(models, args.only)
        speeds = {name: [] for name in models}
        for _ in range(args.rounds):
            for name, model in models.items():
                report = faultless(bench(args.resnetd, *options, *model))
                speeds[name].append(report["goodput_per_second"])
    print("| model | images/s | relative to the first |\n|---|---|---|")
    first = next(iter(speeds.values()))
    for name, found in speeds.items():
        ratios = [speed / reference for speed, reference in zip(found, first, strict=True)]
        print(f"| {name} | {statistics.median(found):.1f} | {statistics.median(ratios):.2f} "
              f"({min(ratios):.2f} to {max(ratios):.2f}) |")


if __name__ == "__main__":
    main()
