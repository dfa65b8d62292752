"""Failures of replicas behind the load balancer of deploy/compose.yaml, under load, and the latencies that `resnetd plan`
predicts for it: check_compose.py --compose COMMAND --resnetd PROGRAM [STEP ...].

The services are running already (scripts/compose-check starts them). Each step prints how many requests were sent and
how many failed, and fails if more did than the documentation says. Latencies are printed, and not checked.
"""

import argparse
import csv
import http.client
import io
import json
import os
import shlex
import signal
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from checks import Checks, fail
from serving import DATA

PORT = int(os.environ["RESNETD_PORT"].rpartition(":")[2])
STATS = f"http://127.0.0.1:{os.environ['HAPROXY_STATS_PORT']}"
PROMETHEUS = f"http://127.0.0.1:{os.environ['PROMETHEUS_PORT']}"
REPLICAS = "resnetd-1", "resnetd-2", "resnetd-3"
CLIENTS = 8
PAUSE = 0.1  # seconds between a client's requests
STEADY = 5  # seconds of load before and after an event
# Seconds until HAProxy takes out a replica that does not answer: two checks, each a second after the last one and with a
# time limit of one second, and a second of margin for a busy machine.
NOTICED = 5
SHARES = 0.3, 0.5, 0.7  # of the throughput of all replicas, at which predictions are compared with measurements
HANGS = 15 + 1  # seconds until HAProxy gives up on a request to a replica that does not answer: `timeout server`


@dataclass
class Sent:
    start: float
    end: float
    problem: str | None


class Load:
    """Clients that send photos one after another, until `stop`."""

    def __init__(self) -> None:
        photos = [(DATA / name).read_bytes() for name in ("cat.jpg", "cifar10-cat.png", "large/420.jpg")]
        self.sent: list[Sent] = []
        self.ended = threading.Event()
        self.threads = [
            threading.Thread(target=self.client, args=(photos[number % len(photos):] + photos[:number % len(photos)],))
            for number in range(CLIENTS)
        ]
        for thread in self.threads:
            thread.start()

    def client(self, photos: list[bytes]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=30)
        while not self.ended.is_set():
            start, problem = time.time(), None
            try:
                connection.request("POST", "/classify", photos[0])
                answer = connection.getresponse()
                answer.read()
                if answer.status != 200:
                    problem = str(answer.status)
            except (OSError, http.client.HTTPException) as error:
                problem = type(error).__name__
                connection.close()
            self.sent.append(Sent(start, time.time(), problem))
            photos = photos[1:] + photos[:1]
            self.ended.wait(PAUSE)

    def stop(self) -> list[Sent]:
        self.ended.set()
        for thread in self.threads:
            thread.join()
        return self.sent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--compose", required=True)
    parser.add_argument("--resnetd", required=True)
    steps = {"plan": lambda checks, compose: planned(checks, compose, arguments.resnetd), "rolling-update": rolling_update, "kill": killed, "pause": paused, "cut": cut_off, "disk": full_disk}
    parser.add_argument("steps", nargs="*", choices=[*steps, []], help="default: all")
    arguments = parser.parse_args()
    compose = shlex.split(arguments.compose)
    checks = Checks()
    wait_for("all replicas are up", lambda: all(up(replica) for replica in REPLICAS), 60)
    # Addresses of replicas are resolved by name, and a replica that starts again can get another one.
    wait_for("Prometheus scrapes all replicas", lambda: query("sum(up{job='resnetd'})") == 3, 60)
    for name, step in steps.items():
        if name in (arguments.steps or steps):
            step(checks, compose)
    checks.equal(query("count(up{job='resnetd'} == 1)"), 3, "Prometheus scrapes all replicas again")
    checks.done()


