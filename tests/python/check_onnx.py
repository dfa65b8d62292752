"""Checks the ONNX files of `resnetd export` with ONNX's own tools.

    python tests/python/check_onnx.py --resnetd target/release/resnetd

ONNX's checker and shape inference must accept the files, their interface must be the documented
one, and ONNX's reference evaluator must compute PyTorch's logits from them. At the end, the
probabilities of `resnetd classify` must be the reference evaluator's.
"""

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator
from PIL import Image

import seeded_weights
from checks import Checks, fail
from seeded_weights import seeded

TESTS = Path(__file__).parents[1]
TOLERANCE = 1e-4  # of the largest logit, and of probabilities
PICTURES = [TESTS / "data" / f"cifar10-{label}.png" for label in ("airplane", "cat", "ship")]


# Each kind of block, plain and residual, with so many images.
CHECKED = (("resnet20", 2), ("plain20", 2), ("resnet18", 1), ("resnet50", 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--resnetd", type=Path, required=True, help="the program to check")
    resnetd = parser.parse_args().resnetd.resolve()
    if not resnetd.is_file():
        fail(f"{resnetd} is not there; cargo build makes it")
    checks = Checks()
    with tempfile.TemporaryDirectory() as folder:
        for architecture, images in CHECKED:
            check_architecture(checks, resnetd, Path(folder), architecture, images)
        check_default_model(checks, resnetd, Path(folder))
    checks.done()


def check_architecture(
    checks: Checks, resnetd: Path, folder: Path, architecture: str, images: int
) -> None:
    """Exports a network with weights by formula and runs its golden pixels."""
    golden = json.loads((TESTS / "golden" / f"{architecture}.json").read_text())
    weights = folder / f"{architecture}.safetensors"
    seeded_weights.write(weights, architecture)
    model_path = folder / f"{architecture}.onnx"
    run(resnetd, "export", "--arch", architecture, "--weights", weights, "-o", model_path)
    model = check_file(checks, model_path, interface(architecture, golden["input"]))

    pixels = seeded.pixels(2, *golden["input"])[:images]
    outputs = evaluate(model, pixels)
    what = f"{architecture}: the reference evaluator's {{}} are PyTorch's"
    check_close(checks, outputs["logits"], golden["logits"][:images], what.format("logits"))
    embedding = outputs["embedding"][:, :8]
    check_close(checks, embedding, golden["embedding_first8"][:images], what.format("embeddings"))
    check_probabilities(checks, architecture, outputs)


def check_default_model(checks: Checks, resnetd: Path, folder: Path) -> None:
    """Exports the embedded model, and classifies images with it in both programs."""
    name = "cifar10-resnet56"
    golden = json.loads((TESTS / "golden" / f"{name}.json").read_text())
    model_path = folder / f"{name}.onnx"
    run(resnetd, "export", "--model", name, "-o", model_path)
    model = check_file(checks, model_path, interface("resnet56", [32, 32]))
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    checks.equal(metadata.get("resnetd.name"), name, f"{name}: the metadata name the model")
    labels = json.loads(metadata["resnetd.labels"])
    checks.equal(labels, golden["labels"], f"{name}: the metadata hold the labels")

    pixels = np.stack([np.asarray(Image.open(path).convert("RGB")) for path in PICTURES])
    outputs = evaluate(model, pixels)
    rows = [golden["pictures"][path.name] for path in PICTURES]
    expected = [golden["logits"][row] for row in rows]
    what = f"{name}: the reference evaluator's logits are PyTorch's"
    check_close(checks, outputs["logits"], expected, what)

    options = ("--json", "--precision", "fp32", "--top-k", str(len(labels)))
    lines = run(resnetd, "classify", "--calibrated", "off", *options, *PICTURES).splitlines()
    answers = {Path(answer["file"]).name: answer for answer in map(json.loads, lines)}
    found = np.zeros_like(outputs["probabilities"])
    for row, path in enumerate(PICTURES):
        for prediction in answers[path.name]["predictions"]:
            found[row, labels.index(prediction["label"])] = prediction["probability"]
    difference = np.abs(found - outputs["probabilities"]).max()
    what = f"{name}: resnetd classify's probabilities are the reference evaluator's"
    checks.that(difference <= TOLERANCE, f"{what} (largest difference {difference:.1e})")


def interface(architecture: str, size: list[int]) -> dict[str, tuple[str, list]]:
    """Inputs and outputs as documented: name to element type and shape."""
    blocks, widths, expansion, _, classes = seeded_weights.NETWORKS[architecture]
    channels = widths[-1] * expansion
    shrink = 4 if len(blocks) == 3 else 32
    return {
        "pixels": ("UINT8", ["N", *size, 3]),
        "logits": ("FLOAT", ["N", classes]),
        "probabilities": ("FLOAT", ["N", classes]),
        "embedding": ("FLOAT", ["N", channels]),
        "feature_map": ("FLOAT", ["N", channels, *(side // shrink for side in size)]),
    }


def check_file(checks: Checks, path: Path, expected: dict) -> onnx.ModelProto:
    """Checks a model without running it."""
    name = path.stem
    model = onnx.load(path)
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        fail(f"{name}: ONNX's checker refuses it: {error}")
    checks.that(True, f"{name}: ONNX's checker and strict shape inference accept it")

    # Supported by ONNX Runtime since 1.18.
    checks.that(model.ir_version <= 10, f"{name}: IR version {model.ir_version} is at most 10")
    opsets = [(opset.domain, opset.version) for opset in model.opset_import]
    checks.equal(opsets, [("", 17)], f"{name}: only ONNX's own operators, of opset 17")

    values = [*model.graph.input, *model.graph.output]
    checks.equal([value.name for value in model.graph.input], ["pixels"], f"{name}: one input")
    found = {value.name: described(value) for value in values}
    checks.equal(found, expected, f"{name}: names, types and shapes are as documented")
    keys = [entry.key for entry in model.metadata_props]
    checks.that(len(keys) > 0, f"{name}: there are metadata")
    checks.equal(len(keys), len(set(keys)), f"{name}: no metadata key is there twice")
    return model


def described(value: onnx.ValueInfoProto) -> tuple[str, list]:
    """Element type and shape; a dimension known only at run time by its name."""
    tensor = value.type.tensor_type
    shape = [dim.dim_param or dim.dim_value for dim in tensor.shape.dim]
    return onnx.TensorProto.DataType.Name(tensor.elem_type), shape


def evaluate(model: onnx.ModelProto, pixels: np.ndarray) -> dict[str, np.ndarray]:
    """Runs uint8 [N, H, W, 3] through ONNX's reference evaluator; all outputs by name."""
    started = time.monotonic()
    names = [output.name for output in model.graph.output]
    outputs = ReferenceEvaluator(model).run(names, {"pixels": pixels})
    elapsed = time.monotonic() - started
    print(f"    {model.graph.name}: {len(pixels)} images evaluated in {elapsed:.1f} s", flush=True)
    return dict(zip(names, outputs, strict=True))


def check_close(checks: Checks, found: np.ndarray, expected: list, what: str) -> None:
    expected = np.array(expected)
    if found.shape != expected.shape:
        fail(f"{what}: shape {found.shape}, expected {expected.shape}")
    difference = np.abs(found - expected).max() / np.abs(expected).max()
    checks.that(difference <= TOLERANCE, f"{what} (largest difference {difference:.1e})")


def check_probabilities(checks: Checks, name: str, outputs: dict[str, np.ndarray]) -> None:
    logits = outputs["logits"].astype(np.float64)
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    softmax = exponentials / exponentials.sum(axis=1, keepdims=True)
    difference = np.abs(outputs["probabilities"] - softmax).max()
    checks.that(difference <= 1e-6, f"{name}: probabilities are the softmax of the logits")


def run(*command: object) -> str:
    """The output of the command; exits with its error if it fails."""
    words = [str(word) for word in command]
    result = subprocess.run(words, capture_output=True, text=True)
    if result.returncode != 0:
        fail(f"`{' '.join(words)}` ended with {result.returncode}:\n{result.stderr.strip()}")
    return result.stdout


if __name__ == "__main__":
    main()
