"""Runs the commands of README.md and docs/*.md and compares their output: check_docs.py --resnetd PATH [PAGE ...].
Also checks links to other files and headings, and the example answers in /openapi.json.

The conventions of the pages:

- A `console` block has commands (`$ ` begins one, `> ` or a line after a backslash continues it), each
  followed by its output. A command without output is only run. A `python` or `js` block is a program; its output is the
  `text` block that directly follows it, if there is one.
- A block below `<!-- not run: REASON -->` is not run.
- `resnetd serve` starts a server for the commands below it; a page whose commands need a server and that starts none
  gets one with the default model. Port 8080 of the page is a free port here.
- Only standard output is compared. White space does not matter, `…` stands for any text, and decimal fractions are compared with a tolerance.

Each page runs in a folder of its own, which has links to the files of the repository, a folder `photos/` and a folder
`my-model/` with a model.
"""

import argparse
import json
import os
import pty
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import requests

import serving
from checks import Checks, fail

ROOT = Path(__file__).parents[2]
NEEDS_SERVER = re.compile(r"(?:localhost|127\.0\.0\.1):8080")
TOKEN = re.compile(r"…|-?\d+(?:\.\d+)?(?:e-?\d+)?(?![\w.]*[A-Za-z_])|\w+|[^\w\s]")
LIMIT = 600  # seconds for one command
PROGRAMS = {"python": [sys.executable, "-c"], "js": ["node", "--input-type=module", "-e"]}


@dataclass
class Block:
    line: int
    language: str
    lines: list[str]
    skipped: str | None


