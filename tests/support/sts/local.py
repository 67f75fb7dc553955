"""The test STS on this machine, for tests without a cluster and for running `imds-emulator serve` by hand.

In: an empty directory. Out: `ca.crt`, `token`, `environment` in it, and STS at a free port of 127.0.0.1.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.sts import server
from tests.support.sts.authority import REGIONAL_HOSTS, certificates
from tests.support.sts.issuer import Issuer
from tests.support.sts.roles import TrustPolicy
from tests.support.sts.service import Service
from tests.support.sts.tokens import Verifier

AUDIENCE = "sts.amazonaws.com"
ROLE_ARN = "arn:aws:iam::123456789012:role/app-role"
SUBJECT = "system:serviceaccount:team-a:app"

EVERYONE = (TrustPolicy("*", ("*",), 43200),)
"""Trust policies that refuse nothing."""


@dataclass(frozen=True)
class LocalSts:
    """A running STS: direct it by `service`, reach it by `environment`."""

    directory: Path
    issuer: Issuer
    service: Service
    running: server.Running

    @property
    def endpoint(self) -> str:
        """What AWS_ENDPOINT_URL_STS shall say."""
        return f"https://127.0.0.1:{self.running.port}"

    @property
    def ca_file(self) -> Path:
        """What AWS_CA_BUNDLE shall say."""
        return self.directory / "ca.crt"

    @property
    def token_file(self) -> Path:
        """What AWS_WEB_IDENTITY_TOKEN_FILE shall say."""
        return self.directory / "token"

    def environment(self, role_arn: str = ROLE_ARN) -> dict[str, str]:
        """Return the environment of an AWS client, or of `imds-emulator serve`, that is to use this STS."""
        return {
            "AWS_ROLE_ARN": role_arn,
            "AWS_WEB_IDENTITY_TOKEN_FILE": str(self.token_file),
            "AWS_ENDPOINT_URL_STS": self.endpoint,
            "AWS_CA_BUNDLE": str(self.ca_file),
        }


@contextmanager
def local_sts(
    directory: Path,
    policies: tuple[TrustPolicy, ...] = EVERYONE,
    port: int = 0,
    admin_port: int = 0,
    *,
    issuer: Issuer | None = None,
) -> Iterator[LocalSts]:
    """Run STS in threads of this process, with a token of SUBJECT that lasts a day."""
    issuer = issuer or Issuer()
    server.write(directory, certificates([*REGIONAL_HOSTS, "localhost", "127.0.0.1"]))
    (directory / "token").write_text(issuer.token(SUBJECT))
    service = Service(Verifier(issuer.url, (AUDIENCE,), issuer.jwks), policies)
    tls = server.context(directory / "tls.crt", directory / "tls.key")
    with server.start(service, tls, "127.0.0.1", port, admin_port) as running:
        sts = LocalSts(directory, issuer, service, running)
        lines = [f"{name}={value}\n" for name, value in sts.environment().items()]
        (directory / "environment").write_text("".join(lines))
        yield sts
