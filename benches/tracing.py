"""Cost of traces: throughput and processor time with traces off, and with 10 % and all requests sampled.

    make bench-tracing

One server for each variant, in turns, and a collector that discards the spans. "off" is measured twice in each round: the
difference between the two shows the noise. Medians over the rounds of the ratio to the first "off" of the same
round. The processor time is the server's alone; the throughput also pays for the collector, which runs on the same machine.
"""

import argparse
import http.server
import statistics
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from common import bench, faultless, server


class Collector(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    received = 0

    def do_POST(self) -> None:
        Collector.received += len(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def collector() -> Iterator[str]:
    listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.server_port}"
    finally:
        listening.shutdown()


def measure(resnetd: str, model: list, options: list, load: list) -> tuple[float, float]:
    """Images a second, and milliseconds of processor time for each."""
    with server(resnetd, model, *options) as running:
        faultless(bench(resnetd, running.url, *load))
        before = running.cpu_seconds()
        report = faultless(bench(resnetd, running.url, *load, "--warm-up", "0s"))
        spent = running.cpu_seconds() - before
        return report["goodput_per_second"], 1000 * spent / report["requests"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--resnetd", required=True, help="the binary")
    parser.add_argument("--photos", required=True, help="folder of photos")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--model", default="cifar10-resnet56")
    args = parser.parse_args()
    load = ["--data", args.photos, "--concurrency", 32, "--duration", f"{int(1000 * args.seconds)}ms"]
    with collector() as url:
        traced = ["--otlp-endpoint", url, "--otlp-sample"]
        variants = {"off": [], "off, again": [], "10 % sampled": [*traced, "0.1"], "all sampled": [*traced, "1"]}
        rounds = []
        for number in range(args.rounds):
            # Each round begins elsewhere, so that no variant is always the first one.
            names = list(variants)
            names = names[number % len(names):] + names[:number % len(names)]
            rounds.append({name: measure(args.resnetd, ["--model", args.model], variants[name], load) for name in names})
    print("| traces | images/s | ratio | processor time of an image | ratio |\n|---|---|---|---|---|")
    for name in variants:
        (rate, rate_ratio), (time, time_ratio) = (
            (statistics.median(figures[name][column] for figures in rounds),
             statistics.median(figures[name][column] / figures["off"][column] for figures in rounds))
            for column in range(2)
        )
        print(f"| {name} | {rate:.1f} | {rate_ratio:.3f} | {time:.3f} ms | {time_ratio:.3f} |")
    print(f"\nthe collector received {Collector.received / 1e6:.1f} MB of spans")


if __name__ == "__main__":
    main()
