"""Starts resnetd on a free port."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from checks import fail

DATA = Path(__file__).parent.parent / "data"


@contextmanager
def server(resnetd: Path, *options: str, listen: str = "127.0.0.1:0") -> Iterator[str]:
    """Its URL. The server is stopped at the end, and must exit with status 0."""
    command = [resnetd, "serve", "--listen", listen, "--log", "warn", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        for line in process.stdout:
            if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                break
        else:
            fail("the server did not print its address")
        yield found[0]
    finally:
        process.terminate()
        code = process.wait()
    if code != 0:
        fail(f"the server ended with {code}")
