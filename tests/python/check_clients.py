"""Generates clients from /openapi.json, and classifies with each: check_clients.py --resnetd PATH.

The programs that use the clients are in clients/, one for each generator. openapi-typescript is left out: it is on npm only.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

from checks import Checks, fail
from serving import DATA, server

CLIENTS = Path(__file__).parent / "clients"
PROGRAMS = Path(sys.executable).parent
PACKAGE = "resnetd_client"
PHOTOS = [DATA / "cat.jpg", DATA / "cifar10-ship.png"]
# The settings of a browser project; without them Deno takes its own library.
TYPESCRIPT = {"compilerOptions": {"strict": True, "noImplicitOverride": False, "lib": ["dom", "dom.iterable", "es2022"]}}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--resnetd", type=Path, required=True)
    arguments = parser.parse_args()
    checks = Checks()
    with server(arguments.resnetd) as url, tempfile.TemporaryDirectory() as folder:
        document = Path(folder) / "openapi.json"
        with urllib.request.urlopen(f"{url}/openapi.json", timeout=60) as response:
            document.write_bytes(response.read())
        check_defaults(checks, json.loads(document.read_text()))
        for check in (check_openapi_python_client, check_python, check_typescript):
            work = Path(folder) / check.__name__
            work.mkdir()
            check(checks, document, work, url)
    checks.done()


def check_defaults(checks: Checks, document: dict) -> None:
    """/docs fills in examples and defaults, so a value that changes the answer must be neither."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            for parameter in operation.get("parameters", []):
                filled = {"example", "examples"} & (parameter.keys() | parameter.get("schema", {}).keys())
                if filled and parameter["in"] != "path":
                    fail(f"{method} {path}: {parameter['name']} has an example")
    checks.that(True, "no parameter of a query or header has an example")


def check_openapi_python_client(checks: Checks, document: Path, work: Path, url: str) -> None:
    said = run(["openapi-python-client", "generate", "--path", document, "--meta", "none", "--output-path", PACKAGE], work)
    if "Unable to" in said or "removal" in said:
        fail(f"openapi-python-client leaves something out: {said}")
    checks.that(True, "openapi-python-client reads all schemas and routes")
    classify(checks, "openapi_python_client.py", [sys.executable], work, url)


def check_python(checks: Checks, document: Path, work: Path, url: str) -> None:
    generate(document, work, "python", "--package-name", PACKAGE, "--output", ".")
    classify(checks, "openapi_generator.py", [sys.executable], work, url)


def check_typescript(checks: Checks, document: Path, work: Path, url: str) -> None:
    generate(document, work, "typescript-fetch", "--output", PACKAGE, "--additional-properties", "importFileExtension=.ts")
    (work / "deno.json").write_text(json.dumps(TYPESCRIPT))
    shutil.copy(CLIENTS / "typescript_fetch.ts", work)
    run(["deno", "check", f"{PACKAGE}/index.ts", "typescript_fetch.ts"], work)
    checks.that(True, "the client of openapi-generator in TypeScript has no type errors")
    classify(checks, "typescript_fetch.ts", [PROGRAMS / "deno", "run", "--allow-net", "--allow-read"], work, url)


def generate(document: Path, work: Path, generator: str, *options: str) -> None:
    run(["openapi-generator-cli", "generate", "--input-spec", document, "--generator-name", generator, *options], work)


def classify(checks: Checks, program: str, runner: list, work: Path, url: str) -> None:
    shutil.copy(CLIENTS / program, work)
    said = run([*runner, program, url, *PHOTOS], work)
    checks.equal(said.split(), ["cat", "ship"], f"the client of {program} classifies")


def run(command: list, work: Path) -> str:
    """The output of a program of this environment."""
    environment = os.environ | {"PATH": f"{PROGRAMS}:{os.environ['PATH']}", "NO_COLOR": "1", "DENO_DIR": str(work / "deno")}
    done = subprocess.run(command, cwd=work, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        fail(f"{' '.join(map(str, command))}: {done.stdout[-4000:]}")
    return done.stdout


if __name__ == "__main__":
    main()
