"""Measures requests, memory and throughput under overload, and the recovery afterwards.

    make bench-overload

Starts a server for each model, and measures in this order: the throughput at saturation (32 clients), the latency of a
single client, the latency at 70 % of saturation, the answers while an open loop offers four times the saturation, and the
throughput at saturation again, two seconds later. Memory is the server's resident size, read twice a second.

The latency at 70 % is compared with that of an ideal queue: the same arrivals, served in order of arrival; each image takes one
core for the time of a single request; no overhead.

With `--apart` the server has one half of the cores and the client the other. So sending requests takes no time from the
server; rejecting them does.
"""

import argparse
import heapq
import os
import random
import statistics
import tempfile
import threading
from pathlib import Path

from common import bench, chosen, faultless, make, server


class Memory(threading.Thread):
    """Reads a server's resident size until told to stop."""

    def __init__(self, running):
        super().__init__(daemon=True)
        self.running, self.sizes, self.over = running, [], threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.5):
            self.sizes.append(self.running.resident_mib())

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.join()


def ideal_p99(rate: float, seconds: float, cores: int, arrivals: int = 200_000) -> float:
    """99 of 100 are done within this time, in seconds, where `rate` arrive a second at random."""
    chance, now = random.Random(0), 0.0
    free = [0.0] * cores  # when each core is
    spent = []
    for _ in range(arrivals):
        now += chance.expovariate(rate)
        done = max(now, free[0]) + seconds
        heapq.heapreplace(free, done)
        spent.append(done - now)
    return statistics.quantiles(spent, n=100)[-1]


def each(seconds: float, report: dict) -> float:
    """The server's time for each request of a load."""
    return seconds / (report["requests"] + report["warm_up_requests"])


def cores(apart: bool) -> tuple[set[int], set[int]]:
    """The server's and the client's."""
    everything = sorted(os.sched_getaffinity(0))
    if not apart:
        return set(everything), set(everything)
    if len(everything) < 2:
        raise SystemExit("--apart takes two cores at least")
    half = len(everything) // 2
    return set(everything[:half]), set(everything[half:])


def measure(resnetd: str, name: str, model: list, args: argparse.Namespace) -> None:
    servers, clients = cores(args.apart)
    with server(resnetd, model, cores=servers) as running:
        idle_mib = running.resident_mib()

        def load(duration: float, *options: object) -> dict:
            common = ["--data", args.photos, "--duration", f"{int(1000 * duration)}ms", "--warm-up", "1s"]
            return bench(resnetd, running.url, *common, *options, cores=clients)

        alone = faultless(load(5, "--concurrency", 1))["latency_ms"]["p50"]
        before = running.cpu_seconds()
        report = faultless(load(8, "--concurrency", 32))
        saturated, answer_cost = report["goodput_per_second"], each(running.cpu_seconds() - before, report)
        busy = faultless(load(20, "--rate", 0.7 * saturated))["latency_ms"]["p99"]
        ideal = 1000 * ideal_p99(0.7 * saturated, alone / 1000, len(servers))
        before = running.cpu_seconds()
        with Memory(running) as memory:
            flooded = load(args.seconds, "--rate", 4 * saturated)
        flood_cost = each(running.cpu_seconds() - before, flooded)
        after = faultless(load(8, "--concurrency", 32))["goodput_per_second"]
        third = max(1, len(memory.sizes) // 3)
        early, late = (statistics.median(part) for part in (memory.sizes[:third], memory.sizes[-third:]))
        refused = sum(flooded["errors"].values()) / flooded["requests"]
        refusal_cost = (flood_cost - (1 - refused) * answer_cost) / refused
        kept = flooded["goodput_per_second"] / statistics.mean([saturated, after])
        print(f"| {name} | {saturated:.1f} | {alone:.1f} ms | {busy:.1f} ms ({busy / alone:.1f}) | "
              f"{ideal:.1f} ms ({ideal / alone:.1f}) | "
              f"{flooded['goodput_per_second']:.1f} ({kept:.2f}) | {flooded['latency_ms']['p99'] / 1000:.2f} s | "
              f"{1e6 * refusal_cost:.0f} µs | {after / saturated:.2f} | {idle_mib:.0f}, {early:.0f}, {late:.0f} MiB | "
              f"{', '.join(f'{kind}: {count}' for kind, count in flooded['errors'].items())} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--resnetd", required=True, help="the binary")
    parser.add_argument("--photos", required=True, help="folder of photos")
    parser.add_argument("--seconds", type=int, default=60, help="of overload")
    parser.add_argument("--apart", action="store_true", help="server and client on cores of their own")
    parser.add_argument("--only", action="append", help="a model, by its name in the table; can be repeated")
    args = parser.parse_args()
    print("| model | saturation, images/s | single request | p99 at 70 % load (relative to single) | p99 of an ideal queue | answered/s at 4 times (share of saturation) | their p99 | "
          "a refusal takes | speed after | memory idle, early, late | the others |\n|---|---|---|---|---|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        models = {"cifar10-resnet56": ["--model", "cifar10-resnet56"]}
        for architecture in ("resnet18", "resnet50"):
            models |= make(args.resnetd, Path(folder), architecture)
        for name, model in chosen(models, args.only).items():
            measure(args.resnetd, name, model, args)


if __name__ == "__main__":
    main()
