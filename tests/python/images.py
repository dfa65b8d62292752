"""Images as the protocol's clients send them, and the scores of /classify for them."""

import io
import json
import urllib.request

import numpy as np
from PIL import Image

from serving import DATA

FILES = [(DATA / name).read_bytes() for name in ("cifar10-cat.png", "cifar10-ship.png")]


def pixels() -> np.ndarray:
    """uint8 [N, height, width, 3]; the files are of the network's size, so nothing is resized."""
    return np.stack([np.asarray(Image.open(io.BytesIO(file)).convert("RGB")) for file in FILES])


def normalised(address: str) -> np.ndarray:
    """float32 [N, 3, height, width], with the mean and deviation of the served model."""
    preprocess = get(address, "/v1/model")["preprocess"]
    mean, std = (np.array(preprocess[name], np.float32) for name in ("mean", "std"))
    values = (pixels().astype(np.float32) / np.float32(255) - mean) / std
    return np.ascontiguousarray(values.transpose(0, 3, 1, 2))


def files() -> np.ndarray:
    """object [N]: each file's bytes."""
    return np.array(FILES, dtype=np.object_)


def classified(address: str) -> np.ndarray:
    """float32 [N, classes]: the probabilities that /classify answers."""
    classes = len(get(address, "/v1/model")["labels"])
    rows = np.full([len(FILES), classes], np.nan, np.float32)
    for row, file in zip(rows, FILES):
        request = urllib.request.Request(f"http://{address}/classify?top_k={classes}", data=file)
        with urllib.request.urlopen(request, timeout=60) as response:
            for prediction in json.load(response)["predictions"]:
                row[prediction["index"]] = np.float32(prediction["probability"])
    return rows


def best(address: str) -> list[str]:
    """The label that /classify returns for each of them."""
    labels = get(address, "/v1/model")["labels"]
    return [labels[row.argmax()] for row in classified(address)]


def get(address: str, path: str) -> dict:
    with urllib.request.urlopen(f"http://{address}{path}", timeout=60) as response:
        return json.load(response)
