"""Measures several models in one server: how they share the cores, what a reload costs, and a fallback model.

    make bench-models

The load comes from `resnetd bench` on the same cores. Networks have seeded weights.
"""

import argparse
import os
import signal
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from common import Server, bench, faultless, make, server

CLIENTS = 32


def load(args: argparse.Namespace, house: Server, model: str, clients: int, seconds: int = 10) -> dict:
    """One run against the model of this name."""
    url = f"{house.url}/v1/models/{model}"
    options = ["--data", args.photos, "--concurrency", clients, "--duration", f"{seconds}s", "--warm-up", "1s"]
    return faultless(bench(args.resnetd, url, *options))


def together(*runs) -> list[dict]:
    with ThreadPoolExecutor(len(runs)) as pool:
        return [running.result() for running in [pool.submit(run) for run in runs]]


def shared_cores(args: argparse.Namespace, forms: dict) -> None:
    """Two models under load at the same time, against each alone."""
    models = [f"--model={name}={forms[form][1]}" for name, form in (("first", "resnet18 fp32"), ("second", "resnet18 int8"))]
    with server(args.resnetd, models) as house:
        alone = [load(args, house, name, CLIENTS) for name in ("first", "second")]
        both = together(*(lambda name=name: load(args, house, name, CLIENTS) for name in ("first", "second")))
        shares = [b["requests_per_second"] / a["requests_per_second"] for a, b in zip(alone, both, strict=True)]
        print("| model | images/s alone | images/s together | share |\n|---|---|---|---|")
        for name, a, b, share in zip(("resnet18 fp32", "resnet18 int8"), alone, both, shares, strict=True):
            print(f"| {name} | {a['requests_per_second']:.1f} | {b['requests_per_second']:.1f} | {share:.2f} |")
        print(f"\nsum of the shares: {sum(shares):.2f}", flush=True)

        single = load(args, house, "first", 1)
        beside = together(
            lambda: load(args, house, "second", CLIENTS, 12), lambda: load(args, house, "first", 1)
        )[1]
        one, two = single["latency_ms"]["mean"], beside["latency_ms"]["mean"]
        print(f"one client of resnet18 fp32: {one:.1f} ms alone, {two:.1f} ms beside {CLIENTS} clients of resnet18 int8:"
              f" {two / one:.1f} times", flush=True)


def reloads(args: argparse.Namespace, folder: Path, forms: dict, count: int = 20) -> None:
    """A model that is replaced again and again under load."""
    root, versions = folder / "repository", []
    root.mkdir()
    for form in ("resnet18 fp32", "resnet18 int8"):
        versions.append(folder / form.replace(" ", "-"))
        versions[-1].mkdir()
        os.link(forms[form][1], versions[-1] / "model.onnx")

    def link(version: Path) -> None:
        (root / ".next").symlink_to(version)
        (root / ".next").rename(root / "model")

    link(versions[0])
    with server(args.resnetd, ["--model-repository", root]) as house:
        before = load(args, house, "model", CLIENTS)
        sizes = []

        def swap() -> None:
            for number in range(count):
                link(versions[(number + 1) % 2])
                house.process.send_signal(signal.SIGHUP)
                time.sleep(1.5)
                if number in (0, 1, count - 2, count - 1):
                    sizes.append(house.resident_mib())

        during, _ = together(lambda: load(args, house, "model", CLIENTS, int(count * 1.5) + 2), swap)
        time.sleep(3)
        sizes.append(house.resident_mib())
    print(f"\n{count} reloads beside {CLIENTS} clients: {during['requests']} requests, 0 failed;"
          f" p99 {before['latency_ms']['p99']:.0f} ms before, {during['latency_ms']['p99']:.0f} ms during;"
          f" resident {sizes[0]:.0f} and {sizes[1]:.0f} MiB after the first two, {sizes[-3]:.0f} and {sizes[-2]:.0f} MiB"
          f" after the last two, {sizes[-1]:.0f} MiB at rest", flush=True)


def fallback(args: argparse.Namespace, folder: Path, forms: dict) -> None:
    """Four times the saturation of a model, with and without a cheaper one."""
    goodput = {}
    for policy in ("", 'when-busy = { model = "small", after = "500ms" }\n'):
        config = folder / "resnetd.toml"
        config.write_text(
            f'[[model]]\nname = "large"\nsource = "{forms["resnet50 fp32"][1]}"\ndefault = true\n{policy}'
            f'[[model]]\nname = "small"\nsource = "{forms["resnet18 int8"][1]}"\n'
        )
        with server(args.resnetd, ["--config", config], "--request-timeout", "2s") as house:
            if not policy:
                rate = 4 * load(args, house, "large", 4)["requests_per_second"]
            options = ["--data", args.photos, "--rate", f"{rate:.1f}", "--duration", "15s", "--warm-up", "5s",
                       "--timeout", "3s"]
            goodput[bool(policy)] = bench(args.resnetd, house.url, *options)["goodput_per_second"]
    print(f"\n{rate:.0f} requests/s, four times the saturation of resnet50 fp32, answered within 2 s:"
          f" {goodput[False]:.1f}/s without, {goodput[True]:.1f}/s with resnet18 int8 as its fallback:"
          f" {goodput[True] / goodput[False]:.1f} times", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--resnetd", required=True, help="the binary")
    parser.add_argument("--photos", required=True, help="folder of photos")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        forms = make(args.resnetd, folder, "resnet18") | make(args.resnetd, folder, "resnet50")
        shared_cores(args, forms)
        reloads(args, folder, forms)
        fallback(args, folder, forms)


if __name__ == "__main__":
    main()
