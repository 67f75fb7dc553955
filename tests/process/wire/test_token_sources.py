"""Tokens of other issuers than a cluster: a file that somebody else keeps fresh, such as a JWT-SVID of SPIFFE."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support.sts.issuer import Issuer
from tests.support.sts.local import ROLE_ARN, LocalSts, local_sts
from tests.support.sts.roles import TrustPolicy
from tests.support.wire.process import CREDENTIALS, Emulator, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SPIFFE_ID = "spiffe://example.org/ns/team-a/sa/app"


@pytest.fixture
def sts(tmp_path: Path) -> Iterator[LocalSts]:
    """Return an STS that trusts SPIRE's keys, and lets one SPIFFE id have the role."""
    spire = Issuer("https://oidc-discovery.example.org", key=ec.generate_private_key(ec.SECP256R1()))
    with local_sts(tmp_path, (TrustPolicy(ROLE_ARN, (SPIFFE_ID,)),), issuer=spire) as running:
        yield running


@pytest.fixture
def emulator(sts: LocalSts, tmp_path: Path) -> Iterator[Emulator]:
    """Return an emulator that is told nothing but a role, a token file and this STS; the file is empty yet."""
    token = tmp_path / "jwt_svid.token"
    token.touch()
    told = {**sts.environment(), "AWS_WEB_IDENTITY_TOKEN_FILE": str(token), "POD_NAMESPACE": "", "POD_NAME": ""}
    emulator = Emulator(told)
    yield emulator
    emulator.end()


def renew(directory: Path, token: str) -> None:
    """Write a new token in place, as those do who keep one fresh."""
    (directory / "jwt_svid.token").write_text(token)


def test_jwt_svid(sts: LocalSts, emulator: Emulator, tmp_path: Path) -> None:
    """A JWT-SVID is a token like any other: the role's policy decides on its subject, the SPIFFE id."""
    renew(tmp_path, sts.issuer.token(SPIFFE_ID, lifetime_seconds=300))
    wait_until(lambda: emulator.health("/readyz").status == 200, f"credentials: {emulator.log()}")

    assert 200 == emulator.get(CREDENTIALS).status


def test_of_another_workload(sts: LocalSts, emulator: Emulator, tmp_path: Path) -> None:
    """One of another SPIFFE id is refused."""
    renew(tmp_path, sts.issuer.token("spiffe://example.org/ns/team-b/sa/app"))
    wait_until(lambda: "sts_code=AccessDenied" in emulator.log(), "the refusal")

    assert 500 == emulator.get(CREDENTIALS).status


def test_renewed_late(sts: LocalSts, emulator: Emulator, tmp_path: Path) -> None:
    """One that has expired is not the end: the next one in the file is taken."""
    renew(tmp_path, sts.issuer.token(SPIFFE_ID, lifetime_seconds=-1))
    wait_until(lambda: "sts_code=ExpiredTokenException" in emulator.log(), "the refusal")
    renew(tmp_path, sts.issuer.token(SPIFFE_ID))
    wait_until(lambda: emulator.health("/readyz").status == 200, f"credentials: {emulator.log()}")

    assert 200 == emulator.get(CREDENTIALS).status
