"""`python -m tests.support.sts local DIRECTORY`: STS on this machine; with `cluster`: in a pod.

In: for `cluster`, a mounted Secret with tls.crt and tls.key and a mounted roles.json. Out: a server until SIGTERM.
"""

import argparse
import json
import signal
import sys
import threading
from pathlib import Path

from tests.support.sts import published, server
from tests.support.sts.local import AUDIENCE, EVERYONE, local_sts
from tests.support.sts.roles import RolesError, TrustPolicy, trust_policies
from tests.support.sts.service import Service
from tests.support.sts.tokens import Verifier


def main() -> int:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.sts", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    local = commands.add_parser("local", help="on 127.0.0.1, with an issuer of its own; writes files into DIRECTORY")
    local.add_argument("directory", type=Path)
    cluster = commands.add_parser("cluster", help="in a pod; verifies tokens by the keys of the pod's API server")
    cluster.add_argument("--tls", type=Path, required=True, help="directory of tls.crt and tls.key")
    for command in (local, cluster):
        command.add_argument("--roles", type=Path, help="trust policies; none: every role, for everyone")
        command.add_argument("--port", type=int, default=8443)
        command.add_argument("--admin-port", type=int, default=8080)
    options = parser.parse_args()
    try:
        policies = _policies(options.roles)
    except (OSError, ValueError, RolesError) as error:
        print(f"--roles {options.roles}: {error}", file=sys.stderr)
        return 2
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if options.command == "local":
        options.directory.mkdir(parents=True, exist_ok=True)
        with local_sts(options.directory, policies, options.port, options.admin_port) as sts:
            print(f"STS at {sts.endpoint}; directed at http://127.0.0.1:{sts.running.admin_port}", flush=True)
            print(f"env $(cat {options.directory}/environment) imds-emulator serve", flush=True)
            stop.wait()
    else:
        service = Service(Verifier(published.issuer(), (AUDIENCE,), published.jwks), policies)
        tls = server.context(options.tls / "tls.crt", options.tls / "tls.key")
        with server.start(service, tls, "", options.port, options.admin_port):
            print(f"STS of issuer {service.verifier.issuer} at port {options.port}", flush=True)
            stop.wait()
    return 0


def _policies(file: Path | None) -> tuple[TrustPolicy, ...]:
    return trust_policies(json.loads(file.read_text())) if file else EVERYONE


sys.exit(main())
