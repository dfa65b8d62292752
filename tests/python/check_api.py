"""Checks the server against its /openapi.json: check_api.py --resnetd PATH.

First the document itself and answers to real photos; then schemathesis makes requests of it, good and bad.
"""

import argparse
import base64
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import requests
import schemathesis
from openapi_spec_validator import OpenAPIV31SpecValidator

from checks import Checks, fail
from serving import server

HERE = Path(__file__).parent
DATA = HERE.parent / "data"
CAT = (DATA / "cat.jpg").read_bytes()
SHIP = (DATA / "cifar10-ship.png").read_bytes()
TEXT = b"not a picture"
MODEL = "cifar10-resnet56"
CLASSES = [{"name": "probabilities", "parameters": {"classification": 3}}]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--resnetd", type=Path, required=True)
    arguments = parser.parse_args()
    checks = Checks()
    with server(arguments.resnetd) as url:
        check_document(checks, url)
        check_answers(checks, url)
        check_made_requests(checks, url)
    checks.done()


def check_document(checks: Checks, url: str) -> None:
    document = requests.get(f"{url}/openapi.json", timeout=60).json()
    errors = [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()]
    checks.equal(errors, [], "the document is valid OpenAPI 3.1")
    operations = [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    ids = [operation["operationId"] for _, _, operation in operations]
    checks.equal(len(set(ids)), len(ids), f"{len(ids)} operations have an id of their own")


def check_answers(checks: Checks, url: str) -> None:
    """Checks valid and invalid requests of every kind against the schema for their status."""
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    files = lambda *contents: {"files": [(f"f{i}", (f"{i}.jpg", c)) for i, c in enumerate(contents)]}
    png, npy = {"headers": {"Accept": "image/png"}}, {"headers": {"Accept": "application/x-npy"}}
    as_json = {"headers": {"Accept": "application/json"}}
    for method, path, query, options, status, kind in [
        ("POST", "/classify", "", {"data": CAT}, 200, "application/json"),
        ("POST", "/classify", "?top_k=2&labels=cat,dog&labels=%233&threshold=0.5", {"data": CAT}, 200, "application/json"),
        ("POST", "/classify", "?explain=cam&class=cat&class=dog", {"data": CAT}, 200, "application/json"),
        ("POST", "/classify", "?explain=cam", {"data": CAT} | png, 200, "image/png"),
        ("POST", "/classify", "", files(CAT), 200, "application/json"),
        ("POST", "/classify", "", files(CAT, TEXT, SHIP), 200, "application/json"),
        ("POST", "/classify", "", files(TEXT, CAT[:9000]), 400, "application/json"),
        ("POST", "/classify", "", {"data": TEXT}, 400, "application/problem+json"),
        ("POST", "/classify", "", {"data": b"%PDF-1.7 and so on"}, 415, "application/problem+json"),
        ("POST", "/classify", "", {"data": (DATA / "bomb-50k.png").read_bytes()}, 413, "application/problem+json"),
        ("POST", "/classify", "?top_k=0", {"data": CAT}, 422, "application/problem+json"),
        ("POST", "/classify", "", {"data": CAT, "headers": {"X-Request-Timeout-Ms": "0"}}, 422, "application/problem+json"),
        ("POST", "/embed", "", {"data": CAT}, 200, "application/json"),
        ("POST", "/embed", "?format=base64&normalize=l2", files(CAT, TEXT), 200, "application/json"),
        ("POST", "/embed", "", files(CAT, SHIP) | npy, 200, "application/x-npy"),
        ("POST", "/embed", "", files(CAT, TEXT) | npy, 400, "application/problem+json"),
        ("POST", "/preprocess", "", {"data": CAT}, 200, "image/png"),
        ("POST", "/preprocess", "", {"data": CAT} | as_json, 200, "application/json"),
        ("POST", "/preprocess", "", files(CAT, TEXT), 200, "application/json"),
        ("GET", "/v1/model", "", {}, 200, "application/json"),
        ("GET", "/livez", "", {}, 200, "application/json"),
        ("GET", "/readyz", "", {}, 200, "application/json"),
        ("GET", "/metrics", "", {}, 200, "text/plain"),
        ("GET", "/openapi.json", "", {}, 200, "application/json"),
        ("GET", "/", "", {}, 200, "text/plain"),
        ("GET", "/", "", {"headers": {"Accept": "text/html"}}, 200, "text/html"),
        ("GET", "/docs", "", {}, 200, "text/html"),
        ("GET", "/v2", "", {}, 200, "application/json"),
        ("GET", "/v2/health/ready", "", {}, 200, "application/json"),
        ("GET", f"/v2/models/{MODEL}", "", {}, 200, "application/json"),
        ("GET", f"/v2/models/{MODEL}/config", "", {}, 200, "application/json"),
        ("GET", f"/v2/models/{MODEL}/stats", "", {}, 200, "application/json"),
        ("GET", "/v2/models/another", "", {}, 404, "application/problem+json"),
        ("POST", f"/v2/models/{MODEL}/infer", "", {"json": infer(CAT, SHIP)}, 200, "application/json"),
        ("POST", f"/v2/models/{MODEL}/infer", "", {"json": infer(CAT, outputs=CLASSES)}, 200, "application/json"),
        ("POST", f"/v2/models/{MODEL}/infer", "", {"json": infer(CAT, parameters={"binary_data_output": True})}, 200, "application/octet-stream"),
        ("POST", f"/v2/models/{MODEL}/infer", "", {"json": infer(TEXT)}, 400, "application/problem+json"),
        ("POST", f"/v2/models/{MODEL}/infer", "", {"json": infer(CAT, outputs=[{"name": "boxes"}])}, 422, "application/problem+json"),
        ("POST", "/v2/models/another/infer", "", {"json": infer(CAT)}, 404, "application/problem+json"),
        ("POST", "/v2/repository/index", "", {}, 200, "application/json"),
    ]:
        what = f"{method} {path}{query} is answered {status} {kind} as its schema says"
        response = requests.request(method, f"{url}{path}{query}", timeout=60, **options)
        found = response.status_code, response.headers["content-type"].split(";")[0]
        if found != (status, kind):
            fail(f"{what}: found {found}: {response.text[:300]}")
        schema[path.replace(MODEL, "{model}").replace("another", "{model}")][method].validate_response(response)
        checks.that(True, what)


def infer(*files: bytes, **more: object) -> dict:
    """A request of the Open Inference Protocol for files."""
    data = [base64.b64encode(file).decode() for file in files]
    return {"inputs": [{"name": "image", "shape": [len(files)], "datatype": "BYTES", "data": data}], **more}


def check_made_requests(checks: Checks, url: str) -> None:
    """Generated requests; schemathesis.toml next to this file has the checks."""
    program = [Path(sys.executable).parent / "schemathesis", "--config-file", HERE / "schemathesis.toml"]
    hooks = {"SCHEMATHESIS_HOOKS": str(HERE / "schemathesis_hooks.py")}
    with tempfile.TemporaryDirectory() as folder:  # it leaves notes where it runs
        run = subprocess.run(
            [*program, "run", f"{url}/openapi.json"], cwd=folder, env=os.environ | hooks, check=False
        )
    checks.equal(run.returncode, 0, "schemathesis finds nothing wrong")


if __name__ == "__main__":
    main()
