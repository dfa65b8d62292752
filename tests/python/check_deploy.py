"""Checks the manifests, Compose file and systemd unit of deploy/ without running them: check_deploy.py --resnetd PATH.

Every set of manifests is compared with the schemas of its kinds, with the restricted profile of Kubernetes' Pod Security
Standards, and with a running resnetd: options, probes and metrics must exist, and shutting down must fit into the grace
period.
"""

import argparse
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import helm_python
import requests
import yaml

import manifest_schemas
import manifests
from checks import Checks, fail
from serving import server

PODS = {"Deployment": ("spec", "template", "spec"), "ServingRuntime": ("spec",), "ClusterServingRuntime": ("spec",)}
SIZES = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected", "secret"}
SELECTING = {"Deployment", "NetworkPolicy", "PodDisruptionBudget", "PodMonitor", "Service"}
# Seconds between the end of --drain-timeout and the exit: one in which queued requests are answered, and a margin.
EXIT = 2
DEFAULT_GRACE = 30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--resnetd", type=Path, required=True)
    resnetd = parser.parse_args().resnetd
    checks = Checks()
    sets = dict(manifests.all_manifests())
    help_text = subprocess.run([resnetd, "serve", "--help"], check=True, capture_output=True, text=True).stdout
    known = set(re.findall(r"\[env: (\w+)", help_text))
    for what, documents in sets.items():
        for document in documents:
            check_schema(checks, what, document)
        for document in documents:
            if document["kind"] in PODS:
                check_pod(checks, f"{what}: {document['kind']}", pod_of(document), known)
        check_references(checks, what, documents)
    check_same(checks, sets)
    check_chart(checks)
    for what, environment in environments(sets).items():
        check_server(checks, resnetd, what, environment, sets)
    check_labels(checks)
    check_compose(checks, known)
    check_unit(checks, known)
    if "deploy/kubernetes/kserve" in sets:
        check_kserve(checks, resnetd, sets["deploy/kubernetes/kserve"])
    checks.done()


def pod_of(document: dict) -> dict:
    for key in PODS[document["kind"]]:
        document = document[key]
    return document


def environment_of(container: dict) -> dict[str, str]:
    return {variable["name"]: variable.get("value", "") for variable in container.get("env", [])}


def check_schema(checks: Checks, what: str, document: dict) -> None:
    try:
        schema = manifest_schemas.validate(document)
    except manifest_schemas.NotValid as error:
        fail(f"{what}: {document['kind']}: {error}")
    checks.that(True, f"{what}: {document['kind']} is valid for {schema}")


def check_pod(checks: Checks, what: str, pod: dict, known: set[str]) -> None:
    checks.equal(unrestricted(pod), [], f"{what} conforms to the restricted profile")
    (container,) = pod["containers"]
    environment = environment_of(container)
    check_drain(checks, what, environment, pod.get("terminationGracePeriodSeconds", DEFAULT_GRACE), known)
    limit = size(environment["RESNETD_MEMORY_LIMIT"])
    memory = size(container["resources"]["limits"]["memory"])
    checks.that(2 * limit <= memory, f"{what}: RESNETD_MEMORY_LIMIT is at most half of the container's memory")
    checks.that("cpu" in container["resources"]["limits"], f"{what} has a CPU limit, which sets the sessions")


def unrestricted(pod: dict) -> list[str]:
    """Violations of the restricted profile of the Pod Security Standards, and writable root file systems."""
    found = [f"{name} is set" for name in ("hostNetwork", "hostPID", "hostIPC") if pod.get(name)]
    for volume in pod.get("volumes", []):
        found += [f"volume {volume['name']} is a {kind}" for kind in volume.keys() - {"name"} - VOLUMES]
    for container in pod["containers"] + pod.get("initContainers", []):
        context = pod.get("securityContext", {}) | container.get("securityContext", {})
        rules = {
            "runAsNonRoot": context.get("runAsNonRoot") is True,
            "runAsUser": context.get("runAsUser") == 10001,
            "seccompProfile": context.get("seccompProfile", {}).get("type") == "RuntimeDefault",
            "allowPrivilegeEscalation": context.get("allowPrivilegeEscalation") is False,
            "readOnlyRootFilesystem": context.get("readOnlyRootFilesystem") is True,
            "capabilities": context.get("capabilities") == {"drop": ["ALL"]},
            "privileged": not context.get("privileged"),
            "procMount": context.get("procMount", "Default") == "Default",
            "hostPort": not any("hostPort" in port for port in container.get("ports", [])),
        }
        found += [f"{container['name']}: {name}" for name, holds in rules.items() if not holds]
    return found


