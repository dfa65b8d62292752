"""Measures a server under attack: its memory, its processor time, and the latency of honest clients."""

import http.client
import multiprocessing
import re
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

CAT = (Path(__file__).parents[1] / "data" / "cat.jpg").read_bytes()
MEMORY_LIMIT_MIB = 256
OPTIONS = ["--memory-limit", f"{MEMORY_LIMIT_MIB}MiB", "--max-pixels", "10000000", "--max-bytes", "10MiB"]


@dataclass
class Server:
    """A release server with a small memory limit, on a free port of this machine."""

    process: subprocess.Popen
    port: int
    idle_mib: float = 0

    def status(self, field_name: str) -> float:
        """A value of /proc/PID/status, in MiB; 0 if the process has ended."""
        try:
            text = Path(f"/proc/{self.process.pid}/status").read_text()
        except OSError:
            return 0
        found = re.search(rf"{field_name}:\s+(\d+) kB", text)
        return int(found[1]) / 1024 if found else 0

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100

    def forget_peak(self) -> None:
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def is_alive(self) -> bool:
        return self.process.poll() is None


@contextmanager
def server(resnetd: str, *options: str) -> Iterator[Server]:
    command = [resnetd, "serve", "--listen", "127.0.0.1:0", "--device", "cpu", "--log", "error", *OPTIONS, *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        for line in process.stdout:
            if found := re.search(r"http://127\.0\.0\.1:(\d+)", line):
                break
        else:
            raise SystemExit("the server did not start")
        started = Server(process, int(found[1]))
        ask(started.port, "POST", "/classify", CAT)
        started.idle_mib = started.status("VmRSS")
        yield started
    finally:
        process.kill()
        process.wait()


def ask(port: int, method: str, path: str, body: bytes | None = None, headers: dict | None = None, timeout: float = 30) -> int | str:
    """The status of one request on a new connection, or the error."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        response = connection.getresponse()
        response.read()
        return response.status
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__
    finally:
        connection.close()


@dataclass
class Seen:
    """The results of an honest client."""

    statuses: Counter = field(default_factory=Counter)
    livez_seconds: list[float] = field(default_factory=list)
    classify_seconds: list[float] = field(default_factory=list)

    @property
    def livez_p99(self) -> float:
        return sorted(self.livez_seconds)[len(self.livez_seconds) * 99 // 100] if self.livez_seconds else 0


def observe(port: int, seconds: float, pause: float = 0.1) -> Seen:
    """Requests /livez and /classify alternately."""
    seen, end = Seen(), time.monotonic() + seconds
    while time.monotonic() < end:
        for method, path, body in (("GET", "/livez", None), ("POST", "/classify", CAT)):
            started = time.monotonic()
            status = ask(port, method, path, body)
            taken = time.monotonic() - started
            if path == "/livez":
                seen.livez_seconds.append(taken)
            else:
                seen.statuses[status] += 1
                seen.classify_seconds.append(taken)
        time.sleep(pause)
    return seen


def throughput(port: int, seconds: float) -> float:
    """Photos per second of one honest client with a persistent connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    answered, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            connection.request("POST", "/classify", body=CAT)
            response = connection.getresponse()
            response.read()
            answered += response.status == 200
        except (OSError, http.client.HTTPException):
            connection.close()
    return answered / seconds


def beside(attack: Callable, *arguments: object) -> multiprocessing.Process:
    """An attack in separate processes, so that it does not slow down the measurement."""
    process = multiprocessing.Process(target=attack, args=arguments, daemon=True)
    process.start()
    return process
