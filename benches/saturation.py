"""How much of the machine's limit the server reaches, and what a request costs when nothing else is there.

    make bench

For each model, in turns: the limit (`resnetd bench --in-process`: decode, preprocess and run the same
photos on all cores, without queue and HTTP), and a server of its own under 32 clients. Then one client
alone, against one thread alone without a server. Printed are medians over the rounds and, in brackets,
the lowest and highest ratio of one round, whose two halves ran right after one another.
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tests" / "python"))
import seeded_weights  # noqa: E402

CALIBRATION = ROOT / "tests" / "data" / "pictures"


def make(resnetd: str, folder: Path, architecture: str) -> dict[str, list[str]]:
    """Options for the float32 and the int8 form of a network with seeded weights."""
    weights, fp32, int8 = (folder / f"{architecture}{end}" for end in (".safetensors", ".onnx", "-8.onnx"))
    seeded_weights.write(weights, architecture)
    export = ["export", "--arch", architecture, "--weights", weights, "--output", fp32]
    subprocess.run([resnetd, *export], check=True, stdout=subprocess.DEVNULL)
    quantize = ["quantize", "--model", fp32, "--calibration", CALIBRATION, "--output", int8, "--json"]
    subprocess.run([resnetd, *quantize], check=True, stdout=subprocess.DEVNULL)
    weights.unlink()
    return {f"{architecture} fp32": ["--model", fp32], f"{architecture} int8": ["--model", int8]}


@contextmanager
def server(resnetd: str, model: list[str]):
    """A server on a free port: its address."""
    serve = [resnetd, "serve", "--listen", "127.0.0.1:0", "--device", "cpu", "--log", "warn", *model]
    process = subprocess.Popen(serve, stdout=subprocess.PIPE, text=True)
    try:
        for line in process.stdout:
            if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                yield found.group()
                break
        else:
            raise SystemExit("the server did not start")
    finally:
        process.terminate()
        process.wait()


def bench(resnetd: str, *options: object) -> dict:
    done = subprocess.run(
        [resnetd, "bench", "--json", *map(str, options)], check=True, stdout=subprocess.PIPE
    )
    report = json.loads(done.stdout)
    if report["errors"]:
        raise SystemExit(f"requests failed: {report['errors']}")
    return report


def spread(ratios: list[float]) -> str:
    return f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--resnetd", required=True, help="the binary")
    parser.add_argument("--photos", required=True, help="folder of photos")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5)
    args = parser.parse_args()
    common = ["--data", args.photos, "--duration", f"{int(1000 * args.seconds)}ms", "--warm-up", "1s"]
    local = [*common, "--in-process", "--device", "cpu"]
    with tempfile.TemporaryDirectory() as folder:
        models = {"cifar10-resnet20": ["--model", "cifar10-resnet20"]}
        for architecture in ("resnet18", "resnet50"):
            models |= make(args.resnetd, Path(folder), architecture)
        print("| model | limit, images/s | server, images/s | share of the limit | alone, in process | "
              "alone, request | ratio |\n|---|---|---|---|---|---|---|", flush=True)
        for name, model in models.items():
            limits, served, alone, asked = [], [], [], []
            with server(args.resnetd, model) as url:
                for _ in range(args.rounds):
                    limits.append(bench(args.resnetd, *local, *model)["goodput_per_second"])
                    report = bench(args.resnetd, url, *common, "--concurrency", 32)
                    served.append(report["goodput_per_second"])
                    single = [*local, *model, "--sessions", 1]
                    alone.append(bench(args.resnetd, *single)["latency_ms"]["p50"])
                    report = bench(args.resnetd, url, *common, "--concurrency", 1)
                    asked.append(report["latency_ms"]["p50"])
            shares = [server / limit for server, limit in zip(served, limits)]
            costs = [request / process for request, process in zip(asked, alone)]
            median = statistics.median
            print(f"| {name} | {median(limits):.1f} | {median(served):.1f} | {spread(shares)} | "
                  f"{median(alone):.2f} ms | {median(asked):.2f} ms | {spread(costs)} |", flush=True)


if __name__ == "__main__":
    main()