def planned(checks: Checks, compose: list[str], resnetd: str) -> None:
    """Predicts latencies from the throughput of one replica, and measures them at the load balancer."""
    addresses = inspect(container(compose, "resnetd-1"), "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}").split()
    replica = f"http://{addresses[0]}:8080"
    sessions = json.load(urllib.request.urlopen(f"{replica}/v1/model", timeout=5))["sessions"]
    throughput = bench(checks, resnetd, replica, "--concurrency", 2 * sessions)["requests_per_second"]
    print(f"\none replica: {throughput:.0f} images/s with {sessions} sessions")
    print("| images/s | utilisation | mean, predicted | measured | p50 | measured | p99 | measured |\n|---|---|---|---|---|---|---|---|")
    for share in SHARES:
        rate = round(share * throughput * len(REPLICAS), 1)
        plan = ["--load", rate, "--latency", "1h", "--sessions", sessions, "--throughput", throughput, "--min-replicas", len(REPLICAS)]
        predicted = json.loads(run(resnetd, "plan", "--json", *map(str, plan)))["predicted"][0]
        measured = bench(checks, resnetd, f"http://127.0.0.1:{PORT}", "--rate", rate)["latency_ms"]
        pairs = [(predicted["mean_ms"], measured["mean"]), (predicted["p50_ms"], measured["p50"]), (predicted["target_ms"], measured["p99"])]
        cells = " | ".join(f"{ours:.1f} ms | {theirs:.1f} ms" for ours, theirs in pairs)
        print(f"| {rate} | {predicted['utilization']:.0%} | {cells} |")


def bench(checks: Checks, resnetd: str, url: str, *load: object) -> dict:
    options = ["bench", url, "--json", "--data", DATA / "cat.jpg", "--duration", "20s", "--warm-up", "3s", *load]
    report = json.loads(run(resnetd, *map(str, options)))
    checks.equal(report["errors"], {}, f"no request fails: {' '.join(map(str, load))}")
    return report


def rolling_update(checks: Checks, compose: list[str]) -> None:
    load = Load()
    time.sleep(STEADY)
    began = time.time()
    for replica in REPLICAS:
        run(*compose, "up", "-d", "--no-deps", "--force-recreate", replica)
        wait_for(f"{replica} is up", lambda replica=replica: up(replica), 60)
    took = time.time() - began
    time.sleep(STEADY)
    sent = load.stop()
    report("rolling update of three replicas", sent, f"{took:.0f} s")
    checks.equal(problems(sent), {}, "no request fails in a rolling update")


def killed(checks: Checks, compose: list[str]) -> None:
    load = Load()
    time.sleep(STEADY)
    name = container(compose, "resnetd-1")
    process = int(inspect(name, "{{.State.Pid}}"))
    wait_for("the replica has a request in flight", lambda: int(row_of("resnetd-1")["scur"]) > 0, 60)
    os.kill(process, signal.SIGKILL)
    # Its connections are closed when the process has ended, which takes a moment on a busy machine.
    wait_for("the process has ended", lambda: not Path(f"/proc/{process}").exists(), 60)
    at = time.time()
    # It can be up again before the load balancer has noticed.
    wait_for("another process runs", lambda: int(inspect(name, "{{.State.Pid}}")) not in (0, process), 60)
    address = inspect(name, "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}").split()[0]
    ready = f"http://{address}:8080/readyz"
    wait_for("the killed replica is up again", lambda: urllib.request.urlopen(ready, timeout=1) and up("resnetd-1"), 60)
    back = time.time() - at
    time.sleep(STEADY)
    sent = load.stop()
    report("SIGKILL of one replica", sent, f"{len(in_flight(sent, at))} of all clients in flight, up again after {back:.1f} s")
    checks.that(after(sent, at) == [], "after a kill no new request fails")


def paused(checks: Checks, compose: list[str]) -> None:
    name = container(compose, "resnetd-2")
    noticed, sent, at = outage(
        "resnetd-2", lambda: run("docker", "pause", name), lambda: run("docker", "unpause", name)
    )
    report("one replica paused", sent, f"taken out after {noticed:.1f} s")
    checks.that(noticed <= NOTICED, f"a paused replica is taken out within {NOTICED} s")
    checks.that(after(sent, at + noticed) == [], "then no new request fails")


