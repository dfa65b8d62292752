"""Runs the queries of the dashboard and the alerts on a real Prometheus that scrapes a real resnetd under load:
check_dashboard.py --resnetd PATH --prometheus PATH.

A query of the dashboard without a result is an empty panel, and fails; so does a metric of an alert that does not exist.
Grafana itself is not run.
"""

import argparse
import json
import math
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
import yaml

from check_docs import free_port
from checks import Checks, fail
from manifests import ROOT
from serving import DATA, server

LOAD = 20  # seconds
VARIABLES = {"$__rate_interval": "10s", "$job": ".*", "$instance": ".*"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--resnetd", type=Path, required=True)
    parser.add_argument("--prometheus", required=True)
    arguments = parser.parse_args()
    checks = Checks()
    dashboard = json.loads((ROOT / "deploy/grafana/dashboards/resnetd.json").read_text())
    # With decoders, because a panel shows the wait for one.
    with server(arguments.resnetd, "--decoders", "1") as url, prometheus(arguments.prometheus, url.removeprefix("http://")) as database:
        start = time.time()
        load(url, start + LOAD)
        found = answer(f"{database}/api/v1/label/__name__/values")
        for name in sorted(metrics_of_alerts()):
            checks.that(name in found, f"the alerts' metric {name} exists")
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                values = variable_values(database, variable["query"]["query"])
                checks.that(bool(values), f"the variable {variable['name']} has values: {values}")
        for title, query in queries(dashboard):
            for name, value in VARIABLES.items():
                query = query.replace(name, value)
            series = answer(f"{database}/api/v1/query_range", query=query, start=start, end=time.time(), step="1")["result"]
            values = [float(value) for one in series for _, value in one["values"]]
            usable = [value for value in values if math.isfinite(value)]
            if not usable:
                fail(f"the panel is empty: {title}: {query}")
            checks.that(True, f"{title}: {len(series)} series, the last value {usable[-1]:.4g}")
    checks.done()


@contextmanager
def prometheus(program: str, target: str) -> Iterator[str]:
    """Its URL. It scrapes the target once a second and keeps its data in a temporary folder."""
    address = f"127.0.0.1:{free_port()}"
    with tempfile.TemporaryDirectory() as folder:
        config = {"scrape_configs": [
            {"job_name": "resnetd", "scrape_interval": "1s", "static_configs": [{"targets": [target]}]}
        ]}
        file = Path(folder) / "prometheus.yaml"
        file.write_text(yaml.safe_dump(config))
        process = subprocess.Popen([
            program, f"--config.file={file}", f"--storage.tsdb.path={folder}/data", f"--web.listen-address={address}",
            "--log.level=error",
        ])
        try:
            for _ in range(100):
                try:
                    requests.get(f"http://{address}/-/ready", timeout=5).raise_for_status()
                    break
                except requests.RequestException:
                    time.sleep(0.1)
            else:
                fail("Prometheus did not become ready within 10 s")
            yield f"http://{address}"
        finally:
            process.terminate()
            process.wait()


def load(url: str, end: float) -> None:
    """Sends photos, and sometimes an upload that is not an image, at about 20 requests per second."""
    photo = (DATA / "cat.jpg").read_bytes()
    session = requests.Session()
    number = 0
    while time.time() < end:
        number += 1
        session.post(f"{url}/classify", data=b"no image" if number % 20 == 0 else photo, timeout=30)
        time.sleep(0.04)


def metrics_of_alerts() -> set[str]:
    rules = yaml.safe_load((ROOT / "deploy/prometheus/rules.yaml").read_text())
    expressions = " ".join(rule["expr"] for group in rules["groups"] for rule in group["rules"])
    return set(re.findall(r"\b(?:resnetd|process)_\w+", expressions))


def queries(dashboard: dict) -> Iterator[tuple[str, str]]:
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield f"{panel['title']} {target['legendFormat']}".strip(), target["expr"]


def variable_values(database: str, query: str) -> list[str]:
    selector, label = re.fullmatch(r"label_values\((.+), (\w+)\)", query).groups()
    series = answer(f"{database}/api/v1/series", **{"match[]": selector.replace("$job", ".*")})
    return sorted({one[label] for one in series})


def answer(url: str, **parameters: object) -> object:
    response = requests.get(url, params=parameters, timeout=30)
    if response.status_code != 200:
        fail(f"{parameters}: {response.text}")
    return response.json()["data"]


if __name__ == "__main__":
    main()
