"""Classifies with the client that openapi-python-client writes: openapi_python_client.py URL FILE OTHER."""

import io
import sys
from pathlib import Path

from resnetd_client import Client
from resnetd_client.api.images import classify, classify_by_model
from resnetd_client.api.model import models
from resnetd_client.models import AllFailed, FileProblem, ImageUrl, Pictures, Problem, SeveralClassified, SingleClassified
from resnetd_client.types import File

url, *paths = sys.argv[1:]
client = Client(url)
photo, other = (Path(path).read_bytes() for path in paths)


def file(content: bytes) -> File:
    return File(payload=io.BytesIO(content), file_name="file", mime_type="application/octet-stream")


one = classify.sync(client=client, body=file(photo), top_k=2)
assert isinstance(one, SingleClassified), one
print(one.predictions[0].label)

name = models.sync(client=client).versions[0].name
named = classify_by_model.sync(name, client=client, body=file(photo))
assert named.predictions[0].label == one.predictions[0].label and len(named.predictions) == 5, named

form = Pictures()
form["first"], form["second"] = file(photo), file(b"text")
both = classify.sync(client=client, body=form)
assert isinstance(both, SeveralClassified), both
assert both.results[0].predictions[0].label == one.predictions[0].label, both
assert isinstance(both.results[1], FileProblem) and both.results[1].reason == "not-an-image", both

bad = classify.sync(client=client, body=file(b"text"))
assert isinstance(bad, Problem) and bad.reason == "not-an-image", bad
form["first"] = file(b"text")
assert isinstance(classify.sync(client=client, body=form), AllFailed)
fetched = classify.sync(client=client, body=ImageUrl(url="https://images.example.org/cat.jpg"))
assert isinstance(fetched, Problem) and fetched.reason == "url-not-allowed", fetched
print(classify.sync(client=client, body=file(other)).predictions[0].label)
