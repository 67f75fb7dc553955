"""The settings of a process, from its environment variables, of which this is the only reader.

An empty variable counts as unset. What is missing or wrong raises SettingsError with one line that names it.
"""

# Imported by the sidecar, which pays in memory for each module: no `os`, no `typing`, no `dataclasses`.

from emulator import names
from emulator.arn import RoleArn, is_policy_arn, parse_role_arn
from emulator.partitions import has_fips_sts, partition

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

DURATION_DEFAULT_SECONDS = 3600
DURATION_SECONDS = (900, 43200)  # STS API Reference, AssumeRoleWithWebIdentity, DurationSeconds
SHORT_DURATION_SECONDS = 1800  # refreshed at half life, shorter ones have less left than 15 minutes
STARTUP_DEFAULT_SECONDS = 60
STARTUP_SECONDS = (0, 3600)
SERVE_AFTER_SIGTERM_SECONDS = (0, 86400)
PORTS = (1, 65535)
SESSION_NAME_LENGTH = (2, 64)  # STS API Reference, AssumeRoleWithWebIdentity, RoleSessionName
SESSION_NAME_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+=,.@-")
SESSION_NAME_OF_NO_POD = "imds-emulator"
SESSION_POLICIES_LIMIT = 10  # STS API Reference, AssumeRoleWithWebIdentity, PolicyArns


# What an injected pod has in place of the SDKs' names.
OWN_NAMES = {
    names.ENV_ROLE_ARN: names.ENV_OWN_ROLE_ARN,
    names.ENV_TOKEN_FILE: names.ENV_OWN_TOKEN_FILE,
    names.ENV_SESSION_NAME: names.ENV_OWN_SESSION_NAME,
    names.ENV_REGION: names.ENV_OWN_REGION,
    names.ENV_STS_ENDPOINT: names.ENV_OWN_STS_ENDPOINT,
    names.ENV_USE_FIPS: names.ENV_OWN_USE_FIPS,
    names.ENV_USE_DUALSTACK: names.ENV_OWN_USE_DUALSTACK,
    names.ENV_CA_BUNDLE: names.ENV_OWN_CA_BUNDLE,
    names.ENV_HTTPS_PROXY: names.ENV_OWN_HTTPS_PROXY,
    names.ENV_NO_PROXY: names.ENV_OWN_NO_PROXY,
    names.ENV_IMDS_VERSION: names.ENV_IMDS_VERSION,
}
# Pods injected by 0.1.0 have the SDKs' names, and their annotations in these, which then win.
PODS_OF_0_1_0 = {names.ENV_REGION: names.ENV_POD_REGION, names.ENV_IMDS_VERSION: names.ENV_POD_IMDS_VERSION}


class SettingsError(Exception):
    """A setting is missing or wrong; the message is one line that names it, its value and the remedy."""


class ServeSettings:
    """The settings of `serve`; strings and numbers only, since it outlives this module, which the sidecar unloads."""

    __slots__ = (
        "account_id",
        "ca_bundle",
        "duration_seconds",
        "health_port",
        "https_proxy",
        "imds_version",
        "no_proxy",
        "pod_name",
        "pod_namespace",
        "port",
        "role_arn",
        "role_name",
        "root_certificates",
        "serve_after_sigterm_seconds",
        "session_name",
        "session_policies",
        "startup_seconds",
        "sts_url",
        "token_file",
    )

    role_arn: str
    role_name: str
    account_id: str
    root_certificates: str
    token_file: str
    session_name: str
    session_policies: str
    sts_url: str
    ca_bundle: str
    https_proxy: str
    no_proxy: str
    pod_name: str
    pod_namespace: str
    port: int
    health_port: int
    imds_version: str
    duration_seconds: int
    startup_seconds: int
    serve_after_sigterm_seconds: int


class RedirectSettings:
    """The settings of `redirect`."""

    __slots__ = ("health_port", "lock_file", "path", "port", "startup_seconds")

    port: int
    health_port: int
    startup_seconds: int
    path: str
    lock_file: str