def check_references(checks: Checks, what: str, documents: list[dict]) -> None:
    """Selectors select the pods, ports have names that exist, autoscalers scale the Deployment."""
    deployments = [document for document in documents if document["kind"] == "Deployment"]
    if not deployments:
        return
    (deployment,) = deployments
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    ports = {port["name"] for port in pod_of(deployment)["containers"][0]["ports"]}
    scaled = False
    for document in documents:
        kind, spec = document["kind"], document["spec"]
        name = f"{what}: {kind}"
        if kind in SELECTING:
            selector = spec.get("podSelector" if kind == "NetworkPolicy" else "selector", {})
            selector = selector if kind == "Service" else selector.get("matchLabels")
            checks.that(bool(selector) and selector.items() <= labels.items(), f"{name} selects the pods")
        if "scaleTargetRef" in spec:
            scaled = True
            checks.equal(spec["scaleTargetRef"]["name"], deployment["metadata"]["name"], f"{name} scales the Deployment")
        named = [port.get("targetPort") for port in spec.get("ports", [])] if kind == "Service" else []
        named += [endpoint["port"] for endpoint in spec.get("podMetricsEndpoints", [])]
        named += [port["port"] for rule in spec.get("ingress", []) for port in rule["ports"]]
        if named:
            checks.that(set(named) <= ports, f"{name} names a port of the pods")
    checks.equal("replicas" in deployment["spec"], not scaled, f"{what}: either an autoscaler or a fixed number of replicas")


def check_same(checks: Checks, sets: dict[str, list[dict]]) -> None:
    """The chart's defaults equal the Kustomize base, except for labels."""
    if "deploy/kubernetes/base" not in sets:
        return
    base, chart = (
        {document["kind"]: without_labels(document["spec"]) for document in sets[what]}
        for what in ("deploy/kubernetes/base", "chart with defaults")
    )
    chart["Service"].pop("type")  # the default
    for kind, spec in base.items():
        checks.equal(chart.get(kind), spec, f"the chart's {kind} is that of the Kustomize base")


