"""Triton's own clients against a running resnetd, over HTTP and gRPC: check_triton.py --resnetd PATH."""

import argparse
import asyncio
import base64
import socket
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import grpc
import numpy as np
import tritonclient.grpc
import tritonclient.grpc.aio
import tritonclient.http
import tritonclient.http.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from google.protobuf import json_format
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from tritonclient.utils import InferenceServerException

import images
from checks import Checks, fail
from serving import server

MODEL = "cifar10-resnet56"
KINDS = {"http": tritonclient.http, "grpc": tritonclient.grpc}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--resnetd", type=Path, required=True)
    arguments = parser.parse_args()
    checks = Checks()
    with server(arguments.resnetd) as url:
        address = url.removeprefix("http://")
        expected = images.classified(address)
        for name, kind in KINDS.items():
            client = kind.InferenceServerClient(address)
            check_metadata(checks, name, client)
            check_inputs(checks, name, kind, client, address, expected)
            check_outputs(checks, name, kind, client, address, expected)
            check_errors(checks, name, kind, client)
            client.close()
            check_many(checks, name, kind, address, expected)
            asyncio.run(check_async(checks, name, kind.aio, address, expected))
        check_json(checks, address, expected)
        check_deadline(checks, address)
        check_grpc_services(checks, address)
    check_repository(checks, arguments.resnetd)
    checks.done()


def check_repository(checks: Checks, resnetd: Path) -> None:
    """Loads and unloads a model of a repository over the admin address, and not over the public one."""
    with tempfile.TemporaryDirectory() as folder, socket.socket() as free:
        model = Path(folder) / "pets" / "1" / "model.onnx"
        model.parent.mkdir(parents=True)
        command = [resnetd, "export", "--model", MODEL, "--output", model]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        free.bind(("127.0.0.1", 0))
        admin = f"127.0.0.1:{free.getsockname()[1]}"
        free.close()
        options = ["--model-repository", folder, "--model-control", "explicit", "--admin-listen", admin]
        with server(resnetd, *options) as url:
            for name, kind in KINDS.items():
                public = kind.InferenceServerClient(url.removeprefix("http://"))
                checks.that(not public.is_model_ready("pets"), f"{name}: the model is not loaded")
                client = kind.InferenceServerClient(admin)
                client.load_model("pets")
                checks.that(public.is_model_ready("pets", "1"), f"{name}: load_model loads it")
                values = tensor(kind, "pixels", "UINT8", images.pixels())
                found = public.infer("pets", [values], model_version="1").get_response()
                found = found["model_version"] if name == "http" else found.model_version
                checks.equal(found, "1", f"{name}: the version that answers")
                checks.equal(states(name, client), [("pets", "1", "READY")], f"{name}: the state in the index")
                for what, change in [
                    ("the public address unloads nothing", lambda: public.unload_model("pets")),
                    ("an unknown model is not loaded", lambda: client.load_model("none")),
                ]:
                    try:
                        change()
                        fail(f"{name}: {what}")
                    except InferenceServerException as error:
                        checks.that(True, f"{name}: {what}: {error.message()}")
                client.unload_model("pets")
                checks.that(not public.is_model_ready("pets"), f"{name}: unload_model unloads it")
                checks.equal(states(name, client), [("pets", "1", "UNAVAILABLE")], f"{name}: the state then")
                client.close()
                public.close()


def states(name: str, client) -> list[tuple[str, str, str]]:
    """Name, version and state of each model in the repository's index."""
    index = client.get_model_repository_index() if name == "http" else client.get_model_repository_index(as_json=True)["models"]
    return [(model["name"], model["version"], model["state"]) for model in index]


def tensor(kind: ModuleType, name: str, datatype: str, values: np.ndarray, **options) -> object:
    made = kind.InferInput(name, list(values.shape), datatype)
    made.set_data_from_numpy(values, **options)
    return made


