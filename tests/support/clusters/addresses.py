"""The addresses of a native cluster, so that several can run side by side.

In: the cluster's number. Out: the two ends of its link to the machine, and its pod and service ranges.
"""

from dataclasses import dataclass

NODE = "imds-emulator-node"
DOMAIN = "cluster.local"
ISSUER = f"https://kubernetes.default.svc.{DOMAIN}"
API_PORT = 6443


@dataclass(frozen=True)
class Addresses:
    """IPv4 first, IPv6 second (KEP-563, dual-stack); the node is alone in a network namespace of its own."""

    host: tuple[str, str]
    node: tuple[str, str]
    pods: tuple[str, str]
    pod_gateways: tuple[str, str]
    services: tuple[str, str]
    api_service: str
    dns_service: str

    @property
    def server(self) -> str:
        """The API server's URL, as the machine and the node see it."""
        return f"https://{self.node[0]}:{API_PORT}"


def addresses(number: int) -> Addresses:
    """Return the addresses of cluster `number`, 0 to 255."""
    return Addresses(
        host=(f"10.213.{number}.1", f"fd00:213:{number:x}::1"),
        node=(f"10.213.{number}.2", f"fd00:213:{number:x}::2"),
        pods=(f"10.214.{number}.0/24", f"fd00:214:{number:x}::/64"),
        pod_gateways=(f"10.214.{number}.1", f"fd00:214:{number:x}::1"),
        services=(f"10.215.{number}.0/24", f"fd00:215:{number:x}::/112"),
        api_service=f"10.215.{number}.1",
        dns_service=f"10.215.{number}.10",
    )
