"""Times the int8 ResNet-50 of `resnetd quantize` against the one of ONNX Runtime's own quantizer.

    make bench-int8

Quantizes the same exported float32 graph with seeded weights with both, with ranges from the same photos. Then runs both int8
graphs and the float32 graph in turns, with one thread and one image per run, and prints medians and ratios.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quant_pre_process,
    quantize_static,
)

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tests" / "python"))
import seeded_weights  # noqa: E402

PICTURES = ROOT / "tests" / "data" / "pictures"
ROUNDS = 30


class Noise(CalibrationDataReader):
    """Eight images of noise, for ranges whose values no speed depends on."""

    def __init__(self) -> None:
        pixels = np.random.default_rng(0).integers(0, 256, (8, 1, 224, 224, 3), np.uint8)
        self.images = iter(pixels)

    def get_next(self) -> dict[str, np.ndarray] | None:
        image = next(self.images, None)
        return None if image is None else {"pixels": image}


def only_logits(path: Path) -> Path:
    """The model without the outputs that nobody asks for when images are classified."""
    model = onnx.load(path)
    kept = [output for output in model.graph.output if output.name == "logits"]
    del model.graph.output[:]
    model.graph.output.extend(kept)
    path = path.with_suffix(".logits.onnx")
    onnx.save(model, path)
    return path


def session(path: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def make(resnetd: str, folder: Path) -> dict[str, Path]:
    """The three models, by their makers' names."""
    weights = folder / "resnet50.safetensors"
    seeded_weights.write(weights, "resnet50")
    paths = {name: folder / f"{name}.onnx" for name in ("float32", "resnetd", "onnxruntime")}
    export = ["export", "--arch", "resnet50", "--weights", weights, "--output", paths["float32"]]
    subprocess.run([resnetd, *export], check=True)
    quantize = ["quantize", "--model", paths["float32"], "--calibration", PICTURES]
    quantize += ["--output", paths["resnetd"], "--json"]
    subprocess.run([resnetd, *quantize], check=True, stdout=subprocess.DEVNULL)
    paths = {name: path if name == "onnxruntime" else only_logits(path) for name, path in paths.items()}
    prepared = folder / "prepared.onnx"
    quant_pre_process(str(paths["float32"]), str(prepared), skip_symbolic_shape=True)
    quantize_static(
        str(prepared),
        str(paths["onnxruntime"]),
        Noise(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    return paths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--resnetd", required=True, help="the binary")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = make(arguments.resnetd, Path(folder))
        sessions = {name: session(path) for name, path in paths.items()}
    pixels = np.random.default_rng(1).integers(0, 256, (1, 224, 224, 3), np.uint8)
    times: dict[str, list[float]] = {name: [] for name in sessions}
    for round_ in range(ROUNDS + 3):  # the first three warm up
        for name, loaded in sessions.items():
            started = time.perf_counter()
            loaded.run(["logits"], {"pixels": pixels})
            if round_ >= 3:
                times[name].append(time.perf_counter() - started)
    median = {name: statistics.median(seconds) for name, seconds in times.items()}
    for name, seconds in median.items():
        print(f"{name:12} {1000 * seconds:6.1f} ms an image")
    print(f"int8 of resnetd is {median['float32'] / median['resnetd']:.2f} times as fast as float32,")
    print(f"and has {100 * median['onnxruntime'] / median['resnetd']:.1f} % of the speed of ONNX Runtime's")


if __name__ == "__main__":
    main()
