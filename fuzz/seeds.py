"""Writes small images, requests and model files of every kind to corpus/TARGET, for each fuzz target.

    .venv/bin/python fuzz/seeds.py

Needs Pillow, which is in tests/python/requirements.txt.
"""

import base64
import io
import json
import pathlib
import pickle
import struct
import sys
import types

from PIL import Image

FUZZ = pathlib.Path(__file__).parent
DATA = FUZZ.parent / "tests" / "data"
MODEL = "cifar10-resnet56"


def picture(mode: str, width: int, height: int) -> Image.Image:
    image = Image.new("RGB", (width, height))
    image.putdata([((x * 7) % 256, (y * 11) % 256, (x * y) % 256) for y in range(height) for x in range(width)])
    return image.convert(mode)


def jpegs() -> dict[str, bytes]:
    kinds: dict[str, bytes] = {}
    for mode in ["L", "RGB", "CMYK"]:
        for progressive in [False, True]:
            for sampling in [0, 1, 2] if mode == "RGB" else [0]:
                for name, more in [("plain", {}), ("restart", {"restart_marker_blocks": 2})]:
                    exif = Image.Exif()
                    exif[0x0112] = 6
                    stream = io.BytesIO()
                    picture(mode, 37, 29).save(
                        stream, "JPEG", quality=60, progressive=progressive, subsampling=sampling,
                        exif=exif if name == "plain" else b"", **more,
                    )
                    kinds[f"{mode}-{progressive}-{sampling}-{name}.jpg"] = stream.getvalue()
    return kinds


def others() -> dict[str, bytes]:
    kinds: dict[str, bytes] = {}
    for mode in ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "CMYK"]:
        for format, options in [
            ("PNG", {}), ("GIF", {}), ("BMP", {}), ("WEBP", {}), ("WEBP", {"lossless": True}),
            ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}), ("TIFF", {"compression": "jpeg"}),
            ("TIFF", {"compression": "packbits"}), ("TIFF", {"compression": "tiff_deflate"}),
            ("TIFF", {"compression": "group4"}),
        ]:
            stream = io.BytesIO()
            source = picture("L", 19, 13) if mode == "I;16" else picture(mode if mode != "I;16" else "L", 19, 13)
            try:
                source.save(stream, format, **options)
            except (OSError, ValueError, KeyError):
                continue
            kinds[f"{mode}-{format}-{'-'.join(map(str, options.values()))}"] = stream.getvalue()
    return kinds


def png() -> bytes:
    stream = io.BytesIO()
    picture("RGB", 19, 13).save(stream, "PNG")
    return stream.getvalue()


def forms() -> dict[str, bytes]:
    def part(disposition: str, body: bytes, kind: str = "") -> bytes:
        more = f"Content-Type: {kind}\r\n" if kind else ""
        return f'--X\r\nContent-Disposition: form-data; {disposition}\r\n{more}\r\n'.encode() + body + b"\r\n"

    image = part('name="image"; filename="a.png"', png(), "image/png")
    return {
        "one": image + b"--X--\r\n",
        "three": image * 3 + b"--X--\r\n",
        "field": part('name="top_k"', b"2") + image + b"--X--\r\n",
        "unknown-field": part('name="other"', b"2") + image + b"--X--\r\n",
        "encoded-name": part("name*=UTF-8''%e2%82%ac; filename*=UTF-8''%e2%82%ac.png", png()) + b"--X--\r\n",
        "no-end": image,
    }


def tensor(**more: object) -> dict:
    return {"name": "pixels", "datatype": "UINT8", "shape": [1, 32, 32, 3]} | more


def as_json() -> dict[str, bytes]:
    text = base64.b64encode(png()).decode()
    requests = {
        "pixels": {"id": "a", "inputs": [tensor(data=[0] * 3072)], "outputs": [{"name": "probabilities", "parameters": {"classification": 2}}]},
        "nested": {"inputs": [{"name": "pixels", "datatype": "FP32", "shape": [1, 2, 2, 3], "data": [[[[0.5, 1, 2]] * 2] * 2]}]},
        "image": {"inputs": [{"name": "image", "datatype": "BYTES", "shape": [2], "data": [text, text]}], "parameters": {"top_k": 3}},
        "null": {"id": None, "parameters": None, "inputs": [], "outputs": None},
        "hugging-face": {"inputs": text, "parameters": {"top_k": 2, "function_to_apply": "softmax"}},
        "instances": {"instances": [{"b64": text}, {"image_bytes": {"b64": text}}, {"image": text}]},
        "url": {"url": "http://127.0.0.1/cat.jpg"},
    }
    return {name: json.dumps(request).encode() for name, request in requests.items()}


