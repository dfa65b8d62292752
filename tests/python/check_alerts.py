"""Checks the alerts of deploy/prometheus/ with promtool: check_alerts.py --promtool PATH.

Every alert has a test that makes it fire, and a section in docs/alerts.md.
"""

import argparse
import re
import subprocess

import yaml

from check_docs import headings
from checks import Checks, fail
from manifests import ROOT

FOLDER = ROOT / "deploy/prometheus"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--promtool", required=True)
    promtool = parser.parse_args().promtool
    checks = Checks()
    for command in ("check rules rules.yaml", "check config prometheus.yaml", "test rules rules_test.yaml"):
        done = subprocess.run(
            [promtool, *command.split()], cwd=FOLDER, check=False, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        if done.returncode != 0:
            fail(f"promtool {command}:\n{done.stdout}")
        checks.that(True, f"promtool {command}")
    groups = yaml.safe_load((FOLDER / "rules.yaml").read_text())["groups"]
    alerts = {rule["alert"]: rule for group in groups for rule in group["rules"]}
    cases = [
        case for test in yaml.safe_load((FOLDER / "rules_test.yaml").read_text())["tests"]
        for case in test.get("alert_rule_test", [])
    ]
    sections = headings(ROOT / "docs/alerts.md")
    for alert, rule in alerts.items():
        fires = {bool(case.get("exp_alerts")) for case in cases if case["alertname"] == alert}
        checks.equal(fires, {True, False}, f"{alert} is tested with and without its cause")
        page, _, section = rule["annotations"]["runbook"].partition("#")
        checks.that(page == "docs/alerts.md" and section in sections, f"{alert} has a section in docs/alerts.md")
    described = {title for title in re.findall(r"^## (\w+)$", (ROOT / "docs/alerts.md").read_text(), re.MULTILINE)}
    checks.equal(described, set(alerts), "docs/alerts.md describes these alerts")
    checks.done()


if __name__ == "__main__":
    main()
