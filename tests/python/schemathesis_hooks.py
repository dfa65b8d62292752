"""Values that the schema cannot express: bytes of real photos, and the classes of the model."""

import base64
import re
from pathlib import Path

import schemathesis
from hypothesis import strategies as st
from schemathesis.core.failures import AcceptedNegativeData
from schemathesis.core.parameters import ParameterLocation
from schemathesis.openapi.checks import AllowHeaderMismatch

PICTURES = Path(__file__).parent.parent / "data" / "pictures"
# Small images of several formats, because failures print complete requests.
PHOTOS = [
    (PICTURES / name).read_bytes()
    for name in ("one-pixel.png", "palette-2-bits.png", "gray-progressive.jpg", "bilevel.bmp")
]
NAME = re.compile(r"[\w .-]+", re.ASCII)
LIMIT = re.compile(r"[1-9][0-9]*", re.ASCII)
MODEL = "cifar10-resnet56"
LABELS = ["cat", "DOG", "ship", "3", "#9"]

photos = st.sampled_from(PHOTOS)
schemathesis.openapi.media_type("application/octet-stream", photos)
schemathesis.openapi.format("binary", photos)


@schemathesis.hook
def map_case(context, case):
    """Valid requests use existing classes, and all requests allow enough time for an answer."""
    # Short time limits are covered by the tests of overload.
    if LIMIT.fullmatch(str((case.headers or {}).get("X-Request-Timeout-Ms"))):
        case.headers["X-Request-Timeout-Ms"] = "60000"
    if not case.meta.generation.mode.is_positive:
        return case
    query = case.query or {}
    for name in ("labels", "class"):
        if isinstance(query.get(name), list):
            query[name] = [LABELS[len(typed) % len(LABELS)] for typed in query[name]]
    # `class` requires `explain`.
    if "explain" not in query:
        query.pop("class", None)
    # Prediction sets require a coverage in the card, and exclude parameters that remove classes.
    if "coverage" in query:
        query["coverage"] = 0.9
        for name in ("top_k", "labels", "threshold"):
            query.pop(name, None)
    else:
        query.pop("max_set", None)
    # This model's classes are not ImageNet's.
    for name in ("rollup", "share"):
        query.pop(name, None)
    # Images in JSON are base64.
    if case.media_type == "application/json" and isinstance(case.body, dict):
        picture = base64.b64encode(PHOTOS[len(case.body) % len(PHOTOS)]).decode()
        if case.path.endswith("/infer"):
            case.body["inputs"] = [{"name": "image", "shape": [1], "datatype": "BYTES", "data": [picture]}]
            (case.body.get("parameters") or {}).pop("timeout", None)  # may be a microsecond
            # An output may be requested only once, with at most all of its classes.
            if case.body.get("outputs"):
                case.body["outputs"] = [{"name": "logits", "parameters": {"classification": 2}}]
        elif "inputs" in case.body:
            case.body["inputs"] = picture
        if "instances" in case.body:
            case.body["instances"] = [{"b64": picture}] * min(3, len(case.body["instances"]))
    if "model" in (case.path_parameters or {}):
        case.path_parameters["model"] = MODEL
    # A part's name stands in a header of its own, which takes no control characters, nor quotes unescaped.
    if case.media_type == "multipart/form-data" and isinstance(case.body, dict):
        case.body = {
            name if NAME.fullmatch(name) else f"f{place}": file
            for place, (name, file) in enumerate(case.body.items())
        }
    return case


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Exceptions that the schema cannot express.

    A part of a form is bytes whatever it was meant to be, so a form has no value of a wrong type: what is no
    picture is answered in its place, and the form with 200 where another part is one."""
    # One route takes both /v1/models/NAME and /v1/models/NAME:predict, for a name may have slashes and colons; its
    # header names what either takes.
    if isinstance(failure, AllowHeaderMismatch) and case.path.startswith("/v1/models/"):
        return False
    elsewhere = any(
        component.mode.is_negative
        for place, component in case.meta.components.items()
        if place is not ParameterLocation.BODY
    )
    of_the_form = case.media_type == "multipart/form-data" and not elsewhere
    return not (isinstance(failure, AcceptedNegativeData) and of_the_form)
