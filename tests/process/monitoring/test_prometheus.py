"""The chart's dashboard and alert rules on a real Prometheus, over live sidecars and a live webhook."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from emulator.build import apt
from emulator.build.progress import StepFailedError
from tests.support.monitoring.dashboard import panels, rules, rules_file, variables
from tests.support.monitoring.prometheus import PACKAGES, Prometheus, promtool
from tests.support.monitoring.scene import Scene

if TYPE_CHECKING:
    from collections.abc import Iterator

SCENARIOS = Path(__file__).with_name("alerts.yaml")
SCRAPE_SECONDS = 0.5
RATE_INTERVAL = "15s"
LIFE_SECONDS = 20  # so that exchanges are made while it looks
DEADLINE_SECONDS = 60.0
MODES = {"webhook": (), "policy": ("--set=mode=policy",)}


@pytest.fixture(scope="module", autouse=True)
def programs() -> None:
    """Have Prometheus."""
    try:
        apt.ensure(PACKAGES)
    except StepFailedError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Return two sidecars that are served, one that is refused, and a webhook."""
    with Scene(tmp_path_factory.mktemp("scene"), served=2, life_seconds=LIFE_SECONDS) as scene:
        yield scene


@pytest.fixture(scope="module")
def prometheus(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Return a Prometheus that scrapes them, with the chart's rules."""
    directory = tmp_path_factory.mktemp("prometheus")
    with Prometheus(directory, scene.targets(), rules_file(directory), SCRAPE_SECONDS) as server:
        yield server


def test_dashboard(scene: Scene, prometheus: Prometheus) -> None:
    """Each panel's query finds numbers, and each variable has its values."""
    asked = {panel.title: panel.query for panel in panels(RATE_INTERVAL)}
    empty = set(asked)
    deadline = time.monotonic() + DEADLINE_SECONDS
    while empty and time.monotonic() < deadline:
        scene.ask_for_credentials()
        scene.create_pods(right=1, wrong=1)
        time.sleep(SCRAPE_SECONDS)
        # A quantile of nothing is a series, too, of NaN.
        found = {title: {each["value"][1] for each in prometheus.series(asked[title])} for title in empty}
        empty = {title for title, values in found.items() if not values - {"NaN"}}

    assert set() == empty
    assert [["team-a", "team-b"]] == [prometheus.label_values(label, metric) for metric, label in variables()]


def test_rules_are_evaluated(prometheus: Prometheus) -> None:
    """Prometheus evaluates every rule without an error; sidecars with credentials for seconds are pending for one."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while "unknown" in {rule["health"] for rule in prometheus.rules()} and time.monotonic() < deadline:
        time.sleep(SCRAPE_SECONDS)
    found = prometheus.rules()

    assert {"ok": ""} == {rule["health"]: rule.get("lastError", "") for rule in found}
    (expiry,) = [rule for rule in found if rule["name"] == "ImdsEmulatorCredentialsNearExpiry"]
    assert {("team-a", "app-0"), ("team-a", "app-1"), ("team-b", "app-0")} == {
        (alert["labels"]["namespace"], alert["labels"]["pod"]) for alert in expiry["alerts"]
    }


@pytest.mark.parametrize("mode", MODES)
def test_alerts(mode: str, tmp_path: Path) -> None:
    """Each alert fires when it should, with its labels and texts, and not a moment before (`promtool test rules`)."""
    groups = rules(*MODES[mode])
    alerts = {rule["alert"]: rule for group in groups for rule in group["rules"]}
    scenarios = [each for each in yaml.safe_load(SCENARIOS.read_text()) if each["alert"] in alerts]
    rules_file(tmp_path, *MODES[mode])
    tests = tmp_path / "tests.yaml"
    tests.write_text(
        yaml.safe_dump({"rule_files": ["rules.yaml"], "tests": [scenario(each, alerts) for each in scenarios]})
    )

    result = promtool("test", "rules", tests)

    assert 0 == result.returncode, result.stdout + result.stderr
    assert set(alerts) == {each["alert"] for each in scenarios}


def scenario(each: dict[str, Any], alerts: dict[str, Any]) -> dict[str, Any]:
    """Return a scenario as promtool reads it: the alert's texts are from the rule, its labels from the scenario."""
    rule = alerts[each["alert"]]
    fired = [
        {"exp_labels": {**rule["labels"], **labels}, "exp_annotations": rule["annotations"]}
        for labels in each["labels"]
    ]
    return {
        "name": each["name"],
        "interval": each.get("interval", "1m"),
        "input_series": [{"series": series, "values": values} for series, values in each["series"].items()],
        "alert_rule_test": [
            {"eval_time": each["before"], "alertname": each["alert"], "exp_alerts": []},
            {"eval_time": each["at"], "alertname": each["alert"], "exp_alerts": fired},
        ],
    }