def without_labels(value: object) -> object:
    if isinstance(value, list):
        return [without_labels(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: without_labels(item) for key, item in value.items()
        if not key.startswith("app.kubernetes.io/") and (key, item) != ("metadata", {})
    }


def check_chart(checks: Checks) -> None:
    report = helm_python.lint(manifests.CHART, strict=True)
    problems = [message for message in report["messages"] if message["severity"] > 1]
    checks.equal(problems + report["errors"], [], f"helm lint --strict, Helm {helm_python.helm_sdk_version()}")
    version = re.search(r'^version = "(.+)"', (manifests.ROOT / "Cargo.toml").read_text(), re.MULTILINE)[1]
    with helm_python.Chart.load(manifests.CHART) as chart:
        checks.equal(chart.metadata["appVersion"], version, "the chart's appVersion is that of Cargo.toml")
    two_models = {"model": {"name": "imagenet", "claim": {"name": "models"}}}
    for what, values in (("an unknown value", {"replica": 3}), ("two models", two_models)):
        try:
            manifests.helm(values)
        except helm_python.HelmError as error:
            checks.that(True, f"the chart rejects {what}: {str(error).splitlines()[-1].strip()}")
        else:
            fail(f"the chart accepts {what}")


def environments(sets: dict[str, list[dict]]) -> dict[str, dict[str, str]]:
    """The distinct sets of options in the manifests, without models and devices that are not available here."""
    found = {}
    for what, documents in sets.items():
        for document in documents:
            if document["kind"] in PODS:
                environment = environment_of(pod_of(document)["containers"][0])
                for name in ("RESNETD_MODEL", "RESNETD_DEVICE", "HF_HOME", "HF_TOKEN"):
                    environment.pop(name, None)
                if environment not in found.values():
                    found[what] = environment
    return found


def check_server(
    checks: Checks, resnetd: Path, what: str, environment: dict[str, str], sets: dict[str, list[dict]]
) -> None:
    """A server accepts the options, answers the probes, and has the metrics of the autoscaler's queries."""
    os.environ.update(environment)
    everything = [document for documents in sets.values() for document in documents]
    containers = [pod_of(document)["containers"][0] for document in everything if document["kind"] in PODS]
    probes = {
        container[probe]["httpGet"]["path"]
        for container in containers for probe in ("startupProbe", "readinessProbe", "livenessProbe") if probe in container
    }
    queries = [
        trigger["metadata"]["query"] for document in everything if document["kind"] == "ScaledObject"
        for trigger in document["spec"]["triggers"] if trigger["type"] == "prometheus"
    ]
    with server(resnetd) as url:
        checks.that(True, f"{what}: resnetd starts with {environment}")
        for path in sorted(probes):
            checks.equal(requests.get(f"{url}{path}", timeout=10).status_code, 200, f"{what}: the probe of {path}")
        metrics = requests.get(f"{url}/metrics", timeout=10).text
        for name in sorted({name for query in queries for name in re.findall(r"resnetd_\w+", query)}):
            checks.that(re.search(rf"^{name}[ {{]", metrics, re.MULTILINE), f"{what}: the metric {name}")
    for name in environment:
        del os.environ[name]


def check_labels(checks: Checks) -> None:
    """Both images have the OCI labels, with the values in Cargo.toml."""
    package = tomllib.loads((manifests.ROOT / "Cargo.toml").read_text())["package"]
    dockerfile = (manifests.ROOT / "Dockerfile").read_text()
    labels = re.findall(r'org\.opencontainers\.image\.(\w+)="?([^"\n]+?)"?(?: \\)?$', dockerfile, re.MULTILINE)
    expected = {
        "title": package["name"], "description": package["description"], "licenses": package["license"],
        "version": package["version"],
    }
    checks.equal(labels, [*expected.items()] * 2, "the labels of both images in the Dockerfile are those of Cargo.toml")


def check_compose(checks: Checks, known: set[str]) -> None:
    """Docker waits for the drain; load balancer and Prometheus name the replicas."""
    folder = manifests.ROOT / "deploy"
    services = yaml.safe_load((folder / "compose.yaml").read_text())["services"]
    replicas = {name: service for name, service in services.items() if name.startswith("resnetd")}
    for name, service in replicas.items():
        check_drain(checks, f"compose.yaml: {name}", service["environment"], seconds(service["stop_grace_period"]), known)
    haproxy = (folder / "haproxy/haproxy.cfg").read_text()
    servers = re.findall(r"^ +server (\S+) (\S+):8080$", haproxy, re.MULTILINE)
    checks.equal(servers, [(name, name) for name in replicas], "HAProxy's servers are the replicas of compose.yaml")
    scraped = yaml.safe_load((folder / "prometheus/prometheus.yaml").read_text())["scrape_configs"][0]["static_configs"]
    checks.equal(scraped, [{"targets": [f"{name}:8080" for name in replicas]}], "and so are Prometheus's targets")


def check_unit(checks: Checks, known: set[str]) -> None:
    """systemd waits for the drain. `systemd-analyze` rates the sandbox: 0 is the best, 10 the worst."""
    unit = manifests.ROOT / "deploy/systemd/resnetd.service"
    settings = re.findall(r"^(\w+)=(.*)$", unit.read_text(), re.MULTILINE)
    environment = dict(
        variable.split("=") for name, value in settings if name == "Environment" for variable in value.split()
    )
    environment.pop("ORT_DISABLE_TELEMETRY")
    check_drain(checks, unit.name, environment, seconds(dict(settings)["TimeoutStopSec"]), known)
    if shutil.which("systemd-analyze") is None:
        print("sandbox check skipped: systemd-analyze not found")
        return
    command = ["systemd-analyze", "security", "--offline=yes", "--no-pager", "--threshold=20", unit]
    done = subprocess.run(command, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    rating = re.search(r"Overall exposure level.*?: ([\d.]+)", done.stdout)
    if rating is None:
        fail(f"systemd-analyze: {done.stdout}")
    checks.that(done.returncode == 0, f"systemd-analyze security rates the unit {rating[1]}, at most 2.0")


def check_drain(checks: Checks, what: str, environment: dict[str, str], grace: int, known: set[str]) -> None:
    unknown = {name for name in environment if name not in known}
    checks.equal(unknown, set(), f"{what} sets variables that resnetd has")
    delay, timeout = (seconds(environment[f"RESNETD_DRAIN_{name}"]) for name in ("DELAY", "TIMEOUT"))
    checks.that(delay + timeout + EXIT <= grace, f"{what}: a drain of {delay} + {timeout} s ends within {grace} s")


def check_kserve(checks: Checks, resnetd: Path, documents: list[dict]) -> None:
    """The runtime's command serves the folder of the example under the name of the InferenceService."""
    (service,) = [document for document in documents if document["kind"] == "InferenceService"]
    runtimes = [document for document in documents if document["kind"] in PODS]
    checks.equal(runtimes[0]["spec"], runtimes[1]["spec"], "ServingRuntime and ClusterServingRuntime are the same")
    model = service["spec"]["predictor"]["model"]
    formats = {known["name"] for known in runtimes[0]["spec"]["supportedModelFormats"]}
    checks.that(model["modelFormat"]["name"] in formats, "the InferenceService's format is one of the runtime's")
    checks.equal(model["runtime"], runtimes[0]["metadata"]["name"], "the InferenceService names the runtime")
    checks.that(model["protocolVersion"] in runtimes[0]["spec"]["protocolVersions"], "and one of its protocols")
    command, *options = runtimes[0]["spec"]["containers"][0]["args"]
    folder = manifests.ROOT / "models" / model["storageUri"].rpartition("/")[2]
    options = [option.replace("/mnt/models", str(folder)) for option in options]
    checks.equal(command, "serve", "the runtime's command")
    name = service["metadata"]["name"]
    with server(resnetd, *options) as url:
        for path in (f"/v1/models/{name}", f"/v2/models/{name}", f"/v2/models/{name}/ready"):
            checks.equal(requests.get(f"{url}{path}", timeout=10).status_code, 200, f"GET {path} of the example")


def seconds(text: str) -> int:
    return int(re.fullmatch(r"(\d+)s", text)[1])


def size(text: str) -> int:
    number, unit = re.fullmatch(r"(\d+)(\w+)", text).groups()
    return int(number) * SIZES[unit]


if __name__ == "__main__":
    main()
