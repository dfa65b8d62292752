"""Checks a running server's metrics with Prometheus's Python parser, and rules that the parser does not check.

python tests/python/check_metrics.py --url http://localhost:8080/metrics
"""

import argparse
import math
import re
import urllib.request
from collections import Counter
from collections.abc import Iterable

from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families

from checks import Checks, fail

CONTENT_TYPE = "text/plain; version=0.0.4"
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
HISTOGRAM_UNITS = ("_seconds", "_bytes", "_size")  # _size counts the images of a batch
SCALED_UNITS = ("_milliseconds", "_ms", "_microseconds", "_us", "_kilobytes", "_megabytes", "_mib")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", required=True, help="a server, or its /metrics")
    url = parser.parse_args().url.removesuffix("/").removesuffix("/metrics") + "/metrics"
    with urllib.request.urlopen(url, timeout=10) as response:
        content_type, text = response.headers["Content-Type"], response.read().decode()

    checks = Checks()
    checks.that(content_type.startswith(CONTENT_TYPE), f"the content type is {CONTENT_TYPE}")
    check_lines(checks, text)
    try:
        families = list(text_string_to_metric_families(text))
    except ValueError as error:
        fail(f"Prometheus's parser refuses the text: {error}")
    checks.that(len(families) > 0, f"Prometheus's parser reads {len(families)} metrics")
    check_families(checks, families)
    check_names(checks, families)
    check_histograms(checks, [family for family in families if family.type == "histogram"])
    check_openmetrics(checks, url, families)
    checks.done()


def check_openmetrics(checks: Checks, url: str, classic: list[Metric]) -> None:
    """The same metrics in OpenMetrics, whose parser is strict, with an exemplar: the server traces its requests."""
    request = urllib.request.Request(url, headers={"Accept": f"{OPENMETRICS}, text/plain;q=0.1"})
    with urllib.request.urlopen(request, timeout=10) as response:
        content_type, text = response.headers["Content-Type"], response.read().decode()
    checks.equal(content_type, f"{OPENMETRICS}; charset=utf-8", "the content type is that of OpenMetrics")
    try:
        families = list(openmetrics_families(text))
    except ValueError as error:
        fail(f"the parser of OpenMetrics refuses the text: {error}")
    kinds = {family.name: family.type for family in families}
    checks.equal(kinds, {family.name: family.type for family in classic}, "both formats have the same metrics")
    check_histograms(checks, [family for family in families if family.type == "histogram"])
    exemplars = [sample.exemplar for family in families for sample in family.samples if sample.exemplar]
    checks.that(any(re.fullmatch("[0-9a-f]{32}", it.labels["trace_id"]) for it in exemplars),
                f"{len(exemplars)} buckets have a trace as exemplar")


def check_lines(checks: Checks, text: str) -> None:
    """Errors that the parser accepts: a missing or repeated HELP or TYPE."""
    checks.that(text.endswith("\n"), "the last line is ended")
    for keyword in ("HELP", "TYPE"):
        named = re.findall(rf"^# {keyword} (\S+) \S", text, re.MULTILINE)
        checks.equal(repeated(named), [], f"no metric has two lines of {keyword}")
    helps = re.findall(r"^# HELP (\S+) \S", text, re.MULTILINE)
    types = re.findall(r"^# TYPE (\S+) \S", text, re.MULTILINE)
    checks.equal(sorted(helps), sorted(types), "every metric has HELP and TYPE")


def check_families(checks: Checks, families: list[Metric]) -> None:
    untyped = [family.name for family in families if family.type == "unknown"]
    checks.equal(untyped, [], "every sample belongs to a metric with a type")
    checks.equal(repeated(family.name for family in families), [], "no metric is split in two")
    series = [
        (sample.name, tuple(sorted(sample.labels.items())))
        for family in families
        for sample in family.samples
    ]
    checks.equal(repeated(series), [], "no series is there twice")
    for family in families:
        for sample in family.samples:
            if math.isnan(sample.value) or (family.type == "counter" and sample.value < 0):
                fail(f"{sample.name} is {sample.value}")
    checks.that(True, "no value is NaN, no counter is negative")


def check_names(checks: Checks, families: list[Metric]) -> None:
    """The rules of https://prometheus.io/docs/practices/naming/."""
    names = [family.name for family in families]
    checks.equal([n for n in names if not NAME.fullmatch(n)], [], "names are snake_case")
    foreign = [name for name in names if not name.startswith(("resnetd_", "process_"))]
    checks.equal(foreign, [], "names begin with resnetd_ or process_")
    checks.equal([n for n in names if n.endswith(SCALED_UNITS)], [], "units are base units")
    samples = {family.type: [] for family in families}
    for family in families:
        samples[family.type] += [sample.name for sample in family.samples]
    wrong = [name for name in samples.get("counter", []) if not name.endswith("_total")]
    checks.equal(wrong, [], "counters end in _total")
    wrong = [name for name in samples.get("gauge", []) if name.endswith("_total")]
    checks.equal(wrong, [], "no gauge ends in _total")
    unitless = [
        family.name
        for family in families
        if family.type == "histogram" and not family.name.endswith(HISTOGRAM_UNITS)
    ]
    checks.equal(unitless, [], f"histograms end in one of {', '.join(HISTOGRAM_UNITS)}")


def check_histograms(checks: Checks, histograms: list[Metric]) -> None:
    """Buckets increase, end at infinity, and have `count` observations."""
    for histogram in histograms:
        buckets, counts = {}, {}
        for sample in histogram.samples:
            labels = {name: value for name, value in sample.labels.items() if name != "le"}
            key = tuple(sorted(labels.items()))
            if sample.name.endswith("_bucket"):
                buckets.setdefault(key, []).append((float(sample.labels["le"]), sample.value))
            elif sample.name.endswith("_count"):
                counts[key] = sample.value
        for key, pairs in buckets.items():
            rising = pairs == sorted(pairs) and [v for _, v in pairs] == sorted(v for _, v in pairs)
            if not rising or pairs[-1] != (math.inf, counts.get(key)):
                fail(f"the buckets of {histogram.name} {dict(key)} are wrong: {pairs}")
    checks.that(True, f"the buckets of {len(histograms)} histograms are cumulative and whole")


def repeated(items: Iterable) -> list:
    return [item for item, count in Counter(items).items() if count > 1]


if __name__ == "__main__":
    main()