def environment() -> dict[str, str]:
    """Return the environment of this process; `os.environ` would cost the sidecar the module `os`."""
    import posix  # noqa: PLC0415 - not for those who pass a mapping

    return {name.decode(): value.decode("utf-8", "replace") for name, value in posix.environ.items()}


def serve_settings(environ: "Mapping[str, str]") -> ServeSettings:
    """Return the settings of `serve`; raises SettingsError."""
    settings = ServeSettings()
    named = _variable_names(environ)
    role = _role(environ, named[names.ENV_ROLE_ARN])
    settings.role_arn = role.text
    settings.role_name = role.name
    settings.account_id = role.account_id
    settings.token_file = required(environ, named[names.ENV_TOKEN_FILE], "set it to the file of the projected token")
    settings.pod_name = text(environ, names.ENV_POD_NAME)
    settings.pod_namespace = text(environ, names.ENV_POD_NAMESPACE)
    settings.session_name = _session_name(environ, named[names.ENV_SESSION_NAME])
    settings.session_policies = session_policies(environ, names.ENV_SESSION_POLICIES)
    settings.sts_url = endpoint(
        environ,
        named[names.ENV_STS_ENDPOINT],
        insecure_allowed_by=names.ENV_ALLOW_INSECURE_ENDPOINT,
    ) or _sts_url_of_aws(environ, named, role)
    settings.root_certificates = _root_certificates(environ, named[names.ENV_STS_ENDPOINT], role)
    settings.ca_bundle = text(environ, named[names.ENV_CA_BUNDLE])
    settings.https_proxy = proxy(environ, named[names.ENV_HTTPS_PROXY])
    settings.no_proxy = text(environ, named[names.ENV_NO_PROXY])
    settings.port = integer(environ, names.ENV_PORT, names.PORT_DEFAULT, PORTS)
    settings.health_port = integer(environ, names.ENV_HEALTH_PORT, names.HEALTH_PORT_DEFAULT, PORTS)
    if settings.port == settings.health_port:
        raise wrong(names.ENV_HEALTH_PORT, str(settings.port), f"must differ from {names.ENV_PORT}")
    version = named[names.ENV_IMDS_VERSION]
    settings.imds_version = choice(environ, version, names.IMDS_VERSION_DEFAULT, names.IMDS_VERSIONS)
    settings.duration_seconds = integer(environ, names.ENV_DURATION_SECONDS, DURATION_DEFAULT_SECONDS, DURATION_SECONDS)
    settings.startup_seconds = integer(environ, names.ENV_STARTUP_SECONDS, STARTUP_DEFAULT_SECONDS, STARTUP_SECONDS)
    settings.serve_after_sigterm_seconds = integer(
        environ, names.ENV_SERVE_AFTER_SIGTERM_SECONDS, 0, SERVE_AFTER_SIGTERM_SECONDS
    )
    return settings


def notices(settings: ServeSettings) -> list[tuple[str, str]]:
    """Return what is allowed but seldom meant, each as an event for the log and a sentence."""
    found = []
    if settings.sts_url.lower().startswith("http:"):
        text = f"the token is sent to {settings.sts_url} unencrypted; anyone who reads it can use the role"
        found.append(("insecure-endpoint", text))
    if settings.duration_seconds < SHORT_DURATION_SECONDS:
        text = "some AWS SDKs ask at every call when less than 15 minutes remain: use 1800 seconds or more"
        found.append(("short-sessions", text))
    return found


def _variable_names(environ: "Mapping[str, str]") -> dict[str, str]:
    """Return what each variable of the SDKs is called here: as in an injected pod, or as the SDKs call it."""
    if names.ENV_OWN_ROLE_ARN in environ:
        return OWN_NAMES
    named = {name: name for name in OWN_NAMES}
    for name in (names.ENV_HTTPS_PROXY, names.ENV_NO_PROXY):  # curl and botocore read these in lower case too
        if not text(environ, name):
            named[name] = name.lower()
    return {**named, **{name: own for name, own in PODS_OF_0_1_0.items() if text(environ, own)}}


