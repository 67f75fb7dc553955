"""A Prometheus of a test's own: it scrapes ports of this machine, evaluates rules, and answers queries."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import yaml

from emulator.build import apt
from tests.support.tools import ports

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

START_SECONDS = 30.0
PACKAGES = {"prometheus": "prometheus"}  # Debian's; promtool is in it


class Target(NamedTuple):
    """A port of 127.0.0.1 with metrics, and the labels that a monitor of the Prometheus operator would add."""

    job: str
    port: int
    labels: dict[str, str]


class Prometheus:
    """A running server. `seconds`: between scrapes, and between evaluations of the rules."""

    def __init__(self, directory: Path, targets: Sequence[Target], rules: Path, seconds: float) -> None:
        (self.port,) = ports.free(1)
        every = f"{seconds * 1000:.0f}ms"
        configuration = {
            "global": {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every},
            "rule_files": [str(rules)],
            "scrape_configs": [
                {
                    "job_name": job,
                    "static_configs": [
                        {"targets": [f"127.0.0.1:{each.port}"], "labels": each.labels}
                        for each in targets
                        if each.job == job
                    ],
                }
                for job in dict.fromkeys(each.job for each in targets)
            ],
        }
        (directory / "prometheus.yml").write_text(yaml.safe_dump(configuration))
        self._log = (directory / "prometheus.log").open("wb")
        self._process = subprocess.Popen(
            [
                apt.program("prometheus") or "prometheus",
                f"--config.file={directory / 'prometheus.yml'}",
                f"--storage.tsdb.path={directory / 'data'}",
                f"--web.listen-address=127.0.0.1:{self.port}",
            ],
            stderr=self._log,
        )

    def __enter__(self) -> Self:
        deadline = time.monotonic() + START_SECONDS
        while not self._is_ready():
            assert self._process.poll() is None, f"Prometheus ended: {self._log.name}"
            assert time.monotonic() < deadline, f"Prometheus not ready in {START_SECONDS:g} s: {self._log.name}"
            time.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(START_SECONDS)
        self._log.close()

    def series(self, query: str) -> list[dict[str, Any]]:
        """Return what a query finds now; each item has `metric` and `value`."""
        return list(self._get("query", query=query)["result"])

    def history(self, query: str, start: float, end: float, step: float) -> list[dict[str, Any]]:
        """Return what a query finds over time; each item has `metric` and `values`."""
        return list(self._get("query_range", query=query, start=start, end=end, step=step)["result"])

    def label_values(self, label: str, metric: str) -> list[str]:
        """Return the values of a label of a metric."""
        return list(self._get(f"label/{label}/values", **{"match[]": metric}))

    def rules(self) -> list[dict[str, Any]]:
        """Return the rules with their `health`, `state` and `lastError`."""
        return [rule for group in self._get("rules")["groups"] for rule in group["rules"]]

    def _get(self, path: str, **parameters: object) -> Any:  # noqa: ANN401 - JSON
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=START_SECONDS) as answer:
            return json.load(answer)["data"]

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/-/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run promtool; its standard output has what it found."""
    command = [apt.program("promtool") or "promtool", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)
