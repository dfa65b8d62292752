"""Compares the server's throughput with the machine's limit, and the latency of a single request with that in process.

    make bench

For each model, measures in turns: the limit (`resnetd bench --in-process`: decodes, preprocesses and runs the same
photos on all cores, without queue and HTTP), and a server with 32 clients. Then a single client, and a single thread
without a server. Prints medians over the rounds and, in brackets, the lowest and highest ratio of a round, whose two
measurements directly follow each other.

The client runs on the same cores and takes some of their time. "Without the client" compares processor
time instead of images per second: that of an image in the limit with that of a request in the server.
"""

import argparse
import os
import statistics
import tempfile
from pathlib import Path

from common import bench, chosen, faultless, make, server, starter


def spread(ratios: list[float]) -> str:
    return f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--resnetd", required=True, help="the binary")
    parser.add_argument("--photos", required=True, help="folder of photos")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--only", action="append", help="a model, by its name in the table; can be repeated")
    args = parser.parse_args()
    common = ["--data", args.photos, "--duration", f"{int(1000 * args.seconds)}ms", "--warm-up", "1s"]
    local = [*common, "--in-process", "--device", "cpu"]
    cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        models = {"cifar10-resnet56": ["--model", "cifar10-resnet56"]}
        for architecture in ("resnet18", "resnet50"):
            models |= make(args.resnetd, Path(folder), architecture)
        models |= starter(args.resnetd)
        print("| model | limit, images/s | server, images/s | server ÷ limit | without the client | "
              "alone, in process | alone, request | ratio |\n|---|---|---|---|---|---|---|---|", flush=True)
        for name, model in chosen(models, args.only).items():
            limits, served, costs, alone, asked = [], [], [], [], []
            with server(args.resnetd, model) as running:
                for _ in range(args.rounds):
                    limits.append(faultless(bench(args.resnetd, *local, *model))["goodput_per_second"])
                    before = running.cpu_seconds()
                    report = faultless(bench(args.resnetd, running.url, *common, "--concurrency", 32))
                    served.append(report["goodput_per_second"])
                    requests = report["requests"] + report["warm_up_requests"]
                    costs.append((running.cpu_seconds() - before) / requests)
                    single = [*local, *model, "--sessions", 1]
                    alone.append(bench(args.resnetd, *single)["latency_ms"]["p50"])
                    report = faultless(bench(args.resnetd, running.url, *common, "--concurrency", 1))
                    asked.append(report["latency_ms"]["p50"])
            shares = [server / limit for server, limit in zip(served, limits)]
            # The cores of the limit per image, against the server's own time per request.
            own = [cores / limit / cost for limit, cost in zip(limits, costs)]
            ratios = [request / process for request, process in zip(asked, alone)]
            median = statistics.median
            print(f"| {name} | {median(limits):.1f} | {median(served):.1f} | {spread(shares)} | {spread(own)} | "
                  f"{median(alone):.2f} ms | {median(asked):.2f} ms | {spread(ratios)} |", flush=True)


if __name__ == "__main__":
    main()