@dataclass
class Step:
    """A shell command, or a program in another language."""

    line: int
    language: str
    text: str
    output: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--resnetd", type=Path, required=True)
    parser.add_argument("pages", nargs="*", type=Path)
    arguments = parser.parse_args()
    pages = arguments.pages or [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    checks, skipped, failures = Checks(), 0, []
    broken = [link for page in [*pages, *ROOT.glob("*.md")] for link in broken_links(page)]
    checks.equal(broken, [], "every link to a file or heading leads somewhere")
    check_examples(checks, arguments.resnetd.resolve())
    for page in pages:
        blocks = list(blocks_of(page))
        skipped += sum(block.skipped is not None for block in blocks)
        steps = [step for block in joined(blocks) if block.skipped is None for step in steps_of(block)]
        with tempfile.TemporaryDirectory() as folder:
            reader = Reader(arguments.resnetd.resolve(), Path(folder))
            for step in steps:
                what = f"{page.name}:{step.line}: {step.text.splitlines()[0]}"
                problem = reader.run(step)
                if problem is None:
                    checks.that(True, what)
                else:
                    print(f"FAILED {what}\n{problem}\n", flush=True)
                    failures.append(what)
            reader.stop()
    print(f"{skipped} blocks are marked as not run")
    if failures:
        fail("these commands do not do what the pages say:\n  " + "\n  ".join(failures))
    checks.done()


def check_examples(checks: Checks, resnetd: Path) -> None:
    """The example answers in /openapi.json are those for tests/data/cat.jpg."""
    with serving.server(resnetd, "--precision", "int8") as url:
        paths = requests.get(f"{url}/openapi.json", timeout=LIMIT).json()["paths"]
        for path, query in (("/classify", "?top_k=1"), ("/embed", "")):
            example = paths[path]["post"]["responses"]["200"]["content"]["application/json"]["example"]
            photo = (ROOT / "tests/data/cat.jpg").read_bytes()
            answer = requests.post(f"{url}{path}{query}", data=photo, timeout=LIMIT).json()
            texts = [json.dumps(json_of, sort_keys=True) for json_of in (example, answer)]
            checks.equal(different(*texts), None, f"the example of {path} in /openapi.json is its answer")


def broken_links(page: Path) -> Iterator[str]:
    """Links to files that do not exist, or to headings that their file does not have."""
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, heading = target.partition("#")
        file = (page.parent / path).resolve() if path else page.resolve()
        if not file.exists() or heading and heading not in headings(file):
            yield f"{page.name}: {target}"


def headings(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def blocks_of(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page, and a block without lines for each line of prose between them."""
    lines = page.read_text().splitlines()
    reason, place = None, 0
    while place < len(lines):
        line = lines[place]
        place += 1
        if marker := re.fullmatch(r"<!-- not run: (.+) -->", line):
            reason = marker[1]
        elif fence := re.fullmatch(r"(```+)(\w*)", line):
            end = lines.index(fence[1], place)
            yield Block(place, fence[2], lines[place:end], reason)
            reason, place = None, end + 1
        elif re.match(r"    (\$ |curl |resnetd |make )", line):
            fail(f"{page.name}:{place}: an indented command; put it into a console block")
        elif line and reason is not None:
            fail(f"{page.name}:{place}: a block must follow the marker")
        elif line:
            yield Block(place, "prose", [], None)


def joined(blocks: list[Block]) -> Iterator[Block]:
    """The blocks that are run. Those of a program have two texts: the program, and the `text` block that follows it."""
    for block, following in zip(blocks, [*blocks[1:], None], strict=True):
        if block.language == "sh":
            fail(f"line {block.line}: write commands in a console block, with their prompts")
        if block.language in PROGRAMS and following is not None and following.language == "text":
            yield Block(block.line, block.language, ["\n".join(block.lines), "\n".join(following.lines)], block.skipped)
        elif block.language in PROGRAMS:
            yield Block(block.line, block.language, ["\n".join(block.lines), ""], block.skipped)
        elif block.language == "console":
            yield block


def steps_of(block: Block) -> Iterator[Step]:
    if block.language in PROGRAMS:
        yield Step(block.line, block.language, *block.lines)
        return
    step, is_open = None, False
    for number, line in enumerate(block.lines, start=block.line + 1):
        if line.startswith("$ "):
            if step:
                yield step
            step = Step(number, "console", line.removeprefix("$ "), "")
            is_open = line.endswith("\\")
        elif step is None:
            fail(f"line {number}: output without a command; a command begins with $")
        elif is_open or line.startswith("> "):
            step.text += "\n" + line.removeprefix("> ")
            is_open = line.endswith("\\")
        else:
            step.output += line + "\n"
    if step:
        yield step


class Reader:
    """Runs the commands of one page, in a temporary folder."""

    def __init__(self, resnetd: Path, folder: Path) -> None:
        self.folder, self.server = folder, None
        self.port = free_port()
        for entry in ROOT.iterdir():
            if entry.name not in ("photos", "my-model", "target", ".git"):
                (folder / entry.name).symlink_to(entry)
        (folder / "photos").mkdir()
        for photo in ("cat.jpg", "cifar10-ship.png"):
            shutil.copy(ROOT / "tests/data" / photo, folder / "photos")
        (folder / "my-model").mkdir()
        for file in ("card.toml", "model.safetensors"):
            shutil.copy(ROOT / "models/cifar10-resnet20" / file, folder / "my-model")
        (folder / ".curlrc").write_text("silent\nshow-error\n")
        settings = ("RESNETD_", "AIP_", "HF_")
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(settings)} | {
            "PATH": f"{resnetd.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "CURL_HOME": str(folder), "RESNETD_LISTEN": f"127.0.0.1:{self.port}",
        }
        if (ROOT / ".onnxruntime").is_dir():
            self.environment["RESNETD_ONNXRUNTIME"] = str(ROOT / ".onnxruntime/lib")

    def run(self, step: Step) -> str | None:
        """The error, if there is one."""
        if re.match(r"resnetd serve\b(?!.* --help| .*&)", step.text):
            found = self.start(step.text)
            return None if found is None else different(step.output, found)
        if "resnetd serve" in step.text:
            self.stop()  # the command starts its own
        elif NEEDS_SERVER.search(step.text) and self.server is None:
            # int8, so that machines without VNNI give the same scores.
            self.start("resnetd serve --precision int8")
        text = step.text.replace(":8080", f":{self.port}")
        program = PROGRAMS.get(step.language, ["bash", "-euo", "pipefail", "-c"])
        if shutil.which(program[0]) is None:
            print(f"skipped: there is no {program[0]}")
            return None
        done = subprocess.run(
            [*program, text], cwd=self.folder, env=self.environment, timeout=LIMIT, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
        )
        found = done.stdout.replace(f":{self.port}", ":8080")
        if done.returncode != 0:
            return f"it ended with {done.returncode}:\n{found}{done.stderr}"
        return different(step.output, found)

    def start(self, command: str) -> str:
        """Starts a server instead of the last one, waits until it is ready, and returns its output."""
        self.stop()
        # Only on a terminal does a server print the message that the pages show.
        terminal, end = pty.openpty()
        self.server = subprocess.Popen(
            ["bash", "-c", f"exec {command.replace(':8080', f':{self.port}')}"], cwd=self.folder, env=self.environment,
            text=True, stdout=end, stderr=subprocess.PIPE,
        )
        os.close(end)
        # The log must be read, or the server's lines would be dropped.
        log = []
        threading.Thread(target=lambda: log.extend(self.server.stderr), daemon=True).start()
        printed = ""
        for line in lines_of(terminal):
            printed += line
            if line.startswith("  try"):
                threading.Thread(target=lambda: list(lines_of(terminal)), daemon=True).start()
                return printed.replace(f":{self.port}", ":8080")
        self.server.wait()
        return f"the server ended:\n{printed}{''.join(log)}"

    def stop(self) -> None:
        if self.server is not None:
            self.server.terminate()
            self.server.wait()
            self.server = None


def lines_of(terminal: int) -> Iterator[str]:
    """The lines written to a terminal, until it is closed."""
    rest = b""
    while True:
        try:
            more = os.read(terminal, 4096)
        except OSError:  # the other end is closed
            return
        *lines, rest = (rest + more).split(b"\r\n")
        yield from (line.decode() + "\n" for line in lines)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def different(expected: str, found: str) -> str | None:
    """The difference between the output and that on the page; a page without output matches any."""
    if not expected.strip() or fits(TOKEN.findall(expected), TOKEN.findall(found)):
        return None
    return f"expected:\n{expected}\nfound:\n{found}"


def fits(expected: list[str], found: list[str]) -> bool:
    """Whether `found` matches the expected text, in which `…` stands for any tokens."""
    reached = {0}  # how many tokens of `found` can be matched by the expected ones so far
    for token in expected:
        if token == "…":
            reached = set(range(min(reached), len(found) + 1)) if reached else set()
        else:
            reached = {place + 1 for place in reached if place < len(found) and same(token, found[place])}
    return len(found) in reached


def same(expected: str, found: str) -> bool:
    if expected == found:
        return True
    try:
        wanted, actual = float(expected), float(found)
    except ValueError:
        return False
    is_count = "." not in expected and "e" not in expected
    return not is_count and abs(wanted - actual) <= 0.01 + 0.05 * abs(wanted)


if __name__ == "__main__":
    main()
