"""What a schema cannot say: which bytes are a photo, and which classes this model has."""

from pathlib import Path

import schemathesis
from hypothesis import strategies as st

PICTURES = Path(__file__).parent.parent / "data" / "pictures"
# Small ones of several formats: whole requests are printed where something is wrong.
PHOTOS = [
    (PICTURES / name).read_bytes()
    for name in ("one-pixel.png", "palette-2-bits.png", "gray-progressive.jpg", "bilevel.bmp")
]
LABELS = ["cat", "DOG", "ship", "3", "#9"]

photos = st.sampled_from(PHOTOS)
schemathesis.openapi.media_type("application/octet-stream", photos)
schemathesis.openapi.format("binary", photos)


@schemathesis.hook
def map_case(context, case):
    """Good requests name classes that there are, and allow time for an answer."""
    if not case.meta.generation.mode.is_positive:
        return case
    query = case.query or {}
    for name in ("labels", "class"):
        if isinstance(query.get(name), list):
            query[name] = [LABELS[len(typed) % len(LABELS)] for typed in query[name]]
    # Without maps there is no class to map.
    if "explain" not in query:
        query.pop("class", None)
    # A time limit of a millisecond is kept too, by an answer that says so: the tests of overload ask that.
    if "X-Request-Timeout-Ms" in (case.headers or {}):
        case.headers["X-Request-Timeout-Ms"] = "60000"
    return case
