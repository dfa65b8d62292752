"""KServe's own clients against a running resnetd, over REST and gRPC: check_kserve.py --resnetd PATH.

A separate program from check_triton.py, because both clients register the same protobuf messages, which a process can do only once.
"""

import argparse
import asyncio
import base64
import logging
from pathlib import Path

import grpc
import httpx
import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.infer_type import InferResponse, RequestedOutput

import images
from checks import Checks, fail
from serving import server

MODEL = "cifar10-resnet56"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--resnetd", type=Path, required=True)
    arguments = parser.parse_args()
    checks = Checks()
    # It logs every error with its stack; they are wanted here.
    logging.disable(logging.ERROR)
    with server(arguments.resnetd) as url:
        address = url.removeprefix("http://")
        asyncio.run(check(checks, address))
    checks.done()


async def check(checks: Checks, address: str) -> None:
    expected = images.classified(address)
    await check_rest(checks, f"http://{address}", requests(address), expected)
    await check_grpc(checks, address, requests(address), expected)


def requests(address: str) -> dict[str, list[InferInput]]:
    """Inputs by what they are, each made afresh: the client changes them."""
    binary = {
        "pixels": ("pixels", "UINT8", images.pixels()),
        "floats": ("input", "FP32", images.normalised(address)),
        "files": ("image", "BYTES", images.files()),
    }
    inputs = {}
    for what, (name, datatype, values) in binary.items():
        inputs[what] = InferInput(name, list(values.shape), datatype)
        inputs[what].set_data_from_numpy(values, binary_data=True)
    for what in ("pixels", "floats"):
        name, datatype, values = binary[what]
        inputs[f"{what} in a list"] = InferInput(
            name, list(values.shape), datatype, data=values.flatten().tolist()
        )
    return {what: [made] for what, made in inputs.items()}


def asking(inputs: list[InferInput], model: str = MODEL, **options) -> InferRequest:
    return InferRequest(model, inputs, request_id="seven", **options)


def compare(checks: Checks, answer: InferResponse, expected: np.ndarray, what: str) -> None:
    checks.equal((answer.id, answer.model_name), ("seven", MODEL), f"{what}: the id and the model")
    found = answer.get_output_by_name("probabilities").as_numpy()
    if found.tobytes() != expected.tobytes():
        fail(f"{what}: found {found}, expected {expected}")
    checks.that(True, f"{what}: scores as /classify, bit for bit")


async def check_rest(checks: Checks, url: str, inputs: dict, expected: np.ndarray) -> None:
    client = InferenceRESTClient(RESTConfig(protocol="v2", retries=0))
    checks.that(await client.is_server_live(url), "rest: live")
    checks.that(await client.is_server_ready(url), "rest: ready")
    checks.that(await client.is_model_ready(url, MODEL), "rest: the model is ready")
    checks.that(not await client.is_model_ready(url, "other"), "rest: another model is not")
    for what, made in inputs.items():
        answer = await client.infer(url, asking(made), MODEL)
        compare(checks, answer, expected, f"rest: {what}")
    binary = asking(inputs["pixels"], parameters={"binary_data_output": True})
    compare(checks, await client.infer(url, binary, MODEL), expected, "rest: binary both ways")
    encoded = [base64.b64encode(file).decode() for file in images.FILES]
    text = InferInput("image", [len(encoded)], "BYTES", data=encoded)
    compare(checks, await client.infer(url, asking([text]), MODEL), expected, "rest: files in base64")
    best = asking(inputs["files"], request_outputs=[RequestedOutput("probabilities", {"classification": 1})])
    answer = await client.infer(url, best, MODEL)
    found = [text.split(":")[2] for text in answer.get_output_by_name("probabilities").data]
    checks.equal(found, images.best(url.removeprefix("http://")), "rest: the best classes")
    try:
        await client.infer(url, asking(inputs["pixels"]), "other")
        fail("rest: another model answered")
    except httpx.HTTPStatusError as error:
        checks.equal(error.response.status_code, 404, "rest: another model is a 404")


async def check_grpc(checks: Checks, address: str, inputs: dict, expected: np.ndarray) -> None:
    async with InferenceGRPCClient(address) as client:
        checks.that(await client.is_server_live(), "grpc: live")
        checks.that(await client.is_server_ready(), "grpc: ready")
        checks.that(await client.is_model_ready(MODEL), "grpc: the model is ready")
        for what, made in inputs.items():
            answer = await client.infer(asking(made))
            compare(checks, answer, expected, f"grpc: {what}")
        asked = [client.infer(asking(inputs["files"])) for _ in range(16)]
        for answer in await asyncio.gather(*asked):
            found = answer.get_output_by_name("probabilities").as_numpy()
            if found.tobytes() != expected.tobytes():
                fail(f"grpc: found {found}")
        checks.that(True, "grpc: sixteen requests at once get the same bits")
        try:
            await client.infer(asking(inputs["pixels"], model="other"))
            fail("grpc: another model answered")
        except grpc.RpcError as error:
            checks.equal(error.code(), grpc.StatusCode.NOT_FOUND, "grpc: another model is not found")


if __name__ == "__main__":
    main()
