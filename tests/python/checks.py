"""Prints and counts passed checks, and exits at the first failure."""

import sys
from pathlib import Path
from typing import NoReturn


class Checks:
    def __init__(self) -> None:
        self.passed = 0

    def that(self, holds: bool, what: str) -> None:
        if not holds:
            fail(f"does not hold: {what}")
        self.passed += 1
        print(f"ok  {what}", flush=True)

    def equal(self, found: object, expected: object, what: str) -> None:
        if found != expected:
            fail(f"{what}: found {found}, expected {expected}")
        self.that(True, what)

    def done(self) -> None:
        print(f"{self.passed} checks passed")


def fail(message: str) -> NoReturn:
    sys.exit(f"{Path(sys.argv[0]).stem}: {message}")
