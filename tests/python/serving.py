"""A server of one's own, on a free port."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from checks import fail


@contextmanager
def server(resnetd: Path, *options: str) -> Iterator[str]:
    """Starts one with these options; its address."""
    command = [resnetd, "serve", "--listen", "127.0.0.1:0", "--log", "warn", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        for line in process.stdout:
            if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                yield found[0]
                return
        fail("the server did not say where it listens")
    finally:
        process.terminate()
        process.wait()
