"""Sends the requests of other servers' clients: check_compatibility.py --resnetd PATH.

Hugging Face's own client, and the requests that TorchServe's, SageMaker's, Vertex AI's and KServe's
documentation shows, as curl and HTTP libraries send them. Every score is compared with /classify's.
"""

import argparse
import base64
import json
import math
import os
import re
import shutil
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError

from checks import Checks, fail

DATA = Path(__file__).parent.parent / "data"
CAT, SHIP = DATA / "cat.jpg", DATA / "cifar10-ship.png"
MODEL = "cifar10-resnet56"
VERTEX = {
    "AIP_PREDICT_ROUTE": "/v1/endpoints/1/deployedModels/2:predict",
    "AIP_HEALTH_ROUTE": "/v1/endpoints/1/deployedModels/2",
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--resnetd", type=Path, required=True)
    resnetd = parser.parse_args().resnetd
    checks = Checks()
    with host_of(DATA) as images, server(resnetd, images) as url:
        check_hugging_face(checks, url, images)
        check_torchserve(checks, url)
        check_sagemaker(checks, url)
        check_instances(checks, url)
        check_urls(checks, url, images)
    checks.done()


@contextmanager
def server(resnetd: Path, images: str) -> Iterator[str]:
    allowed = images.removeprefix("http://")
    command = [
        resnetd, "serve", "--listen", "127.0.0.1:0", "--log", "warn",
        "--allow-url-hosts", allowed, "--allow-url-private", "127.0.0.1/32",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | VERTEX)
    try:
        for line in process.stdout:
            if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                yield found[0]
                return
        fail("the server did not say where it listens")
    finally:
        process.terminate()
        process.wait()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def host_of(folder: Path) -> Iterator[str]:
    """A host that has these images."""
    files = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
    threading.Thread(target=files.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{files.server_port}"
    files.shutdown()


def ask(url: str, body: bytes | dict | None = None, method: str | None = None, **headers: str) -> object:
    """The JSON at `url`, or its status where that is not 200."""
    if isinstance(body, dict):
        body, headers = json.dumps(body).encode(), {"Content-Type": "application/json"} | headers
    request = urllib.request.Request(url, body, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        return error.code


def classes(url: str, image: Path, top_k: int = 5) -> list[tuple[str, float]]:
    answer = ask(f"{url}/classify?top_k={top_k}", image.read_bytes())
    return [(found["label"], found["probability"]) for found in answer["predictions"]]


def pairs(scored: list) -> list[tuple[str, float]]:
    return [(found["label"], found["score"]) for found in scored]


def text(image: Path) -> str:
    return base64.b64encode(image.read_bytes()).decode()


def check_hugging_face(checks: Checks, url: str, images: str) -> None:
    expected = classes(url, CAT)
    for path in ("", f"/models/{MODEL}"):
        client = InferenceClient(url + path, token="hf_nobody")
        for what, image in (
            ("bytes", CAT.read_bytes()), ("a path", CAT), ("a path as text", str(CAT)),
            ("a URL that the client fetches", f"{images}/cat.jpg"),
        ):
            found = pairs(client.image_classification(image))
            checks.equal(found, expected, f"InferenceClient({path or '/'}) with {what}")
        found = pairs(client.image_classification(CAT.read_bytes(), top_k=2))
        checks.equal(found, expected[:2], f"InferenceClient({path or '/'}) with top_k")
    client = InferenceClient(model=url)
    whole = classes(url, SHIP, 10)
    ask_for = partial(client.image_classification, SHIP, top_k=10)
    checks.equal(pairs(ask_for(function_to_apply="softmax")), whole, "softmax is the default")
    logits = dict(pairs(ask_for(function_to_apply="none")))
    # A calibrated softmax divides the logits first.
    card = json.load(urllib.request.urlopen(f"{url}/v1/model"))
    heat = card["calibration"][card["precision"]]["temperature"]
    sum_of = math.fsum(math.exp(logit / heat) for logit in logits.values())
    off = max(abs(math.exp(logits[label] / heat) / sum_of - score) for label, score in whole)
    checks.that(off < 1e-5, "without a function the scores are the logits")
    sigmoid = dict(pairs(ask_for(function_to_apply="sigmoid")))
    off = max(abs(1 / (1 + math.exp(-logits[label])) - score) for label, score in sigmoid.items())
    checks.that(off < 1e-6, "and sigmoid is theirs")
    for what, client, image, status in (
        ("text instead of an image", client, b"hello", 400),
        ("another model", InferenceClient(f"{url}/models/resnet50"), CAT, 404),
    ):
        try:
            client.image_classification(image)
            fail(f"{what} was answered")
        except HfHubHTTPError as error:
            checks.equal(error.response.status_code, status, f"{what} is a {status}")
            checks.that("error" in error.response.json(), "with words where the client looks")


def check_torchserve(checks: Checks, url: str) -> None:
    expected = classes(url, CAT)
    checks.equal(ask(f"{url}/ping"), {"status": "Healthy"}, "/ping is healthy")
    predictions = f"{url}/predictions/{MODEL}"
    if curl := shutil.which("curl"):
        for arguments in (["-T", CAT], ["-F", f"data=@{CAT}"], ["-X", "POST", "-T", CAT]):
            command = [curl, "--silent", "--fail", predictions, *arguments]
            found = json.loads(subprocess.check_output(command))
            shown = " ".join(map(str, arguments)).replace(str(CAT), CAT.name)
            checks.equal(list(found.items()), expected, f"TorchServe's curl {shown}")
    else:
        print("curl is not installed, so its ways of sending were not tried")
    found = ask(f"{predictions}/1.0", CAT.read_bytes(), **{"Content-Type": "image/jpeg"})
    checks.equal(list(found.items()), expected, "TorchServe's answer, with a version")
    checks.equal(ask(f"{url}/predictions/kitten", CAT.read_bytes()), 404, "and no other model")


def check_sagemaker(checks: Checks, url: str) -> None:
    for kind in ("application/x-image", "image/jpeg", "application/octet-stream"):
        found = ask(f"{url}/invocations", CAT.read_bytes(), **{"Content-Type": kind, "Accept": "application/json"})
        checks.equal(found, ask(f"{url}/classify", CAT.read_bytes()), f"SageMaker with {kind}")
    found = pairs(ask(f"{url}/invocations", {"inputs": text(CAT), "parameters": {"top_k": 3}}))
    checks.equal(found, classes(url, CAT, 3), "SageMaker with Hugging Face's JSON")


def check_instances(checks: Checks, url: str) -> None:
    expected = [classes(url, CAT, 3), classes(url, SHIP, 3)]
    parameters = {"top_k": 3.0}  # as in the client libraries' protobuf Struct
    for path in (VERTEX["AIP_PREDICT_ROUTE"], "/invocations", f"/v1/models/{MODEL}:predict"):
        for what, instances in (
            ("b64", [{"b64": text(CAT)}, {"b64": text(SHIP)}]),
            ("text", [text(CAT), text(SHIP)]),
            ("image_bytes", [{"image_bytes": {"b64": text(CAT)}}, {"image_bytes": {"b64": text(SHIP)}}]),
        ):
            answer = ask(url + path, {"instances": instances, "parameters": parameters})
            found = [pairs(prediction) for prediction in answer["predictions"]]
            checks.equal(found, expected, f"{path} with {what}")
    checks.equal(ask(url + VERTEX["AIP_HEALTH_ROUTE"]), {"status": "Healthy"}, "Vertex AI's health")
    bad = {"instances": [{"b64": text(CAT)}, {"b64": "aGVsbG8="}]}
    checks.equal(ask(f"{url}/v1/models/{MODEL}:predict", bad), 400, "one bad image is the answer")
    status = ask(f"{url}/v1/models/{MODEL}")
    checks.equal(status["model_version_status"][0]["state"], "AVAILABLE", "the model's status")


def check_urls(checks: Checks, url: str, images: str) -> None:
    found = ask(f"{url}/classify", {"url": f"{images}/cat.jpg"})
    checks.equal(found, ask(f"{url}/classify", CAT.read_bytes()), "an image by URL")
    found = pairs(ask(url, {"inputs": f"{images}/cat.jpg"}))
    checks.equal(found, classes(url, CAT), "and in Hugging Face's JSON")
    checks.equal(ask(f"{url}/classify", {"url": url}), 403, "but from no other host")


if __name__ == "__main__":
    main()
