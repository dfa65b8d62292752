"""Measures the time until a server is ready, and its memory then and under load.

    make bench-start

Starts each model several times, in turns. Resident size is read when the server is ready, and after some seconds with 32
clients. The size of the model's file is printed for comparison.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

from common import ROOT, bench, chosen, faultless, make, server, starter


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--resnetd", required=True, help="the binary")
    parser.add_argument("--photos", required=True, help="folder of photos")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", action="append", help="a model, by its name in the table; can be repeated")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        embedded = ROOT / "models" / "cifar10-resnet56" / "model-int8.onnx"
        models = {"cifar10-resnet56": (["--model", "cifar10-resnet56"], embedded)}
        for architecture in ("resnet18", "resnet50"):
            for name, options in make(args.resnetd, Path(folder), architecture).items():
                models[name] = (options, options[1])
        for name, options in starter(args.resnetd).items():
            file = "model-int8.onnx" if name.endswith("int8") else "pytorch_model.bin"
            models[name] = (options, ROOT / ".models/imagenet" / file)
        models = chosen(models, args.only)
        ready = {name: [] for name in models}
        for _ in range(args.rounds):
            for name, (options, _) in models.items():
                with server(args.resnetd, options) as running:
                    ready[name].append(1000 * running.seconds_to_ready)
        print("| model | time to ready (min to max) | file | resident size when ready | under load |\n|---|---|---|---|---|")
        for name, (options, file) in models.items():
            with server(args.resnetd, options) as running:
                idle = running.resident_mib()
                load = ["--data", args.photos, "--duration", "10s", "--warm-up", "1s", "--concurrency", 32]
                faultless(bench(args.resnetd, running.url, *load))
                busy = running.resident_mib()
            times = ready[name]
            print(f"| {name} | {statistics.median(times):.0f} ms ({min(times):.0f} to {max(times):.0f}) | "
                  f"{file.stat().st_size / 2**20:.1f} MiB | {idle:.0f} MiB | {busy:.0f} MiB |", flush=True)


if __name__ == "__main__":
    main()
