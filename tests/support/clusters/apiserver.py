"""An API server and its etcd alone, of any version of the table: enough to see what admission makes of a pod.

In: a version such as 1.24. Out: a kubeconfig, for as long as the context lasts. Needs no root; several may run at once.
There are no controllers: a namespace has the service account `default` only where the caller makes it.
"""

import contextlib
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from emulator.build.progress import StepFailedError, tail
from tests.support.clusters import health, pki, plan
from tests.support.tools import build, ports, programs
from tests.support.tools.table import TOOLS, Tool

_READY_SECONDS = 120.0
_HOST = "127.0.0.1"
# Where MutatingAdmissionPolicy is beta it is off (KEP-3962), and operators who want mode `policy` set these.
_BETA_VERSIONS = ("v1.34.", "v1.35.")
_BETA = ("--feature-gates=MutatingAdmissionPolicy=true", "--runtime-config=admissionregistration.k8s.io/v1beta1=true")
_SERVICES = "10.216.0.0/24"


def row(version: str) -> Tool:
    """Return the row of the table with an API server of this version, given as 1.24 or v1.24.17."""
    found = {tool.version: tool for tool in TOOLS.values() if "kube-apiserver" in tool.programs}
    for known, tool in found.items():
        if f"{known}.".startswith(f"v{version.lstrip('v')}."):
            return tool
    raise StepFailedError(f"API server version {version!r} is not in the table; one of: {', '.join(found)}")


@contextlib.contextmanager
def running(version: str) -> Iterator[Path]:
    """Run an API server on a free port of 127.0.0.1; the administrator's kubeconfig."""
    tool = row(version)
    build.ensure([TOOLS["etcd"], tool, *programs.rows(["kubectl"])])
    with tempfile.TemporaryDirectory(prefix="imds-emulator-apiserver-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        client, peer, port = ports.free(3)
        store = f"http://{_HOST}:{client}"
        signer = pki.authority(folder)
        pki.certify(signer, "apiserver", "kube-apiserver", hosts=[_HOST, "localhost"])
        pki.certify(signer, "admin", "imds-emulator-test", "system:masters")
        pki.signing_key(folder / "service-accounts.key")
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_text(pki.kubeconfig(folder, "admin", f"https://{_HOST}:{port}"))
        etcd = str(build.program(TOOLS["etcd"], "etcd"))
        apiserver = str(build.program(tool, "kube-apiserver"))
        parts = {
            "etcd": plan.etcd(etcd, f"{folder}/etcd", store, f"http://{_HOST}:{peer}"),
            "kube-apiserver": [
                *plan.apiserver(apiserver, str(folder), store, _SERVICES, (_HOST, port)),
                # Nobody asks for the Service `kubernetes`, whose endpoint could not be a loopback address.
                "--endpoint-reconciler-type=none",
                *(_BETA if tool.version.startswith(_BETA_VERSIONS) else ()),
            ],
        }
        children = {part: stack.enter_context(_child(argv, folder / f"{part}.log")) for part, argv in parts.items()}
        try:
            health.wait(f"API server {tool.version}", lambda: _fault(children, folder, kubeconfig), _READY_SECONDS)
            health.call([*health.kubectl(kubeconfig), "create", "serviceaccount", "default"])
        except StepFailedError as error:
            ends = "\n".join(f"  {part}:\n{tail(folder / f'{part}.log', 12)}" for part in parts)
            raise StepFailedError(f"{error}\n{ends}") from error
        yield kubeconfig


def _fault(children: dict[str, subprocess.Popen[bytes]], folder: Path, kubeconfig: Path) -> str:
    for name, child in children.items():
        if child.poll() is not None:
            raise StepFailedError(f"{name} ended with {child.returncode}:\n{tail(folder / f'{name}.log')}")
    return health.api_fault(kubeconfig)


@contextlib.contextmanager
def _child(argv: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command that ends with the context, or with this process however that ends."""
    argv = ["setpriv", "--pdeathsig=KILL", *argv]
    with (
        log.open("w") as output,
        subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=log.parent, start_new_session=True
        ) as child,
    ):
        try:
            yield child
        finally:
            # Nothing is worth a graceful end, which takes an API server a minute.
            child.kill()
