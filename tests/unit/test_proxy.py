"""Proxies: NO_PROXY and CONNECT."""

from __future__ import annotations

import pytest

from emulator.sidecar.proxy import connect_request, is_exempt

STS = "sts.eu-west-1.amazonaws.com"


@pytest.mark.parametrize(
    ("host", "port", "no_proxy", "expected"),
    [
        (STS, 443, "", False),
        (STS, 443, "169.254.169.254,.svc", False),
        (STS, 443, "*", True),
        (STS, 443, "example.com, *", True),
        (STS, 443, "amazonaws.com", True),
        (STS, 443, ".amazonaws.com", True),
        (STS, 443, "*.amazonaws.com", True),
        (STS, 443, "AMAZONAWS.COM", True),
        (STS, 443, "azonaws.com", False),
        (STS, 443, STS, True),
        (STS, 443, f"{STS}:443", True),
        (STS, 443, f"{STS}:8443", False),
        (STS, 443, ",,", False),
        (STS, 443, ".", False),
        (STS, 443, "10.0.0.0/8", False),
        ("10.1.2.3", 443, "10.0.0.0/8", True),
        ("10.1.2.3", 443, "11.0.0.0/8", False),
        ("10.1.2.3", 443, "10.1.2.3:443", True),
        ("10.1.2.3", 443, "10.0.0.0/x", False),
        ("fd00::1", 443, "fd00::/8", True),
        ("fd00::1", 443, "fd00::1", True),
        ("fd00::1", 443, "[fd00::1]:443", True),
        ("fd00::1", 8443, "[fd00::1]:443", False),
    ],
)
def test_no_proxy(host: str, port: int, no_proxy: str, expected: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """NO_PROXY exempts names with all under them, addresses, ranges, everything, with a port or without."""
    assert expected == is_exempt(host, port, no_proxy)


def test_connect() -> None:
    """A tunnel is asked for by CONNECT."""
    expected = b"CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n"

    assert expected == connect_request("h:443", "")


def test_connect_with_password() -> None:
    """User and password of the proxy's URL, percent-encoding undone, are sent as Basic credentials."""
    expected = b"CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\nProxy-Authorization: Basic dTpwQHM=\r\n\r\n"

    assert expected == connect_request("h:443", "u:p%40s")
