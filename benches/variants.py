"""Compares the defaults with other allocators, pinned threads, other settings, and container quotas.

    make bench-variants

Starts a server for each variant of the same model, and measures them in turns: images per second with 32 clients, the latency of
a single request, time to ready, and resident size after the load. Prints medians over the rounds; "relative" is the ratio to
the default settings in the same round.

Allocators are tried where Debian's packages libjemalloc2, libmimalloc2.0 and libtcmalloc-minimal4 are installed;
they replace malloc for ONNX Runtime too. Quotas need root and the `cpu` controller of cgroups, version 1 or 2.
"""

import argparse
import os
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from common import Server, bench, chosen, faultless, make, server

LIBRARIES = Path("/usr/lib/x86_64-linux-gnu")
ALLOCATORS = {
    "jemalloc": "libjemalloc.so.2",
    "mimalloc": "libmimalloc.so.2",
    "tcmalloc": "libtcmalloc_minimal.so.4",
}
CGROUPS = Path("/sys/fs/cgroup")
PERIOD = 100_000  # microseconds, as Docker and Kubernetes have it


class Variant:
    """One way to run a server."""

    def __init__(self, *options: str, environment: dict[str, str] | None = None,
                 started: Callable[[Server], None] = lambda _: None, quota: float | None = None):
        self.options, self.environment = options, environment or {}
        self.started, self.quota = started, quota

    @contextmanager
    def server(self, resnetd: str, model: list) -> Iterator[Server]:
        with cgroup(self.quota) as tasks:
            os.environ.update(self.environment)
            try:
                running = server(resnetd, model, *self.options, tasks=tasks)
                with running as ready:
                    for name in self.environment:
                        del os.environ[name]
                    self.started(ready)
                    yield ready
            finally:
                for name in self.environment:
                    os.environ.pop(name, None)


def pin(running: Server) -> None:
    """Each worker to a core of its own."""
    cores = sorted(os.sched_getaffinity(0))
    for task in Path(f"/proc/{running.process.pid}/task").iterdir():
        name = (task / "comm").read_text().strip()
        if name.startswith("worker-"):
            os.sched_setaffinity(int(task.name), {cores[int(name.removeprefix("worker-")) % len(cores)]})


@contextmanager
def cgroup(quota: float | None) -> Iterator[Path | None]:
    """A group whose processes get `quota` cores' worth of time: the file that takes them in."""
    if quota is None:
        yield None
        return
    second = (CGROUPS / "cgroup.controllers").exists()
    group = (CGROUPS if second else CGROUPS / "cpu") / "resnetd-bench"
    group.mkdir(exist_ok=True)
    try:
        if second:
            (group / "cpu.max").write_text(f"{int(quota * PERIOD)} {PERIOD}")
        else:
            (group / "cpu.cfs_period_us").write_text(str(PERIOD))
            (group / "cpu.cfs_quota_us").write_text(str(int(quota * PERIOD)))
        yield group / "cgroup.procs"
    finally:
        group.rmdir()


def variants() -> dict[str, Variant]:
    cores = len(os.sched_getaffinity(0))
    found = {
        name: Variant(environment={"LD_PRELOAD": str(LIBRARIES / file)})
        for name, file in ALLOCATORS.items() if (LIBRARIES / file).exists()
    }
    everything = {
        "default": Variant(),
        "glibc, 2 arenas": Variant(environment={"MALLOC_ARENA_MAX": "2"}),
        "glibc, mmap from 1 MiB": Variant(environment={"MALLOC_MMAP_THRESHOLD_": str(2**20)}),
        **found,
        "workers pinned": Variant(started=pin),
        "decoders beside": Variant("--decoders", str(cores)),
        "one session, all threads": Variant("--sessions", "1", "--threads", str(cores)),
        "twice the sessions": Variant("--sessions", str(2 * cores)),
    }
    if os.access(CGROUPS, os.W_OK) and ((CGROUPS / "cpu").exists() or (CGROUPS / "cgroup.controllers").exists()):
        for quota in (1, 1.5):
            everything[f"quota {quota}"] = Variant(quota=quota)
            everything[f"quota {quota}, a session per core"] = Variant("--sessions", str(cores), quota=quota)
    return everything


def measure(resnetd: str, model: list, variant: Variant, load: list) -> tuple[float, float, float, float, float]:
    with variant.server(resnetd, model) as running:
        busy = faultless(bench(resnetd, running.url, *load, "--concurrency", 32))["goodput_per_second"]
        alone = faultless(bench(resnetd, running.url, *load, "--concurrency", 1))["latency_ms"]
        return busy, alone["p50"], alone["p99"], 1000 * running.seconds_to_ready, running.resident_mib()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--resnetd", required=True, help="the binary")
    parser.add_argument("--photos", required=True, help="folder of photos")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--only", action="append", help="a model, by its name in the table; can be repeated")
    args = parser.parse_args()
    load = ["--data", args.photos, "--duration", f"{int(1000 * args.seconds)}ms", "--warm-up", "1s"]
    print("| model | variant | images/s | relative | single request: p50 | p99 | time to ready | resident |\n"
          "|---|---|---|---|---|---|---|---|", flush=True)
    with TemporaryDirectory() as folder:
        models = {"cifar10-resnet56": ["--model", "cifar10-resnet56"], **make(args.resnetd, Path(folder), "resnet50")}
        for name, model in chosen(models, args.only).items():
            measured = {variant: [] for variant in variants()}
            for _ in range(args.rounds):
                for variant, how in variants().items():
                    measured[variant].append(measure(args.resnetd, model, how, load))
            usual = [figures[0] for figures in measured["default"]]
            for variant, rounds in measured.items():
                busy, p50, p99, ready, resident = (statistics.median(column) for column in zip(*rounds))
                share = statistics.median(figures[0] / other for figures, other in zip(rounds, usual))
                print(f"| {name} | {variant} | {busy:.1f} | {share:.2f} | {p50:.2f} ms | {p99:.2f} ms | "
                      f"{ready:.0f} ms | {resident:.0f} MiB |", flush=True)


if __name__ == "__main__":
    main()
