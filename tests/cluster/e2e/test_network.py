"""What is redirected, and what is not: only 169.254.169.254:80 by TCP, for every caller, however often."""

import json
import shlex
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

from emulator import __version__, names
from emulator.build import apt
from tests.cluster.e2e.answers import ASKED_SECONDS, credentials, issued_keys, lines
from tests.support.kubernetes import images
from tests.support.kubernetes.kube import Object, condition, path, wait_for
from tests.support.kubernetes.pods import BASE, CURL, WAIT, Team, runs
from tests.support.netns import frames

pytestmark = pytest.mark.usefixtures("running")

FRAMES = Path(frames.__file__)
REDIRECT_IMAGE = f"imds-emulator/redirect:{__version__}"
PAGE = "this is the application"

# A web server of the application's own on port 80, and a UDP one that would hear what is wrongly redirected.
SERVER = f"""
mkdir -p /tmp/www && echo '{PAGE}' > /tmp/www/index.html
python3 -m http.server --directory /tmp/www 80 2> /dev/null &
until curl -sf -o /dev/null http://127.0.0.1:80/; do sleep 0.2; done
{CURL}{WAIT}
"""


def _redirect(name: str, command: list[str] | None = None) -> Object:
    """Return an init container of the pod's own that is like the injected one."""
    capabilities = {"drop": ["ALL"], "add": ["NET_ADMIN", "NET_RAW"]}
    return {
        "name": name,
        "image": REDIRECT_IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "securityContext": {"runAsUser": 0, "capabilities": capabilities, "readOnlyRootFilesystem": True},
        **({"command": command} if command else {}),
    }


def _web(team: Team) -> list[Object]:
    app = {"ports": [{"containerPort": 80}]}
    inits = [_redirect("again"), _redirect("show", ["nft", "list", "table", "inet", names.REDIRECT_TABLE])]
    return [team.pod("web", SERVER, app=app, initContainers=inits), team.pod("neighbour", CURL + WAIT)]


def fetch(team: Team, pod: str, url: str) -> str:
    """Return what curl gets in a pod, or the exit code of curl in brackets."""
    return team.kube.shell(team.namespace, pod, f"curl -sf -m 2 '{url}' || echo \"($?)\"").strip()


@runs(_web)
def test_app_on_80(team: Team) -> None:
    """The application's own port 80 is reached at loopback, from another pod, and from itself by its address."""
    lines(team, "web", last="asked")
    lines(team, "neighbour", last="asked")
    web = team.kube.request("GET", path("v1", "Pod", team.namespace, "web"))

    address = web["status"]["podIP"]
    told = {
        "loopback": fetch(team, "web", "http://127.0.0.1/"),
        "own address": fetch(team, "web", f"http://{address}/"),
        "neighbour": fetch(team, "neighbour", f"http://{address}/"),
        "metadata service": fetch(team, "web", f"{BASE}/"),
    }

    assert told == {"loopback": PAGE, "own address": PAGE, "neighbour": PAGE, "metadata service": "app-role"}


@runs(_web)
def test_ipv6(team: Team) -> None:
    """In a pod that has IPv6 the metadata service answers at fd00:ec2::254 as well."""
    lines(team, "web", last="asked")
    web = team.kube.request("GET", path("v1", "Pod", team.namespace, "web"))
    if not any(":" in each["ip"] for each in web["status"]["podIPs"]):
        pytest.skip("pods of this cluster have no IPv6")

    assert fetch(team, "web", BASE.replace(names.IMDS_IPV4, f"[{names.IMDS_IPV6}]")) == "app-role"


@runs(_web)
def test_second_run_of_init(team: Team) -> None:
    """The init container works when it is run again, and there is one redirect afterwards."""
    lines(team, "web", last="asked")

    rules = team.kube.log(team.namespace, "web", "show").splitlines()
    redirects = [rule.strip() for rule in rules if "redirect to" in rule]
    to = f"tcp dport {names.IMDS_PORT} redirect to :{names.PORT_DEFAULT}"
    assert redirects == [f"ip daddr {names.IMDS_IPV4} {to}", f"ip6 daddr {names.IMDS_IPV6} {to}"]


