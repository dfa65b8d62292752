"""Classifies with the client that openapi-generator writes in Python: openapi_generator.py URL FILE OTHER."""

import sys
from pathlib import Path

import resnetd_client

url, *paths = sys.argv[1:]
images = resnetd_client.ImagesApi(resnetd_client.ApiClient(resnetd_client.Configuration(host=url)))
# Without this, the client sends every body as JSON where JSON is one of the content types.
BYTES = "application/octet-stream"

for path in paths:
    answer = images.classify(Path(path).read_bytes(), top_k=2, _content_type=BYTES).actual_instance
    print(answer.predictions[0].label)

try:
    images.classify(b"text", _content_type=BYTES)
except resnetd_client.ApiException as problem:
    assert problem.status == 400 and "not-an-image" in problem.body, problem
else:
    raise AssertionError("text was classified")

models = resnetd_client.ModelApi(images.api_client)
name = models.models().versions[0].name
named = images.classify_by_model(name, Path(paths[0]).read_bytes(), _content_type=BYTES).actual_instance
assert len(named.predictions) == 5, named
