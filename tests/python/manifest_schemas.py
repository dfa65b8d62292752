"""Compares manifests with the schemas of their kinds; fields that the schema does not have are errors.

Kubernetes' own kinds: the OpenAPI schemas of two versions. Custom resources: the models that were generated from their
CustomResourceDefinitions.
"""

import functools
import re

import jsonschema
import kserve
import kubernetes.client
import kubernetes_validate
from cloudcoil.models.keda import v1alpha1 as keda
from cloudcoil.models.prometheus_operator import v1 as prometheus_operator

# It reads the definitions of a whole version, megabytes of JSON, for each document.
kubernetes_validate.utils.schema_contents = functools.cache(kubernetes_validate.utils.schema_contents)

KUBERNETES_VERSIONS = "1.36", "1.37"
KSERVE = {
    "ClusterServingRuntime": kserve.models.V1alpha1ClusterServingRuntime,
    "ServingRuntime": kserve.models.V1alpha1ServingRuntime,
    "InferenceService": kserve.models.V1beta1InferenceService,
}
PLAIN = {"str": str, "bool": bool, "int": int, "float": (int, float), "object": object, "datetime": str}


class NotValid(Exception):
    pass


def validate(document: dict) -> str:
    """Compares a manifest, and returns the name of the schema; raises `NotValid`."""
    group = document["apiVersion"].partition("/")[0]
    if group == "serving.kserve.io":
        check_openapi(KSERVE[document["kind"]], document, document["kind"])
        return "KServe 0.21"
    if group == "keda.sh":
        check_pydantic(getattr(keda, document["kind"]), document)
        return "KEDA 2.16"
    if group == "monitoring.coreos.com":
        check_pydantic(getattr(prometheus_operator, document["kind"]), document)
        return "Prometheus Operator 0.80"
    for version in KUBERNETES_VERSIONS:
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except jsonschema.ValidationError as error:
            raise NotValid(f"Kubernetes {version}: {error.json_path}: {error.message}") from error
    return f"Kubernetes {' and '.join(KUBERNETES_VERSIONS)}"


def check_pydantic(model: type, document: dict) -> None:
    schema = model.model_json_schema(by_alias=True)
    # Pydantic ignores unknown fields, where an API server drops or rejects them.
    for part in (schema, *schema["$defs"].values()):
        if "properties" in part:
            part.setdefault("additionalProperties", False)
    # Without a check of the schema itself: some of its patterns are in Go's dialect.
    worst = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(schema).iter_errors(document))
    if worst is not None:
        raise NotValid(f"{worst.json_path}: {worst.message}")


def check_openapi(kind: str | type, value: object, path: str) -> None:
    """Checks a value against a class of an OpenAPI client, or a list or map of one, in the generators' spellings."""
    if isinstance(kind, str):
        if inner := re.fullmatch(r"[Ll]ist\[(.+)\]", kind):
            expect(isinstance(value, list), path, "must be a list")
            for place, item in enumerate(value):
                check_openapi(inner[1], item, f"{path}[{place}]")
            return
        if inner := re.fullmatch(r"dict\(str, (.+)\)|Dict\[str, (.+)\]", kind):
            expect(isinstance(value, dict), path, "must be a map")
            for key, item in value.items():
                check_openapi(inner[1] or inner[2], item, f"{path}.{key}")
            return
        if kind in PLAIN:
            expect(isinstance(value, PLAIN[kind]), path, f"must be of type {kind}")
            return
        kind = getattr(kserve.models, kind, None) or getattr(kubernetes.client, kind)
    expect(isinstance(value, dict), path, "must be an object")
    fields = {kind.attribute_map[name]: (name, inner) for name, inner in kind.openapi_types.items()}
    for key, item in value.items():
        expect(key in fields, f"{path}.{key}", "unknown field")
        check_openapi(fields[key][1], item, f"{path}.{key}")
    try:
        kind(**{fields[key][0]: item for key, item in value.items()})
    except ValueError as error:  # a required field is missing
        raise NotValid(f"{path}: {error}") from error


def expect(holds: bool, path: str, what: str) -> None:
    if not holds:
        raise NotValid(f"{path}: {what}")