@runs(lambda team: [team.pod("restarted", CURL + WAIT)])
def test_new_sandbox(team: Team) -> None:
    """A pod whose network is recreated, so that its init containers run again, gets credentials again."""
    node = images.provider(team.kube)
    if not node:
        pytest.skip("the node of this cluster can't be entered")
    first = credentials("\n".join(lines(team, "restarted", last="asked")))["AccessKeyId"]
    at = path("v1", "Pod", team.namespace, "restarted")
    before = team.kube.request("GET", at)
    uid = before["metadata"]["uid"].replace("-", "[-_]")  # cgroup drivers write it differently
    script = f"""
        for process in /proc/[0-9]*; do
          grep -qs '{uid}' "$process/cgroup" || continue
          if grep -qs pause "$process/comm"; then kill -9 "${{process#/proc/}}"; fi
        done
    """
    subprocess.run([*node.enter(), "sh", "-c", script], check=True, capture_output=True)

    def address() -> str:
        now = team.kube.request("GET", at)["status"]
        return str(now.get("podIP", "")) if condition({"status": now}, "Ready") else ""

    wait_for("Ready under a new address", lambda: address() not in ("", before["status"]["podIP"]), ASKED_SECONDS)
    lines(team, "restarted", last="asked")
    key = credentials(team.kube.shell(team.namespace, "restarted", CURL))["AccessKeyId"]
    assert key != first
    assert key in issued_keys(team, "restarted")


@runs(_web)
def test_other_ports_and_protocols(team: Team) -> None:
    """Other ports of 169.254.169.254 and UDP do not lead to the emulator."""
    lines(team, "web", last="asked")
    script = f"""
import socket
heard = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
heard.bind(("127.0.0.1", {names.PORT_DEFAULT}))
heard.settimeout(1)
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sender.sendto(b"x", ("{names.IMDS_IPV4}", {names.IMDS_PORT}))
try:
    print("udp redirected", heard.recv(1))
except TimeoutError:
    print("udp left alone")
for port in (81, 443, 8080, {names.PORT_DEFAULT}):
    tcp = socket.socket()
    tcp.settimeout(1)
    try:
        tcp.connect(("{names.IMDS_IPV4}", port))
        tcp.sendall(b"GET /latest/meta-data/iam/security-credentials/ HTTP/1.0\\r\\n\\r\\n")
        answer = tcp.recv(4096)
        print(port, "redirected" if b"app-role" in answer or b"EC2ws" in answer else "left alone")
    except OSError:
        print(port, "left alone")
"""

    told = team.kube.shell(team.namespace, "web", f"python3 - <<'END'\n{script}\nEND").splitlines()

    assert told == ["udp left alone", "81 left alone", "443 left alone", "8080 left alone", "16925 left alone"]


COUNTERS = """
table netdev imds-counted {{
  counter streams {{}}
  counter seen {{}}
  chain arrivals {{
    type filter hook ingress device "{device}" priority 0; policy accept;
    ip daddr {ipv4} ip protocol tcp counter name streams
    ip6 daddr {ipv6} ip6 nexthdr != udp counter name streams
    ip daddr {ipv4} counter name seen
    ip6 daddr {ipv6} counter name seen
  }}
}}
"""
# The next hop's hardware address, in the words of arp(7); the gateway has been talked to.
NEXT_HOP = "awk 'NR > 1 && $4 != \"00:00:00:00:00:00\" {print $4; exit}' /proc/net/arp"


def _frames(team: Team, names_: Iterable[str]) -> None:
    """Send raw packets and frames in a pod; errors are its own business."""
    named = " ".join(shlex.quote(name) for name in names_)
    team.kube.shell(team.namespace, "web", f"python3 - $({NEXT_HOP}) {named} <<'END'\n{FRAMES.read_text()}\nEND")