def as_binary() -> dict[str, bytes]:
    def request(inputs: list[dict], data: bytes) -> bytes:
        text = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
        return struct.pack("<H", len(text)) + text + data

    element = struct.pack("<I", len(png())) + png()
    image = {"name": "image", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": len(element)}}
    return {
        "pixels": request([tensor(parameters={"binary_data_size": 3072})], bytes(3072)),
        "image": request([image], element),
        "two": request([image, image], element * 2),
        "raw": struct.pack("<H", 0) + png(),
    }


def message(number: int, body: bytes) -> bytes:
    """A length-delimited protobuf field."""
    length, size = b"", len(body)
    while size > 127:
        length += bytes([size & 127 | 128])
        size >>= 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + body


def grpc() -> dict[str, bytes]:
    name = message(1, MODEL.encode())
    pixels = message(5, message(1, b"pixels") + message(2, b"UINT8") + message(3, bytes([1, 32, 32, 3])))
    image = message(1, b"image") + message(2, b"BYTES") + message(3, b"\1")
    parameter = message(1, b"top_k") + message(2, b"\x10\2")
    return {
        "pixels": name + pixels + message(7, bytes(3072)),
        "image": name + message(5, image + message(5, message(8, png()))) + message(4, parameter),
        "raw-image": name + message(5, image) + message(7, struct.pack("<I", len(png())) + png()) + message(6, message(1, b"logits")),
        "empty": b"",
    }


def safetensors() -> dict[str, bytes]:
    header = {
        "__metadata__": {"format": "pt"},
        "fc.weight": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]},
        "fc.bias": {"dtype": "BF16", "shape": [2], "data_offsets": [16, 20]},
        "bn1.num_batches_tracked": {"dtype": "I64", "shape": [], "data_offsets": [20, 28]},
    }
    text = json.dumps(header).encode()
    return {"three": struct.pack("<Q", len(text)) + text + bytes(28), "none": struct.pack("<Q", 2) + b"{}"}


class Tensor:
    """Is pickled like a PyTorch tensor with its elements in storage 0 of the archive."""

    def __init__(self, *shape: int) -> None:
        self.shape = shape

    def __reduce__(self) -> tuple:
        strides = tuple(4 if place == 0 and len(self.shape) > 1 else 1 for place in range(len(self.shape)))
        return (sys.modules["torch._utils"]._rebuild_tensor_v2, (Storage(), 0, self.shape, strides, False, {}))


class Storage:
    pass


def pickles() -> dict[str, bytes]:
    """State dicts, made without PyTorch: stub modules have its names."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    sys.modules |= {"torch": torch, "torch._utils": utils}

    def named(module: types.ModuleType, name: str, value: object) -> object:
        value.__module__, value.__qualname__ = module.__name__, name
        setattr(module, name, value)
        return value

    named(utils, "_rebuild_tensor_v2", lambda *arguments: None)
    storage = named(torch, "FloatStorage", type("FloatStorage", (), {}))

    class Pickler(pickle.Pickler):
        def persistent_id(self, value: object) -> object:
            return ("storage", storage, "0", "cpu", 16) if isinstance(value, Storage) else None

    def pickled(value: object, protocol: int = 2) -> bytes:
        stream = io.BytesIO()
        Pickler(stream, protocol).dump(value)
        return stream.getvalue()

    weights = {"fc.weight": Tensor(2, 4), "fc.bias": Tensor(2)}
    return {
        "weights": pickled(weights),
        "checkpoint": pickled({"state_dict": weights, "epoch": 3, "args": ["a", 1.5, None, True, b"x"]}),
        "newer": pickled({"model": weights, "nested": {"a": [{"b": (1, 2)}]}}, 4),
        "a-list": pickled([1, 2, 3]),
    }


def graphs() -> dict[str, bytes]:
    files = [*(DATA / "onnx").glob("*.onnx"), *(FUZZ.parent / "models").glob("*/card.toml")]
    return {f"{file.parent.name}-{file.name}": file.read_bytes() for file in files if file.stat().st_size < 65536}


def main() -> None:
    seeds = jpegs()
    of_pictures = {"jpeg": seeds, "jpeg_reduced_vs_whole": seeds, "jpeg_rewritten": seeds, "decode": seeds | others()}
    of_the_server = {
        "form": forms(), "v2_json": as_json(), "v2_binary": as_binary(), "grpc": grpc(),
        "safetensors": safetensors(), "pickle": pickles(), "onnx": graphs(),
    }
    for corpus, targets in {FUZZ / "corpus": of_pictures, FUZZ / "server" / "corpus": of_the_server}.items():
        for target, files in targets.items():
            folder = corpus / target
            folder.mkdir(parents=True, exist_ok=True)
            for name, content in files.items():
                (folder / name).write_bytes(content)
            print(f"{folder}: {len(files)} seeds")


main()