def check_metadata(checks: Checks, name: str, client) -> None:
    as_json = {"as_json": True} if name == "grpc" else {}
    checks.that(client.is_server_live() and client.is_server_ready(), f"{name}: live and ready")
    checks.that(client.is_model_ready(MODEL) and client.is_model_ready(MODEL, "1"), f"{name}: the model is ready")
    checks.equal(client.get_server_metadata(**as_json)["name"], "resnetd", f"{name}: the server's name")
    model = client.get_model_metadata(MODEL, **as_json)
    found = [(i["name"], i["datatype"], [int(size) for size in i["shape"]]) for i in model["inputs"]]
    expected = [
        ("pixels", "UINT8", [-1, 32, 32, 3]),
        ("input", "FP32", [-1, 3, 32, 32]),
        ("image", "BYTES", [-1]),
    ]
    checks.equal(found, expected, f"{name}: the model's inputs")
    found = [output["name"] for output in model["outputs"]]
    checks.equal(found, ["probabilities", "logits", "embedding"], f"{name}: the model's outputs")
    config = client.get_model_config(MODEL, **as_json)
    config = config.get("config", config)
    checks.that(config["max_batch_size"] > 0 and "dynamic_batching" in config, f"{name}: the configuration")
    checks.equal(config["input"][0]["format"], "FORMAT_NHWC", f"{name}: the order of axes")
    before = statistics(client, as_json)
    checks.that(before["inference_stats"]["compute_infer"], f"{name}: statistics")
    index = client.get_model_repository_index(**as_json)
    index = index.get("models") if isinstance(index, dict) else index
    checks.equal([m["name"] for m in index], [MODEL], f"{name}: the repository's index")


def statistics(client, as_json: dict) -> dict:
    return client.get_inference_statistics(MODEL, **as_json)["model_stats"][0]


def check_inputs(checks: Checks, name: str, kind: ModuleType, client, address: str, expected: np.ndarray) -> None:
    floats = images.normalised(address)
    about = images.get(address, "/v1/model")
    temperature = about["calibration"][about["precision"]]["temperature"]
    for what, values in {
        "pixels": tensor(kind, "pixels", "UINT8", images.pixels()),
        "floats, channels first": tensor(kind, "input", "FP32", floats),
        "floats, channels last": tensor(
            kind, "input", "FP32", np.ascontiguousarray(floats.transpose(0, 2, 3, 1))
        ),
        "files": tensor(kind, "image", "BYTES", images.files()),
    }.items():
        answer = client.infer(MODEL, [values], request_id="seven")
        same(checks, answer.as_numpy("probabilities"), expected, f"{name}: {what} score as /classify, bit for bit")
        logits = answer.as_numpy("logits").astype(np.float64) / temperature
        softmax = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        checks.that(np.allclose(softmax, expected, atol=1e-5), f"{name}: {what} have the logits of these scores")
        response = answer.get_response()
        found = response["id"] if name == "http" else response.id
        checks.equal(found, "seven", f"{name}: the request's id is given back")


def same(checks: Checks, found: np.ndarray | None, expected: np.ndarray, what: str) -> None:
    if found is None or found.shape != expected.shape or found.dtype != expected.dtype:
        fail(f"{what}: found {found}, expected {expected.shape} {expected.dtype}")
    if found.tobytes() != expected.tobytes():
        fail(f"{what}: found {found}, expected {expected}")
    checks.that(True, what)


def check_outputs(checks: Checks, name: str, kind: ModuleType, client, address: str, expected: np.ndarray) -> None:
    inputs = [tensor(kind, "pixels", "UINT8", images.pixels())]
    wanted = [
        kind.InferRequestedOutput("probabilities", class_count=3),
        kind.InferRequestedOutput("embedding"),
    ]
    answer = client.infer(MODEL, inputs, outputs=wanted)
    classes = answer.as_numpy("probabilities")
    checks.equal(classes.shape, (2, 3), f"{name}: three classes of two images")
    for row, label, probabilities in zip(classes, images.best(address), expected):
        value, index, found = row[0].decode().split(":")
        checks.equal(found, label, f"{name}: the best class is {label}")
        checks.equal(value, f"{probabilities[int(index)]:.6f}", f"{name}: its score")
    checks.equal(answer.as_numpy("embedding").shape, (2, 64), f"{name}: two embeddings")
    checks.that(answer.as_numpy("logits") is None, f"{name}: what was not asked for is not answered")