@runs(_web)
@pytest.mark.claim("S34")
def test_nothing_leaves(team: Team) -> None:
    """With a runtime's default capabilities no TCP for the metadata addresses gets past the node's side of the link.

    Neither by sockets nor by raw IP nor by AF_PACKET, IPv4 and IPv6; what is for DNS and NTP does.
    """
    node = images.provider(team.kube)
    if not node:
        pytest.skip("the node of this cluster can't be entered")
    apt.ensure({"nftables": "nft"})
    if subprocess.run([*node.enter(), "nft", "--version"], capture_output=True, check=False).returncode:
        pytest.skip("the node has no nft to count with")
    lines(team, "web", last="asked")
    index = team.kube.shell(team.namespace, "web", f"cat /sys/class/net/{frames.DEVICE}/iflink").strip()

    def on_node(*command: str, stdin: str = "") -> str:
        done = subprocess.run([*node.enter(), *command], input=stdin, capture_output=True, text=True, check=True)
        return done.stdout

    links = json.loads(on_node("ip", "-json", "link", "show"))
    (device,) = (each["ifname"] for each in links if each["ifindex"] == int(index))

    def arrived() -> dict[str, int]:
        listed = json.loads(on_node("nft", "--json", "list", "counters"))["nftables"]
        counters = (each["counter"] for each in listed if "counter" in each)
        return {each["name"]: each["packets"] for each in counters if each["table"] == "imds-counted"}

    rules = COUNTERS.format(device=device, ipv4=names.IMDS_IPV4, ipv6=names.IMDS_IPV6)
    on_node("nft", "-f", "-", stdin=rules)
    try:
        _frames(team, frames.CLOSED)
        for host in (names.IMDS_IPV4, f"[{names.IMDS_IPV6}]"):
            fetch(team, "web", f"http://{host}:8080/")
        closed = arrived()
        _frames(team, ("DNS by UDP", "NTP", "NTP, IPv6"))
        datagrams = arrived()
    finally:
        on_node("nft", "delete", "table", "netdev", "imds-counted")

    assert closed == {"streams": 0, "seen": 0}
    assert datagrams == {"streams": 0, "seen": 3}


@runs(_web)
@pytest.mark.claim("S01", "S03")
def test_credentials_stay_in_the_pod(team: Team) -> None:
    """Neither the credential port nor the metadata service of a pod is reached from another."""
    lines(team, "neighbour", last="asked")
    neighbour = team.kube.request("GET", path("v1", "Pod", team.namespace, "neighbour"))
    address = neighbour["status"]["podIP"]

    credential_port = f"http://{address}:{names.PORT_DEFAULT}/latest/meta-data/iam/security-credentials/app-role"
    health_port = f"http://{address}:{names.HEALTH_PORT_DEFAULT}/latest/meta-data/iam/security-credentials/app-role"
    assert fetch(team, "web", credential_port) == "(7)"  # curl: failed to connect to host
    assert fetch(team, "web", health_port) == "(22)"  # curl: an HTTP status of 400 or above


@runs(_web)
@pytest.mark.claim("S24")
def test_least_privilege(team: Team) -> None:
    """The injected containers have no more rights than they need: NET_ADMIN and NET_RAW for the init alone."""
    lines(team, "neighbour", last="asked")
    pod = team.kube.request("GET", path("v1", "Pod", team.namespace, "neighbour"))

    contexts = {each["name"]: each.get("securityContext") for each in pod["spec"]["initContainers"]}
    told = {
        name: (context["capabilities"], context["allowPrivilegeEscalation"], context["readOnlyRootFilesystem"])
        for name, context in contexts.items()
    }
    assert told == {
        names.REDIRECT_CONTAINER: ({"drop": ["ALL"], "add": ["NET_ADMIN", "NET_RAW"]}, False, True),
        names.EMULATOR_CONTAINER: ({"drop": ["ALL"]}, False, True),
    }
    assert "securityContext" not in pod["spec"]["containers"][0]