def cut_off(checks: Checks, compose: list[str]) -> None:
    name = container(compose, "resnetd-3")
    (network,) = json.loads(inspect(name, "{{json .NetworkSettings.Networks}}"))
    noticed, sent, at = outage(
        "resnetd-3",
        lambda: run("docker", "network", "disconnect", network, name),
        lambda: run("docker", "network", "connect", "--alias", "resnetd-3", network, name),
    )
    report("one replica cut from the network", sent, f"taken out after {noticed:.1f} s")
    checks.that(noticed <= NOTICED, f"a replica without network is taken out within {NOTICED} s")
    checks.that(after(sent, at + noticed) == [], "then no new request fails")


def outage(replica: str, begin: Callable[[], None], end: Callable[[], None]) -> tuple[float, list[Sent], float]:
    """Seconds until the load balancer noticed, the requests, and when it began."""
    load = Load()
    time.sleep(STEADY)
    at = time.time()
    begin()
    wait_for(f"{replica} is taken out", lambda: not up(replica), 30)
    noticed = time.time() - at
    # So long that requests which hang fail, instead of being answered when the outage ends.
    time.sleep(HANGS + STEADY)
    end()
    wait_for(f"{replica} is up again", lambda: up(replica), 60)
    time.sleep(STEADY)
    return noticed, load.stop(), at


def full_disk(checks: Checks, compose: list[str]) -> None:
    """The root file system is read-only, so /dev/shm is the only one that a replica can fill."""
    load = Load()
    name = container(compose, "resnetd-1")
    root = subprocess.run(["docker", "exec", name, "touch", "/opt/resnetd/x", "/tmp/x"], check=False, capture_output=True)
    checks.that(root.returncode != 0, "the root file system cannot be written")
    fill = ["docker", "exec", name, "dd", "if=/dev/zero", "of=/dev/shm/fill", "bs=1M"]
    full = subprocess.run(fill, check=False, capture_output=True, text=True)
    checks.that("No space left" in full.stderr, "/dev/shm of a replica is full")
    time.sleep(STEADY)
    run("docker", "exec", name, "rm", "/dev/shm/fill")
    sent = load.stop()
    report("disk of one replica full", sent, "")
    checks.equal(problems(sent), {}, "no request fails on a full disk")


def report(what: str, sent: list[Sent], more: str) -> None:
    slowest = max(one.end - one.start for one in sent)
    failed = problems(sent)
    print(f"\n{what}: {len(sent)} requests, {sum(failed.values())} failed {failed or ''}, slowest {slowest:.1f} s; {more}")


def problems(sent: list[Sent]) -> dict[str, int]:
    kinds = [one.problem for one in sent if one.problem]
    return {kind: kinds.count(kind) for kind in sorted(set(kinds))}


def after(sent: list[Sent], at: float) -> list[Sent]:
    """The failed requests that were sent after `at`."""
    return [one for one in sent if one.problem and one.start > at]


def in_flight(sent: list[Sent], at: float) -> list[Sent]:
    return [one for one in sent if one.start <= at <= one.end]


def up(replica: str) -> bool:
    """Whether the load balancer sends requests to the replica."""
    return row_of(replica)["status"].startswith("UP")


def row_of(replica: str) -> dict[str, str]:
    """HAProxy's statistics about a replica."""
    table = urllib.request.urlopen(f"{STATS}/stats;csv", timeout=5).read().decode().removeprefix("# ")
    for row in csv.DictReader(io.StringIO(table)):
        if row["svname"] == replica:
            return row
    fail(f"HAProxy has no server {replica}")


def query(expression: str) -> float | None:
    url = f"{PROMETHEUS}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
    try:
        result = json.load(urllib.request.urlopen(url, timeout=5))["data"]["result"]
    except OSError:
        return None
    return float(result[0]["value"][1]) if result else None


def wait_for(what: str, holds: Callable[[], bool], limit: float) -> None:
    end = time.time() + limit
    while time.time() < end:
        try:
            if holds():
                return
        except (OSError, http.client.HTTPException):
            pass  # it starts
        time.sleep(0.1)
    fail(f"not within {limit} s: {what}")


def container(compose: list[str], service: str) -> str:
    return run(*compose, "ps", "-q", service).strip()


def inspect(name: str, template: str) -> str:
    return run("docker", "inspect", "--format", template, name)


def run(*command: str) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        fail(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


if __name__ == "__main__":
    main()