def redirect_settings(environ: "Mapping[str, str]") -> RedirectSettings:
    """Return the settings of `redirect`; raises SettingsError."""
    settings = RedirectSettings()
    settings.port = integer(environ, names.ENV_PORT, names.PORT_DEFAULT, PORTS)
    settings.health_port = integer(environ, names.ENV_HEALTH_PORT, names.HEALTH_PORT_DEFAULT, PORTS)
    settings.startup_seconds = integer(environ, names.ENV_STARTUP_SECONDS, STARTUP_DEFAULT_SECONDS, STARTUP_SECONDS)
    settings.path = text(environ, "PATH") or "/usr/sbin:/usr/bin:/sbin:/bin"
    # iptables(8) has its lock in /run, where a read-only root has nothing writable; /dev/shm is the pod's own.
    settings.lock_file = text(environ, "XTABLES_LOCKFILE") or "/dev/shm/xtables.lock"  # noqa: S108 - flock(2) only
    return settings


def text(environ: "Mapping[str, str]", name: str) -> str:
    """Return the variable without white space around it, "" if it is not set."""
    return environ.get(name, "").strip()


def required(environ: "Mapping[str, str]", name: str, remedy: str) -> str:
    """Return the variable, which must not be empty."""
    value = text(environ, name)
    if not value:
        raise SettingsError(f"{name} is not set: {remedy}")
    return value


def integer(environ: "Mapping[str, str]", name: str, default: int, bounds: tuple[int, int]) -> int:
    """Return the variable as a number within `bounds`, both included."""
    value = text(environ, name)
    if not value:
        return default
    if not _is_number(value, bounds):
        raise wrong(name, value, f"must be a whole number from {bounds[0]} to {bounds[1]}")
    return int(value)


def _is_number(value: str, bounds: tuple[int, int]) -> bool:
    low, high = bounds
    return value.isascii() and value.isdigit() and len(value) <= len(str(high)) and low <= int(value) <= high


def choice(environ: "Mapping[str, str]", name: str, default: str, choices: tuple[str, ...]) -> str:
    """Return the variable, which must be one of `choices`."""
    value = text(environ, name) or default
    if value not in choices:
        raise wrong(name, value, f"must be one of {', '.join(choices)}")
    return value


def boolean(environ: "Mapping[str, str]", name: str) -> bool:
    """Return the variable as the AWS SDKs read theirs: true or false in any case, false if not set."""
    value = text(environ, name)
    if value.lower() not in ("", "true", "false"):
        raise wrong(name, value, "must be true or false")
    return value.lower() == "true"


def wrong(name: str, value: str, problem: str) -> SettingsError:
    """Return the error for a variable that is set to something that can't be used."""
    return SettingsError(f"invalid {name}={value!r}: {problem}")


def _role(environ: "Mapping[str, str]", name: str) -> RoleArn:
    value = required(environ, name, f"set it to a role's ARN (in a pod: annotation {names.ANNOTATION_ROLE_ARN})")
    try:
        role = parse_role_arn(value)
        partition(role.partition)
    except ValueError as error:
        raise SettingsError(f"invalid {name}: {error}") from None
    return role


def _sts_url_of_aws(environ: "Mapping[str, str]", named: dict[str, str], role: RoleArn) -> str:
    """Return the URL of STS in the region: the pod's, the installation's, else the default of the ARN's partition."""
    name = named[names.ENV_REGION]
    home = partition(role.partition)
    region = text(environ, name) or home.default_region
    if not home.has_region(region):
        raise wrong(
            name, region, f"must be a region of the role's partition {home.name}, such as {home.default_region}"
        )
    fips = boolean(environ, named[names.ENV_USE_FIPS])
    if fips and not has_fips_sts(region):
        raise wrong(named[names.ENV_USE_FIPS], "true", f"must be false for {region}, where STS has no FIPS endpoint")
    return f"https://{home.sts_host(region, fips=fips, dualstack=boolean(environ, named[names.ENV_USE_DUALSTACK]))}"


def _root_certificates(environ: "Mapping[str, str]", endpoint_name: str, role: RoleArn) -> str:
    """Return whose roots to trust: AWS's alone where its own endpoint is asked and known to be signed by them."""
    own = partition(role.partition).has_aws_roots and not text(environ, endpoint_name)
    return choice(environ, names.ENV_ROOT_CERTIFICATES, "aws" if own else "system", names.ROOT_CERTIFICATES)


