"""Kubernetes manifests of deploy/: Kustomize folders built with kubectl, the chart with Helm's own library."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import helm_python
import yaml

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy/kubernetes"
CHART = ROOT / "deploy/helm/resnetd"
# The chart's values to check, by what they are.
VALUES = {
    "defaults": {},
    "gpu": {"gpu": {"enabled": True}, "tolerations": [{"key": "spot", "operator": "Exists"}]},
    "a claim, scaled by CPU": {
        "model": {"claim": {"name": "resnetd-models", "folder": "my-model"}},
        "autoscaling": {"type": "cpu"},
        "monitoring": {"podMonitor": True},
    },
    "a model image, scaled by KEDA": {
        "model": {"image": {"reference": "registry.example.org/my-model:1"}},
        "autoscaling": {"type": "keda"},
        "monitoring": {"podMonitor": True, "rules": True},
        "imagePullSecrets": [{"name": "registry"}],
        "podAnnotations": {"example.org/team": "vision"},
        "nodeSelector": {"kubernetes.io/arch": "amd64"},
    },
    "the hub": {
        "model": {"name": "timm/resnet50.a1_in1k", "hub": {"enabled": True, "tokenSecret": "hub"}},
        "networkPolicy": {"namespaceLabels": {}},
    },
}


def all_manifests() -> Iterator[tuple[str, list[dict]]]:
    """Every set of manifests and what it is; Kustomize's only if kubectl is installed."""
    if shutil.which("kubectl"):
        for folder in (KUBERNETES / "base", *sorted((KUBERNETES / "overlays").iterdir()), KUBERNETES / "kserve"):
            yield str(folder.relative_to(ROOT)), kustomize(folder)
    else:
        print("kustomize checks skipped: kubectl (1.27 or later) not found")
    for what, values in VALUES.items():
        yield f"chart with {what}", helm(values)


def kustomize(folder: Path) -> list[dict]:
    done = subprocess.run(["kubectl", "kustomize", folder], check=True, stdout=subprocess.PIPE, text=True)
    return documents(done.stdout)


def helm(values: dict) -> list[dict]:
    with helm_python.Chart.load(CHART) as chart:
        chart.validate_schema(values)
        rendered = chart.render(values, name="resnetd", namespace="vision")
    return [found for name, text in rendered.items() if name.endswith(".yaml") for found in documents(text)]


def documents(text: str) -> list[dict]:
    return [found for found in yaml.safe_load_all(text) if found]
