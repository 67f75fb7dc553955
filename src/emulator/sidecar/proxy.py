"""HTTP proxies: which hosts bypass them, and how a tunnel is requested. Pure."""

# Source: what curl, botocore and Go's net/http have in common about NO_PROXY, CIDR ranges from Go.
# Only the short-lived child of an exchange imports this.


def is_exempt(host: str, port: int, no_proxy: str) -> bool:
    """Tell whether NO_PROXY names the host: `*`, a name with what is under it, an address, a CIDR range, each :port."""
    host = host.lower()
    for entry in (word.strip().lower() for word in no_proxy.split(",")):
        if entry == "*":
            return True
        name, entry_port = entry, ""
        if entry.count(":") == 1 or "]:" in entry:
            name, _, entry_port = entry.rpartition(":")
        name = name.removeprefix("[").removesuffix("]").removeprefix("*").removeprefix(".")
        if name and entry_port in ("", str(port)) and (_is_under(host, name) or _is_in_range(host, name)):
            return True
    return False


def connect_request(target: str, userinfo: str) -> bytes:
    """Return the request that asks a proxy for a tunnel to `target` (RFC 9110 section 9.3.6)."""
    authorization = ""
    if userinfo:
        from binascii import b2a_base64  # noqa: PLC0415 - seldom needed
        from urllib.parse import unquote  # noqa: PLC0415 - likewise

        basic = b2a_base64(unquote(userinfo).encode(), newline=False).decode()
        authorization = f"Proxy-Authorization: Basic {basic}\r\n"
    return f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{authorization}\r\n".encode()


def _is_under(host: str, name: str) -> bool:
    return host == name or host.endswith("." + name)


def _is_in_range(host: str, cidr: str) -> bool:
    if "/" not in cidr:
        return False
    import ipaddress  # noqa: PLC0415 - seldom needed

    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(cidr, strict=False)
    except ValueError:
        return False
