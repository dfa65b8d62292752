"""The container image on a Docker engine: check_image.py IMAGE --base IMAGE.

Checks its labels, size, layers, files and software bill of materials, and runs it as an orchestrator would: read-only,
not root, without capabilities, with limits for memory and CPU; probes it, classifies, and stops it.
"""

import argparse
import json
import stat
import subprocess
import tarfile
import time
import tomllib
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from checks import Checks, fail
from serving import DATA

ROOT = Path(__file__).parent.parent.parent
HOME = "opt/resnetd/"
USER = 10001
# What the image adds to its base: ONNX Runtime, the program with two embedded models, and the bill of materials.
MAX_ADDED = 100_000_000  # bytes
MAX_LAYERS = 5
READY = 60  # seconds that a start may take on a busy machine
GRACE = 35  # seconds that a stop may take, as in docs/deployment.md


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("image")
    parser.add_argument("--base", required=True)
    arguments = parser.parse_args()
    checks = Checks()
    image, base = inspect(arguments.image), inspect(arguments.base)
    configuration(checks, image["Config"])
    layers(checks, image, base)
    files(checks, arguments.image, arguments.base)
    service(checks, arguments.image)
    checks.done()


def configuration(checks: Checks, config: dict) -> None:
    package = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]
    labels = {name: value for name, value in config["Labels"].items() if name.startswith("org.opencontainers.image.")}
    expected = {"title": package["name"], "description": package["description"],
                "licenses": package["license"], "version": package["version"]}
    checks.equal(labels, {f"org.opencontainers.image.{name}": value for name, value in expected.items()},
                 "the labels are those of Cargo.toml")
    checks.equal(config["User"], f"{USER}:{USER}", f"it runs as user {USER}")
    checks.equal((config["Entrypoint"], config["Cmd"]), (["resnetd"], ["serve"]), "it starts `resnetd serve` without a shell")
    checks.equal(config["StopSignal"], "SIGTERM", "it is stopped with SIGTERM")
    checks.equal(config["Healthcheck"]["Test"], ["CMD", "resnetd", "healthcheck"], "it has a health check")


def layers(checks: Checks, image: dict, base: dict) -> None:
    own, below = image["RootFS"]["Layers"], base["RootFS"]["Layers"]
    checks.equal(own[:len(below)], below, "its first layers are those of the base image")
    count, added = len(own) - len(below), image["Size"] - base["Size"]
    checks.that(count <= MAX_LAYERS, f"it adds {count} layers, at most {MAX_LAYERS}")
    checks.that(added <= MAX_ADDED,
                f"it adds {added / 1e6:.0f} MB to the {base['Size'] / 1e6:.0f} MB of its base, at most {MAX_ADDED / 1e6:.0f} MB")


def files(checks: Checks, image: str, base: str) -> None:
    inherited = {member.name for member, _ in exported(base, None)}
    added, privileged, writable, bill = set(), [], [], None
    for member, content in exported(image, HOME + "sbom.json"):
        bill = content or bill
        if member.mode & (stat.S_ISUID | stat.S_ISGID) and member.isfile():
            privileged.append(member.name)
        if member.name not in inherited:
            added.add(member.name)
        if member.name.startswith(HOME) and not member.issym() and (member.uid or member.mode & 0o022):
            writable.append(member.name)
    checks.equal(privileged, [], "no file is setuid or setgid")
    checks.equal(sorted(name for name in added if not f"{name}/".startswith(("opt/", HOME))), [],
                 f"it adds files to /{HOME} only")
    checks.equal(writable, [], f"only root may write to /{HOME}")
    if bill is None:
        fail(f"/{HOME}sbom.json does not exist")
    bill_of_materials(checks, bill)


def bill_of_materials(checks: Checks, text: bytes) -> None:
    document = json.loads(text)
    version = SchemaVersion.from_version(document["specVersion"])
    error = JsonStrictValidator(version).validate_str(text.decode())
    checks.that(error is None, f"the bill of materials is valid CycloneDX {document['specVersion']}: {error or 'no error'}")
    packages = tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]
    listed = Counter((part["name"], part["version"]) for part in document["components"])
    checks.equal(listed, Counter((package["name"], package["version"]) for package in packages),
                 f"it lists the {len(packages)} packages of Cargo.lock with their versions")


