"""What is measured: the emulator, the sleeping interpreter under it, the peer and the floor in Go."""

from __future__ import annotations

import itertools
import shutil
import ssl
from dataclasses import dataclass, field
from pathlib import Path

from tests.experiments.bench import programs
from tests.experiments.bench.process import Running
from tests.support.wire.authority import Authority, make_authority

ROLE_ARN = "arn:aws:iam::123456789012:role/app-role"
ANCHOR = "arn:aws:rolesanywhere:us-east-1:123456789012:trust-anchor/00000000-0000-0000-0000-000000000000"
PROFILE = "arn:aws:rolesanywhere:us-east-1:123456789012:profile/00000000-0000-0000-0000-000000000000"
INTERPRETER = "sleeping interpreter"
EMULATOR = "emulator"
EMULATOR_145 = "emulator, 145 CA"
PEER = "Roles Anywhere helper"
FLOOR_145 = "Go floor, 145 CA"
FLOOR_6 = "Go floor, 6 CA"
CHROOT = shutil.which("chroot") or "/usr/sbin/chroot"
INSIDE = Path("bench")  # the folder of our files in the image's root file system

_ports = itertools.count(23000, 2)


@dataclass
class Bench:
    """Files and programs of one run."""

    rootfs: Path
    peer: Path
    program: Path
    authority: Authority
    bundle_145: Path
    bundle_6: Path
    upstream_port: int
    extra: dict[str, str] = field(default_factory=dict)  # more environment for the emulator

    def start(self, name: str) -> Running:
        """Start a copy of a subject, each through `chroot`, which costs 0.8 ms."""
        port = next(_ports)
        if name == INTERPRETER:
            return Running(
                [CHROOT, str(self.rootfs), "/usr/bin/python3.13", "-I", "-S", "-c", "import time; time.sleep(1e6)"],
                {},
            )
        if name in (EMULATOR, EMULATOR_145):
            return Running(
                [CHROOT, str(self.rootfs), "/usr/bin/imds-emulator", "serve"], self._emulator(name, port), port
            )
        if name == PEER:
            return Running([CHROOT, "/", *self._peer(port)], self._debian_roots(), port)
        roots = (
            self._debian_roots() if name == FLOOR_145 else {"SSL_CERT_FILE": str(self.bundle_6), "SSL_CERT_DIR": "/-"}
        )
        environ = {"AWS_WEB_IDENTITY_TOKEN_FILE": str(self.rootfs / INSIDE / "token"), **roots}
        return Running([CHROOT, "/", str(self.program), "floor", str(port), self._upstream()], environ, port)

    def _upstream(self) -> str:
        return f"https://127.0.0.1:{self.upstream_port}"

    def _emulator(self, name: str, port: int) -> dict[str, str]:
        return {
            "AWS_ROLE_ARN": ROLE_ARN,
            "AWS_WEB_IDENTITY_TOKEN_FILE": f"/{INSIDE}/token",
            "AWS_ENDPOINT_URL_STS": self._upstream(),
            "AWS_CA_BUNDLE": f"/{INSIDE}/ca.pem",
            "IMDS_EMULATOR_ROOT_CERTIFICATES": "aws" if name == EMULATOR else "system",
            "IMDS_EMULATOR_PORT": str(port),
            "IMDS_EMULATOR_HEALTH_PORT": str(port + 1),
            "POD_NAMESPACE": "bench",
            "POD_NAME": "bench",
            **self.extra,
        }

    def _peer(self, port: int) -> list[str]:
        identity = ["--certificate", str(self.authority.certificate), "--private-key", str(self.authority.key)]
        names = ["--trust-anchor-arn", ANCHOR, "--profile-arn", PROFILE, "--role-arn", ROLE_ARN]
        where = ["--endpoint", self._upstream(), "--region", "us-east-1", "--port", str(port)]
        return [str(self.peer), "serve", *identity, *names, *where]

    def _debian_roots(self) -> dict[str, str]:
        """Return what Go finds on a Debian system: it reads the bundle and the directory beside it, too."""
        return {"SSL_CERT_FILE": str(self.bundle_145)}


def prepare(directory: Path, upstream_port: int) -> Bench:
    """Make what the subjects need in `directory`, and in the image's root file system."""
    rootfs = programs.rootfs()
    authority = make_authority(directory, "127.0.0.1")
    own = authority.ca.read_text()
    bundle_145 = directory / "145.pem"
    bundle_6 = directory / "6.pem"
    system = (rootfs / "etc/ssl/certs/ca-certificates.crt").read_text()
    aws = (rootfs / "etc/ssl/aws-roots.pem").read_text()
    bundle_145.write_text(system + own)
    bundle_6.write_text(aws + own)
    for bundle, least in ((bundle_145, 100), (bundle_6, 6)):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(bundle)
        assert context.cert_store_stats()["x509"] >= least
    inside = rootfs / INSIDE
    shutil.rmtree(inside, ignore_errors=True)
    inside.mkdir()
    (inside / "token").write_text("eyJhbGciOiJSUzI1NiJ9." + "x" * 900)
    shutil.copy(authority.ca, inside / "ca.pem")
    return Bench(rootfs, programs.peer(), programs.program(), authority, bundle_145, bundle_6, upstream_port)