def check_errors(checks: Checks, name: str, kind: ModuleType, client) -> None:
    pixels = images.pixels()
    cut = tensor(kind, "pixels", "UINT8", pixels)
    if name == "http":
        cut._raw_data = cut._raw_data[:-1]
        cut._parameters["binary_data_size"] -= 1
    else:
        cut._raw_content = cut._raw_content[:-1]
    no_image = np.array([b"no picture"], dtype=np.object_)
    halves = np.full([1, 3, 32, 32], 0.5, np.float32)
    small = np.zeros([1, 16, 16, 3], np.uint8)
    good = tensor(kind, "pixels", "UINT8", pixels)
    for what, model, values, words, status in [
        ("another model", "resnet50", good, 'this server serves "cifar10-resnet56"', ("404", "NOT_FOUND")),
        ("a wrong shape", MODEL, tensor(kind, "pixels", "UINT8", small), "it takes [N, 32, 32, 3]", BAD),
        ("a wrong datatype", MODEL, tensor(kind, "pixels", "FP32", halves), "it takes UINT8", BAD),
        ("truncated data", MODEL, cut, "is 6144 bytes, and 6143 were sent", BAD),
        ("floats of no pixels", MODEL, tensor(kind, "input", "FP32", halves), "no whole number", BAD),
        ("no picture", MODEL, tensor(kind, "image", "BYTES", no_image), "not an image", ("400", BAD[1])),
        ("an unknown input", MODEL, tensor(kind, "x", "UINT8", pixels), "there are pixels, input, image", BAD),
    ]:
        try:
            client.infer(model, [values])
            fail(f"{name}: {what} was answered")
        except InferenceServerException as error:
            expected = status[0] if name == "http" else f"StatusCode.{status[1]}"
            checks.that(words in error.message(), f"{name}: {what}: {error.message()}")
            checks.equal(error.status(), expected, f"{name}: the status of {what}")


BAD = ("422", "INVALID_ARGUMENT")


def check_many(checks: Checks, name: str, kind: ModuleType, address: str, expected: np.ndarray) -> None:
    """Eight clients at once, each with ten requests of one or two images."""

    def one(number: int) -> bool:
        client = kind.InferenceServerClient(address)
        right = True
        for turn in range(10):
            count = 1 + (number + turn) % 2
            values = tensor(kind, "pixels", "UINT8", images.pixels()[:count])
            found = client.infer(MODEL, [values]).as_numpy("probabilities")
            right = right and found.tobytes() == expected[:count].tobytes()
        client.close()
        return right

    with ThreadPoolExecutor(8) as pool:
        checks.that(all(pool.map(one, range(8))), f"{name}: eight clients at once get the same bits")


async def check_async(checks: Checks, name: str, kind: ModuleType, address: str, expected: np.ndarray) -> None:
    client = kind.InferenceServerClient(address)
    checks.that(await client.is_server_ready(), f"{name}.aio: ready")

    async def one() -> np.ndarray:
        values = tensor(kind, "image", "BYTES", images.files())
        return (await client.infer(MODEL, [values])).as_numpy("probabilities")

    for found in await asyncio.gather(*(one() for _ in range(16))):
        if found.tobytes() != expected.tobytes():
            fail(f"{name}.aio: found {found}")
    checks.that(True, f"{name}.aio: sixteen requests at once get the same bits")
    try:
        await client.get_model_metadata("other")
        fail(f"{name}.aio: another model was described")
    except InferenceServerException as error:
        checks.that("this server serves" in error.message(), f"{name}.aio: an error has its words")
    await client.close()