def session_policies(environ: "Mapping[str, str]", name: str) -> str:
    """Return the ARNs of session policies, separated by commas, possibly ""; raises SettingsError."""
    arns = [arn.strip() for arn in text(environ, name).split(",") if arn.strip()]
    for arn in arns:
        if not is_policy_arn(arn):
            raise wrong(
                name, arn, "must be the ARN of a managed policy, such as arn:aws:iam::aws:policy/ReadOnlyAccess"
            )
    if len(arns) > SESSION_POLICIES_LIMIT:
        raise SettingsError(f"invalid {name}: must be at most {SESSION_POLICIES_LIMIT} ARNs, not {len(arns)}")
    return ",".join(arns)


def endpoint(environ: "Mapping[str, str]", name: str, insecure_allowed_by: str) -> str:
    """Return a URL in place of STS' own, or ""; raises SettingsError.

    `insecure_allowed_by`: the variable without which the token goes over TLS only.
    """
    url = text(environ, name)
    scheme, _, rest = url.partition("://")
    authority = rest.partition("/")[0]
    if url and not (_is_authority(authority) and _is_plain(rest) and not set(rest) & set("?#")):
        raise wrong(name, url, "must be https://HOST[:PORT][/PATH]")
    schemes = ("https", "http") if boolean(environ, insecure_allowed_by) else ("https",)
    if url and scheme.lower() not in schemes:
        raise wrong(name, url, f"must be https://HOST[:PORT][/PATH], unless {insecure_allowed_by}=true")
    return url


def proxy(environ: "Mapping[str, str]", name: str) -> str:
    """Return the URL of a proxy, or ""; raises SettingsError."""
    value = text(environ, name)
    scheme, separator, rest = value.rpartition("://")
    authority = rest.rstrip("/").rpartition("@")[2]
    if value and (scheme.lower() not in ("", "http") or (separator and not scheme) or not _is_authority(authority)):
        # The value may hold a password: it is not repeated.
        raise SettingsError(
            f"invalid {name}: must be http://[USER:PASSWORD@]HOST[:PORT], a proxy that supports CONNECT"
        )
    return value


def _is_authority(authority: str) -> bool:
    """Tell whether this is HOST, HOST:PORT or either with an IPv6 address in brackets."""
    host, separator, port = authority.rpartition(":")
    if not separator or authority.endswith("]"):
        host, port = authority, "443"
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1].replace(":", "0")
    return bool(host) and _is_plain(host) and not set(host) & set(":/@[]\\") and _is_number(port, PORTS)


def _is_plain(part: str) -> bool:
    """Tell whether this is printable ASCII without a space, so that it ends no line and no word of a request."""
    return all("!" <= c <= "~" for c in part)


def _session_name(environ: "Mapping[str, str]", name: str) -> str:
    """Return the session's name: the one given, else NAMESPACE.POD, shortened with a digest if it is too long."""
    shortest, longest = SESSION_NAME_LENGTH
    given = text(environ, name)
    if given:
        if not (shortest <= len(given) <= longest and SESSION_NAME_CHARACTERS.issuperset(given)):
            raise wrong(name, given, f"must be {shortest} to {longest} characters of A-Z a-z 0-9 _+=,.@-")
        return given
    pod = [text(environ, names.ENV_POD_NAMESPACE), text(environ, names.ENV_POD_NAME)]
    whole = ".".join(part for part in pod if part) or SESSION_NAME_OF_NO_POD
    clean = "".join(c if c in SESSION_NAME_CHARACTERS else "-" for c in whole)
    if clean == whole and shortest <= len(whole) <= longest:
        return whole
    digest = _digest(whole)
    return f"{clean[: longest - len(digest) - 1]}-{digest}"


def _digest(whole: str) -> str:
    """Return 16 hexadecimal digits that differ where `whole` differs (RFC 7693)."""
    from _blake2 import blake2s  # noqa: PLC0415 - `hashlib` would load OpenSSL for good: 1 MB in each pod

    return blake2s(whole.encode(), digest_size=8).hexdigest()
