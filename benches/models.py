"""Measures several models in one server: how they share the cores, what a reload costs, and a fallback model.

    make bench-models

The load comes from `resnetd bench` on the same cores. Networks have seeded weights. The program fails if a limit is
missed, or a request fails where none may.
"""

import argparse
import re
import shutil
import signal
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.request import urlopen

from common import Server, bench, faultless, make, server

CLIENTS = 32
MISSED = []


def limit(what: str, found: float, at_least: float | None = None, at_most: float | None = None) -> None:
    """Prints whether a limit is kept. A failed request ends the program before, in `faultless`."""
    kept = (at_least is None or found >= at_least) and (at_most is None or found <= at_most)
    wanted = f"at least {at_least}" if at_least is not None else f"at most {at_most}"
    print(f"{'kept' if kept else 'MISSED'}: {what}: {found:.2f}, {wanted}", flush=True)
    if not kept:
        MISSED.append(what)


def load(args: argparse.Namespace, running: Server, model: str, clients: int, seconds: int = 10) -> dict:
    """One run against the model of this name."""
    url = f"{running.url}/v1/models/{model}"
    options = ["--data", args.photos, "--concurrency", clients, "--duration", f"{seconds}s", "--warm-up", "1s"]
    return faultless(bench(args.resnetd, url, *options))


def together(*runs) -> list[dict]:
    with ThreadPoolExecutor(len(runs)) as pool:
        return [running.result() for running in [pool.submit(run) for run in runs]]


def shared_cores(args: argparse.Namespace, forms: dict) -> None:
    """Two models under load at the same time, against each alone."""
    models = [f"--model={name}={forms[form][1]}" for name, form in (("first", "resnet18 fp32"), ("second", "resnet18 int8"))]
    with server(args.resnetd, models) as running:
        alone = [load(args, running, name, CLIENTS) for name in ("first", "second")]
        both = together(*(lambda name=name: load(args, running, name, CLIENTS) for name in ("first", "second")))
        shares = [b["requests_per_second"] / a["requests_per_second"] for a, b in zip(alone, both, strict=True)]
        print("| model | images/s alone | images/s together | share |\n|---|---|---|---|")
        for name, a, b, share in zip(("resnet18 fp32", "resnet18 int8"), alone, both, shares, strict=True):
            print(f"| {name} | {a['requests_per_second']:.1f} | {b['requests_per_second']:.1f} | {share:.2f} |")
        print(flush=True)
        limit("sum of the shares", sum(shares), at_least=0.95)

        single = load(args, running, "first", 1)
        beside = together(
            lambda: load(args, running, "second", CLIENTS, 12), lambda: load(args, running, "first", 1)
        )[1]
        one, two = single["latency_ms"]["mean"], beside["latency_ms"]["mean"]
        print(f"one client of resnet18 fp32: {one:.1f} ms alone, {two:.1f} ms beside {CLIENTS} clients of resnet18 int8:"
              f" {two / one:.1f} times", flush=True)
        limit("latency beside a saturated model, against alone", two / one, at_most=3)


def loads(running: Server) -> int:
    """How often a model was loaded."""
    text = urlopen(f"{running.url}/metrics").read().decode()
    return int(re.search(r'^resnetd_model_loads_total{.*result="loaded"} (\d+)$', text, re.MULTILINE).group(1))


def reloads(args: argparse.Namespace, folder: Path, forms: dict, count: int = 20) -> None:
    """A model that is replaced by a copy of itself again and again under load."""
    root, copies = folder / "repository", [folder / "a", folder / "b"]
    root.mkdir()
    for copy in copies:
        copy.mkdir()
        shutil.copy(forms["resnet18 fp32"][1], copy / "model.onnx")

    def link(number: int) -> None:
        (root / ".next").symlink_to(copies[number % 2])
        (root / ".next").rename(root / "model")

    link(0)
    with server(args.resnetd, ["--model-repository", root]) as running:
        def reload(number: int) -> float:
            before, started = loads(running), time.monotonic()
            link(number)
            running.process.send_signal(signal.SIGHUP)
            while loads(running) == before:
                time.sleep(0.05)
            return time.monotonic() - started

        def at_rest() -> float:
            time.sleep(4)  # the old version ends, and freed memory is returned
            return running.resident_mib()

        def reload_often() -> list[float]:
            seconds = []
            for number in range(count):
                time.sleep(0.5)
                seconds.append(reload(number))
            return seconds

        before = load(args, running, "model", CLIENTS, 20)
        reload(1)
        first = at_rest()
        during, seconds = together(lambda: load(args, running, "model", CLIENTS, 8 * count), reload_often)
        last = at_rest()
    ratio = during["latency_ms"]["p99"] / before["latency_ms"]["p99"]
    print(f"\n{count} reloads of resnet18 fp32 beside {CLIENTS} clients, {max(seconds):.1f} s at most and"
          f" {sum(seconds):.0f} s in sum of {8 * count} s: {during['requests']} requests;"
          f" p99 {before['latency_ms']['p99']:.0f} ms before, {during['latency_ms']['p99']:.0f} ms during;"
          f" resident {first:.0f} MiB after the first and {last:.0f} MiB after the last, at rest", flush=True)
    limit("p99 during reloads, against before", ratio, at_most=2)
    limit("seconds of reloads, of those under load", sum(seconds) / (8 * count), at_most=1)
    limit("resident memory after the last reload, against the first", last / first, at_most=1.05)


def fallback(args: argparse.Namespace, folder: Path, forms: dict) -> None:
    """Four times the saturation of a model, with and without a cheaper one."""
    goodput = {}
    for policy in ("", 'when-busy = { model = "small", after = "500ms" }\n'):
        config = folder / "resnetd.toml"
        config.write_text(
            f'[[model]]\nname = "large"\nsource = "{forms["resnet50 fp32"][1]}"\ndefault = true\n{policy}'
            # Each second that it gets answers six times as many requests.
            f'[[model]]\nname = "small"\nsource = "{forms["resnet18 int8"][1]}"\nweight = 4\n'
        )
        with server(args.resnetd, ["--config", config], "--request-timeout", "2s") as running:
            if not policy:
                rate = 4 * load(args, running, "large", 4)["requests_per_second"]
            options = ["--data", args.photos, "--rate", f"{rate:.1f}", "--duration", "15s", "--warm-up", "5s",
                       "--timeout", "3s"]
            goodput[bool(policy)] = bench(args.resnetd, running.url, *options)["goodput_per_second"]
    print(f"\n{rate:.0f} requests/s, four times the saturation of resnet50 fp32, answered within 2 s:"
          f" {goodput[False]:.1f}/s without, {goodput[True]:.1f}/s with resnet18 int8 as its fallback:"
          f" {goodput[True] / goodput[False]:.1f} times", flush=True)
    limit("goodput with a fallback model, against without", goodput[True] / goodput[False], at_least=3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--resnetd", required=True, help="the binary")
    parser.add_argument("--photos", required=True, help="folder of photos")
    parser.add_argument("--only", nargs="+", choices=["cores", "reloads", "fallback"], help="parts [default: all]")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        forms = make(args.resnetd, folder, "resnet18") | make(args.resnetd, folder, "resnet50")
        parts = {
            "cores": lambda: shared_cores(args, forms),
            "reloads": lambda: reloads(args, folder, forms),
            "fallback": lambda: fallback(args, folder, forms),
        }
        for part in args.only or parts:
            parts[part]()
    if MISSED:
        raise SystemExit(f"limits that were missed: {'; '.join(MISSED)}")


if __name__ == "__main__":
    main()