def check_json(checks: Checks, address: str, expected: np.ndarray) -> None:
    """The same over HTTP without the binary extension."""
    kind = tritonclient.http
    client = kind.InferenceServerClient(address)
    outputs = [kind.InferRequestedOutput("probabilities", binary_data=False)]
    for what, name, datatype, values in [
        ("pixels", "pixels", "UINT8", images.pixels()),
        ("floats", "input", "FP32", images.normalised(address)),
    ]:
        inputs = [tensor(kind, name, datatype, values, binary_data=False)]
        answer = client.infer(MODEL, inputs, outputs=outputs)
        checks.that("data" in answer.get_output("probabilities"), f"json: {what} are answered in JSON")
        same(checks, answer.as_numpy("probabilities"), expected, f"json: {what} score the same")
    classes = [kind.InferRequestedOutput("logits", binary_data=False, class_count=1)]
    inputs = [tensor(kind, "image", "BYTES", images.files())]
    answer = client.infer(MODEL, inputs, outputs=classes)
    found = answer.get_output("logits")["data"]
    checks.equal([text.split(":")[2] for text in found], images.best(address), "json: classes as text")
    client.close()


def check_deadline(checks: Checks, address: str) -> None:
    """A time limit of a microsecond cannot be met, in the parameter and in gRPC's own header."""
    for name, kind in KINDS.items():
        client = kind.InferenceServerClient(address)
        values = tensor(kind, "pixels", "UINT8", images.pixels())
        try:
            client.infer(MODEL, [values], timeout=1)
            fail(f"{name}: the answer came within a microsecond")
        except InferenceServerException as error:
            expected = "503" if name == "http" else "StatusCode.DEADLINE_EXCEEDED"
            checks.equal(error.status(), expected, f"{name}: a passed time limit: {error.message()}")
        client.close()


def check_grpc_services(checks: Checks, address: str) -> None:
    """Health and reflection, with grpc's own Python packages."""
    with grpc.insecure_channel(address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for service in ("", "inference.GRPCInferenceService"):
            found = health.Check(health_pb2.HealthCheckRequest(service=service)).status
            checks.equal(found, health_pb2.HealthCheckResponse.SERVING, f"health of {service!r}")
        try:
            health.Check(health_pb2.HealthCheckRequest(service="other"))
            fail("an unknown service is healthy")
        except grpc.RpcError as error:
            checks.equal(error.code(), grpc.StatusCode.NOT_FOUND, "health of an unknown service")
        services = ProtoReflectionDescriptorDatabase(channel).get_services()
        checks.that("inference.GRPCInferenceService" in services, f"reflection tells {services}")
        described = ProtoReflectionDescriptorDatabase(channel).FindFileContainingSymbol(
            "inference.ModelInferRequest"
        )
        fields = {field.name: field.number for field in message(described, "ModelInferRequest").field}
        checks.equal(fields["raw_input_contents"], 7, "reflection describes the request")
        check_made_by_reflection(checks, channel)
        current = channel.stream_stream(  # the same messages under its later name
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        answer = next(current(iter([reflection_pb2.ServerReflectionRequest(list_services="")])))
        names = [service.name for service in answer.list_services_response.service]
        checks.that("inference.GRPCInferenceService" in names, "reflection, version 1, tells it too")


def check_made_by_reflection(checks: Checks, channel: grpc.Channel) -> None:
    """As grpcurl: converts JSON to a request with the server's reflection only."""
    pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
    asked, answered = (
        GetMessageClass(pool.FindMessageTypeByName(f"inference.ModelInfer{kind}"))
        for kind in ("Request", "Response")
    )
    data = base64.b64encode(images.FILES[1]).decode()
    request = {
        "model_name": MODEL,
        "inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "contents": {"bytes_contents": [data]}}],
        "outputs": [{"name": "probabilities", "parameters": {"classification": {"int64_param": 1}}}],
    }
    infer = channel.unary_unary(
        "/inference.GRPCInferenceService/ModelInfer",
        request_serializer=asked.SerializeToString,
        response_deserializer=answered.FromString,
    )
    answer = infer(json_format.ParseDict(request, asked()))
    checks.that(b":ship" in answer.outputs[0].contents.bytes_contents[0], "a request made of the server's own description")


def message(file, name: str):
    return next(found for found in file.message_type if found.name == name)


if __name__ == "__main__":
    main()
