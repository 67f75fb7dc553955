"""`imds-emulator check pods -A` on a cluster of 10,000 labelled pods, by its kubeconfig, over HTTP."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from emulator import names
from emulator.cli import check
from emulator.cli.diagnosis import pod_table as pods
from tests.support.pod_files.cases import recorded

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PODS = 10_000
NOT_READY = 400
LIMIT_SECONDS = 15  # of processor time, this server's included
LOG = "time=t level=error event=exchange-failed sts_code=AccessDenied request_id=r credentials=none\n"


def pod(number: int) -> dict[str, Any]:
    """Return a pod as an API server lists it, of 10 kB: injected, with a status and its managed fields."""
    found: dict[str, Any] = yaml.safe_load(recorded("plain")[".injected.yaml"])
    found["metadata"] |= {
        "name": f"app-{number}",
        "namespace": f"team-{number % 100}",
        "managedFields": [{"manager": "kubelet", "fieldsV1": {f"f:field-{index}": {} for index in range(150)}}],
    }
    started = {"running": {"startedAt": "2026-11-30T00:00:00Z"}}
    ready = {"name": names.EMULATOR_CONTAINER, "ready": number >= NOT_READY, "state": started}
    found["status"] = {"phase": "Running", "initContainerStatuses": [ready]}
    return found


class Api(BaseHTTPRequestHandler):
    """An API server with many pods."""

    protocol_version = "HTTP/1.1"
    pages: tuple[bytes, ...]
    logs = 0

    def do_GET(self) -> None:
        """Answer with a page of pods, a log, or no API groups."""
        parts = urlsplit(self.path)
        query = parse_qs(parts.query)
        if parts.path == "/api/v1/pods":
            body = self.pages[int(query.get("continue", ["0"])[0])]
        elif parts.path.endswith("/log"):
            Api.logs += 1
            body = LOG.encode()
        else:
            body = b'{"kind": "APIGroupList", "groups": [], "versions": []}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a kubeconfig of a cluster with the pods, in pages as kubectl would get them."""
    template = json.dumps(pod(PODS))
    texts = [json.dumps(pod(number)) if number < NOT_READY else named(template, number) for number in range(PODS)]
    size = 500
    starts = range(0, PODS, size)
    Api.pages = tuple(
        json.dumps({"kind": "PodList", "metadata": {"continue": str(page + 1)} if page + 1 < len(starts) else {}})[
            :-1
        ].encode()
        + b', "items": ['
        + ",".join(texts[start : start + size]).encode()
        + b"]}"
        for page, start in enumerate(starts)
    )
    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    config = {
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "c",
    }
    (tmp_path / "config").write_text(json.dumps(config))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))  # where the package keeps what it has discovered
    yield tmp_path / "config"
    server.shutdown()
    server.server_close()


def named(template: str, number: int) -> str:
    """Return the text of a pod like another: to make 10,000 from YAML takes longer than what is measured."""
    return template.replace(f'"app-{PODS}"', f'"app-{number}"').replace('"team-0"', f'"team-{number % 100}"')


def test_ten_thousand_pods(kubeconfig: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The table is there within seconds, in 20 answers and the logs of 100 of the pods that are not ready."""
    Api.logs = 0
    started = time.process_time()
    status = check.main(["pods", "-A", "--kubeconfig", str(kubeconfig)])
    took = time.process_time() - started
    lines = capsys.readouterr().out.splitlines()
    with capsys.disabled():
        size = sum(map(len, Api.pages)) / 1e6
        print(f"\ncheck pods -A: {PODS} pods, {size:.0f} MB, {NOT_READY} not ready: {took:.1f} s of a processor")

    assert (status, len(lines)) == (1, PODS + 2)
    assert Api.logs == pods.LOGS_LIMIT
    assert lines[-1].startswith(
        f"{PODS} labelled pods: 0 without the emulator, {NOT_READY} not ready; STS unknown of 300"
    )
    assert took < LIMIT_SECONDS
