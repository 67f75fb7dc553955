"""What judges the soak finds what it has to find."""

import datetime as dt
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.experiments.soak import client, flatness
from tests.experiments.soak.processes import Sample
from tests.experiments.soak.repeated import Repeated, together
from tests.experiments.soak.verdict import Verdict
from tests.support.reliability.figures import Figures
from tests.support.sts.local import local_sts
from tests.support.sts.roles import parse

ROLE = "arn:aws:iam::123456789012:role/app-role"


@pytest.fixture
def answers() -> Iterator[tuple[list[tuple[int, str]], str]]:
    """Provide a metadata service that gives the answers in a list, one after another, and its address."""
    waiting: list[tuple[int, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            status, body = waiting.pop(0)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield waiting, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@contextmanager
def asking(directory: Path, imds: str) -> Iterator[tuple[client.Client, dict[str, Any]]]:
    """Provide a client and credentials that STS issued."""
    with local_sts(directory) as sts:
        expires_at = dt.datetime.now(dt.UTC) + dt.timedelta(minutes=5)
        session = sts.service.sessions.issue(parse(ROLE), "app-0", expires_at)
        document = {
            "Code": "Success",
            "AccessKeyId": session.access_key_id,
            "SecretAccessKey": session.secret_access_key,
            "Token": session.session_token,
            "Expiration": expires_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        told = client.Sts(sts.endpoint, str(sts.ca_file), "eu-west-1")
        yield client.Client(imds, told, session_tokens=False), document


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"SecretAccessKey": "of another session"}, "STS refuses the credentials: 403"),
        ({"Token": "of another session"}, "STS refuses the credentials: 403"),
        ({"AccessKeyId": "ASIAOFANOTHERSESSION"}, "STS refuses the credentials: 403"),
        ({"Expiration": "2026-01-01T00:00:00Z"}, "Success until 2026-01-01T00:00:00Z"),
        ({"Code": "Failed"}, "Failed until"),
    ],
)
def test_client_finds(
    answers: tuple[list[tuple[int, str]], str], tmp_path: Path, changes: dict[str, str], complaint: str
) -> None:
    """Expired credentials, and those of which one part is of another session, are failures."""
    waiting, imds = answers
    with asking(tmp_path, imds) as (asker, document):
        waiting += [(200, "app-role"), (200, json.dumps({**document, **changes}))]
        with pytest.raises(client.WrongError, match=complaint):
            asker.turn()


def test_client_finds_a_part_that_changes(answers: tuple[list[tuple[int, str]], str], tmp_path: Path) -> None:
    """Good credentials are taken; the same key with another secret, or an error, is a failure."""
    waiting, imds = answers
    with asking(tmp_path, imds) as (asker, document):
        good = [(200, "app-role"), (200, json.dumps(document))]
        waiting += [*good, *good, (200, "app-role"), (200, json.dumps({**document, "SecretAccessKey": "other"}))]
        asker.turn()
        asker.turn()
        with pytest.raises(client.WrongError, match="the same AccessKeyId with another"):
            asker.turn()
        waiting += [(200, "app-role"), (503, "none")]
        with pytest.raises(client.WrongError, match="503 none"):
            asker.turn()

    assert (8, 1) == (asker.counts["calls"], asker.counts["keys"])


def test_growth_is_found() -> None:
    """Slow growth shows between the windows, a single peak in them does not."""
    flat = [(float(at), sample(5)) for at in range(100)]
    growing = [(float(at), sample(5 + at / 100)) for at in range(100)]
    leaking = [(float(at), sample(5, fds=7 + at // 50 + at % 2)) for at in range(100)]
    busier = [(float(at), sample(5, fds=7 + (at > 50 and at % 3 != 0))) for at in range(100)]
    flat[90] = (90.0, sample(50))

    assert flatness.change(flat, lambda each: each.private_mb) == flatness.Change(5, 5)
    assert flatness.change(growing, lambda each: each.private_mb).growth == pytest.approx(0.69, abs=0.02)
    assert flatness.change(leaking, lambda each: each.fds, min) == flatness.Change(7, 8)
    assert flatness.change(busier, lambda each: each.fds, min) == flatness.Change(7, 7)


def sample(private_mb: float, fds: int = 7) -> Sample:
    """Return a sample of this size."""
    return Sample(private_mb, 10, fds, 1, 0, 0, 0)


def test_verdict_and_failures() -> None:
    """A figure out of bounds is named; what a thread raises is counted and does not end it."""
    figures = Figures()
    verdict = Verdict(figures)
    verdict.most("growth", 0.4, "MB", 0.3)
    verdict.least("renewals", 5, "", 5)
    enough = threading.Event()

    def act() -> None:
        if repeated.failures:
            enough.set()
        raise ValueError("of the action")

    repeated = Repeated(0, act)
    with together(repeated):
        assert enough.wait(10)

    assert verdict.broken == ["growth: 0.4 MB (<= 0.3 MB)"]
    assert [row.bound for row in figures.rows] == ["<= 0.3 MB", ">= 5"]
    assert "ValueError: of the action" in repeated.failures[0]
    assert repeated.done == 0
