"""The chart's dashboard and alert rules, as a Prometheus without Grafana and without operator takes them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from tests.support.chart.rendering import CHART, objects, one

if TYPE_CHECKING:
    from pathlib import Path

_VARIABLE = re.compile(r"label_values\((\w+), (\w+)\)")


class Panel(NamedTuple):
    """A panel with one query; `unit` is Grafana's word, `legend` its template."""

    title: str
    query: str
    legend: str
    unit: str


def panels(rate_interval: str) -> list[Panel]:
    """Return the panels, all namespaces chosen."""
    found = []
    for panel in _dashboard()["panels"]:
        (target,) = panel["targets"]
        query = target["expr"].replace("$namespace", ".*").replace("$__rate_interval", rate_interval)
        found.append(Panel(panel["title"], query, target["legendFormat"], panel["fieldConfig"]["defaults"]["unit"]))
    return found


def variables() -> list[tuple[str, str]]:
    """Return metric and label of each variable that Prometheus fills."""
    listed = [each for each in _dashboard()["templating"]["list"] if each["type"] == "query"]
    found = [_VARIABLE.fullmatch(each["query"]["query"]) for each in listed]
    return [(match[1], match[2]) for match in found if match]


def rules(*options: str) -> list[dict[str, Any]]:
    """Return the groups of alert rules that the chart renders."""
    return list(one(objects("--set=prometheusRule.enabled=true", *options), "PrometheusRule")["spec"]["groups"])


def alert_names() -> list[str]:
    """Return the names of all alerts, as the template has them."""
    return re.findall(r"- alert: (\w+)", (CHART / "templates" / "prometheusrule.yaml").read_text())


def rules_file(directory: Path, *options: str) -> Path:
    """Write them where Prometheus reads them."""
    file = directory / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": rules(*options)}))
    return file


def _dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((CHART / "dashboards" / "imds-emulator.json").read_text())
    return found