def service(checks: Checks, image: str) -> None:
    options = ["--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--memory", "1g",
               "--memory-swap", "1g", "--cpus", "1", "--health-interval", "1s", "--publish", "127.0.0.1::8080"]
    with container("run", "--detach", *options, image) as name:
        url = f"http://{docker('port', name, '8080/tcp').splitlines()[0]}"
        wait_for("it is ready", name, lambda: status(f"{url}/readyz") == 200)
        process = inspect(name)["State"]["Pid"]
        state = dict(line.split(":", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines())
        checks.equal(state["Uid"].split(), [str(USER)] * 4, f"the process has user {USER}")
        checks.equal((int(state["CapEff"], 16), int(state["CapBnd"], 16)), (0, 0), "it has no capabilities")
        checks.equal((state["NoNewPrivs"].strip(), state["Seccomp"].strip()), ("1", "2"),
                     "it cannot gain privileges, and its system calls are filtered")
        touched = subprocess.run(["docker", "exec", name, "sh", "-c", "touch /opt/resnetd/x || touch /tmp/x"],
                                 capture_output=True)
        checks.that(touched.returncode != 0, "its file system is read-only")
        model = json.loads(get(f"{url}/v1/model"))
        checks.equal(model["sessions"], 1, "with one CPU it has one session")
        answer = json.loads(get(f"{url}/classify", (DATA / "cifar10-cat.png").read_bytes()))
        checks.equal(answer["predictions"][0]["label"], "cat", "it classifies a photo")
        wait_for("its health check succeeds", name, lambda: inspect(name)["State"]["Health"]["Status"] == "healthy")
        checks.that(True, "its health check succeeds")
        photo = (DATA / "cat.jpg").read_bytes()
        for _ in range(100):
            get(f"{url}/classify", photo)
        peak = dict(line.split(":", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines())["VmHWM"]
        print(f"    peak memory after 100 photos: {int(peak.split()[0]) / 1024:.0f} MiB")
        began = time.monotonic()
        docker("stop", "--time", str(GRACE), name)
        state = inspect(name)["State"]
        checks.equal((state["ExitCode"], state["OOMKilled"]), (0, False),
                     f"after SIGTERM it exits with status 0, here after {time.monotonic() - began:.1f} s")
        log = docker("logs", name)
        checks.that("telemetry" not in log.lower(), "ONNX Runtime sends no telemetry")
        checks.that(all(line.startswith("{") for line in log.splitlines()), "every line of its log is JSON")


@contextmanager
def container(*command: str) -> Iterator[str]:
    """Its id. It is removed at the end."""
    name = docker(*command).strip()
    try:
        yield name
    finally:
        docker("rm", "--force", name)


def exported(image: str, wanted: str | None) -> Iterator[tuple[tarfile.TarInfo, bytes | None]]:
    """Every file of the image, and the content of the file `wanted`."""
    with container("create", image, "none") as name:
        with subprocess.Popen(["docker", "export", name], stdout=subprocess.PIPE) as process:
            with tarfile.open(fileobj=process.stdout, mode="r|") as archive:
                for member in archive:
                    yield member, archive.extractfile(member).read() if member.name == wanted else None


def docker(*command: str) -> str:
    done = subprocess.run(["docker", *command], capture_output=True, text=True)
    if done.returncode != 0:
        fail(f"docker {' '.join(command)}: {done.stderr}")
    return done.stdout + (done.stderr if command[0] == "logs" else "")


def inspect(name: str) -> dict:
    return json.loads(docker("inspect", name))[0]


def wait_for(what: str, name: str, holds) -> None:
    deadline = time.monotonic() + READY
    while not holds():
        if time.monotonic() > deadline or not inspect(name)["State"]["Running"]:
            fail(f"not within {READY} s: {what}\n{docker('logs', name)}")
        time.sleep(0.1)


def get(url: str, body: bytes | None = None) -> bytes:
    with urllib.request.urlopen(urllib.request.Request(url, data=body), timeout=30) as response:
        return response.read()


def status(url: str) -> int | None:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return response.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


if __name__ == "__main__":
    main()
