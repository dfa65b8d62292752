"""Shared by the benchmarks: networks with seeded weights, a server, one run of `resnetd bench`."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tests" / "python"))
import seeded_weights  # noqa: E402

CALIBRATION = ROOT / "tests" / "data" / "pictures"

def make(resnetd: str, folder: Path, architecture: str) -> dict[str, list[str]]:
    """Options for the float32 and the int8 variant of a network with seeded weights."""
    weights, fp32, int8 = (folder / f"{architecture}{end}" for end in (".safetensors", ".onnx", "-8.onnx"))
    seeded_weights.write(weights, architecture)
    export = ["export", "--arch", architecture, "--weights", weights, "--output", fp32]
    subprocess.run([resnetd, *export], check=True, stdout=subprocess.DEVNULL)
    quantize = ["quantize", "--model", fp32, "--calibration", CALIBRATION, "--output", int8, "--json"]
    subprocess.run([resnetd, *quantize], check=True, stdout=subprocess.DEVNULL)
    weights.unlink()
    return {f"{architecture} fp32": ["--model", fp32], f"{architecture} int8": ["--model", int8]}


def starter(resnetd: str) -> dict[str, list[str]]:
    """Options for the float32 and the int8 variant of the starter model, which is installed if necessary."""
    subprocess.run([ROOT / "scripts/fetch-imagenet", "--resnetd", resnetd], check=True, stdout=subprocess.DEVNULL)
    model = ["--model", str(ROOT / ".models/imagenet"), "--precision"]
    return {f"starter {precision}": [*model, precision] for precision in ("fp32", "int8")}


def chosen(models: dict, only: list[str] | None) -> dict:
    """The ones named in `only`, or all."""
    for name in only or []:
        if name not in models:
            raise SystemExit(f"unknown model {name}; known models: {', '.join(models)}")
    return {name: model for name, model in models.items() if not only or name in only}


@dataclass
class Server:
    """A server that is ready."""

    url: str
    process: subprocess.Popen
    seconds_to_ready: float

    def resident_mib(self) -> float:
        """Memory that it holds now."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) / 1024

    def cpu_seconds(self) -> float:
        """Time that the cores have given it."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100  # user and system, in hundredths


@contextmanager
def server(
    resnetd: str, model: list[str], *options: object, cores: set[int] | None = None, tasks: Path | None = None
) -> Iterator[Server]:
    """A server on a free port, which runs on `cores` only, or in the control group whose list is `tasks`."""
    serve = [resnetd, "serve", "--listen", "127.0.0.1:0", "--device", "cpu", "--log", "error", *model]
    started = time.monotonic()
    process = subprocess.Popen([*serve, *map(str, options)], stdout=subprocess.PIPE, text=True, **confined(cores, tasks))
    try:
        for line in process.stdout:
            if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                yield Server(found.group(), process, time.monotonic() - started)
                break
        else:
            raise SystemExit("the server did not start")
    finally:
        process.terminate()
        process.wait()


def confined(cores: set[int] | None, tasks: Path | None = None) -> dict:
    """For a process that uses `cores` only, or what the control group of `tasks` leaves it."""
    def confine() -> None:
        if cores:
            os.sched_setaffinity(0, cores)
        if tasks:
            tasks.write_text(str(os.getpid()))
    return {"preexec_fn": confine}


def bench(resnetd: str, *options: object, cores: set[int] | None = None) -> dict:
    command = [resnetd, "bench", "--json", *map(str, options)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, **confined(cores))
    return json.loads(done.stdout)


def faultless(report: dict) -> dict:
    """The same report, if it has no failed request."""
    if report["errors"]:
        raise SystemExit(f"requests failed: {report['errors']}")
    return report
