"""The environment variables of each command that has no options, for its `--help` and for docs/reference.md."""

from __future__ import annotations

from emulator import log, names
from emulator.settings import (
    DURATION_DEFAULT_SECONDS,
    DURATION_SECONDS,
    OWN_NAMES,
    SERVE_AFTER_SIGTERM_SECONDS,
    SESSION_POLICIES_LIMIT,
    STARTUP_DEFAULT_SECONDS,
    STARTUP_SECONDS,
)

_HEALTH_PORT = f"probes and metrics; default {names.HEALTH_PORT_DEFAULT}"
_STARTUP = f"{STARTUP_SECONDS[0]} to {STARTUP_SECONDS[1]}; default {STARTUP_DEFAULT_SECONDS}"

SERVE = {
    names.ENV_ROLE_ARN: "required; the role to assume",
    names.ENV_TOKEN_FILE: "required; the projected token, read again at each exchange",
    names.ENV_SESSION_NAME: f"default: from `{names.ENV_POD_NAMESPACE}` and `{names.ENV_POD_NAME}`",
    names.ENV_SESSION_POLICIES: f"ARNs of session policies, separated by commas, {SESSION_POLICIES_LIMIT} at most",
    names.ENV_REGION: "region of the STS endpoint; default: the partition's",
    names.ENV_STS_ENDPOINT: "URL that replaces the regional endpoint",
    names.ENV_ALLOW_INSECURE_ENDPOINT: f"`true`: `{names.ENV_STS_ENDPOINT}` may be http://, for local development",
    names.ENV_USE_FIPS: "`true`: use the FIPS endpoint",
    names.ENV_USE_DUALSTACK: "`true`: use the dual-stack endpoint",
    names.ENV_CA_BUNDLE: "PEM file of certificates to trust in addition to the public ones",
    names.ENV_ROOT_CERTIFICATES: "`aws` or `system`: public certificates to trust; default: `aws` for AWS's endpoint",
    names.ENV_HTTPS_PROXY: "proxy for calls to STS",
    names.ENV_NO_PROXY: "hosts to reach without the proxy",
    names.ENV_POD_NAMESPACE: "the pod's namespace, for the session name and the log",
    names.ENV_POD_NAME: "the pod's name, for the same",
    names.ENV_PORT: f"credential port, on loopback; default {names.PORT_DEFAULT}",
    names.ENV_HEALTH_PORT: _HEALTH_PORT,
    names.ENV_IMDS_VERSION: f"{', '.join(names.IMDS_VERSIONS)}; default {names.IMDS_VERSION_DEFAULT}",
    names.ENV_DURATION_SECONDS: f"{DURATION_SECONDS[0]} to {DURATION_SECONDS[1]}; default {DURATION_DEFAULT_SECONDS}",
    names.ENV_STARTUP_SECONDS: _STARTUP,
    names.ENV_SERVE_AFTER_SIGTERM_SECONDS: f"0 to {SERVE_AFTER_SIGTERM_SECONDS[1]}, default 0: serve on after SIGTERM",
}
REDIRECT = {
    names.ENV_PORT: f"the emulator's port, the target of the redirect; default {names.PORT_DEFAULT}",
    names.ENV_HEALTH_PORT: f"the emulator's health port, which --wait polls; default {names.HEALTH_PORT_DEFAULT}",
    names.ENV_STARTUP_SECONDS: f"the longest that --wait waits; {_STARTUP}",
    "PATH": "directories of nft and iptables",
    "XTABLES_LOCKFILE": "lock file of iptables; default /dev/shm/xtables.lock",
}
HOLD = {
    names.ENV_HEALTH_PORT: f"the emulator's health port; default {names.HEALTH_PORT_DEFAULT}",
    names.ENV_STARTUP_SECONDS: f"the longest to wait; {_STARTUP}",
    names.ENV_END_WITH_APP_SECONDS: "stop the emulator this long after the app's last process; default 0: never",
}
WEBHOOK = {
    names.ENV_WEBHOOK_CONFIGURATION: "required; name of the MutatingWebhookConfiguration",
    names.ENV_POD_NAMESPACE: "namespace of the Secret; required with certificate mode self",
    names.ENV_CERTIFICATE_SECRET: "name of the Secret for the certificate; required with certificate mode self",
    names.ENV_CERTIFICATE_MODE: f"{', '.join(names.CERTIFICATE_MODES)}; default {names.CERTIFICATE_MODES[0]}",
    names.ENV_CERTIFICATE_DIRECTORY: f"directory of the certificate; default {names.CERTIFICATE_DIRECTORY}",
    names.ENV_CERTIFICATE_POLL_SECONDS: "interval between two reads of the certificate",
    names.ENV_CERTIFICATE_VALIDITY_SECONDS: "lifetime of the certificate that mode self creates",
    names.ENV_PARAMETERS: f"directory with the parameters of the injection; default {names.PARAMETERS_DIRECTORY}",
    names.ENV_WEBHOOK_PORT: f"HTTPS port; default {names.WEBHOOK_PORT_DEFAULT}",
    names.ENV_HEALTH_PORT: _HEALTH_PORT,
    names.ENV_DRAIN_SECONDS: "keep serving this long after SIGTERM",
    names.ENV_LOG_LEVEL: f"{', '.join(log.LEVELS)}; default info",
    names.ENV_SERVICE_ACCOUNT: f"directory of the service account; default {names.SERVICE_ACCOUNT_DIRECTORY}",
    names.ENV_API_HOST: "the API server; set by the kubelet",
    names.ENV_API_PORT: "its port; set by the kubelet",
}
TABLES = {"serve": SERVE, "redirect": REDIRECT, "hold": HOLD, "webhook": WEBHOOK}
OPTIONS = {"redirect": {"--wait": "after the redirect, wait until the emulator has started"}}


def help_text(command: str, purpose: str) -> str:
    """Return what `imds-emulator COMMAND --help` prints for a command that is configured by the environment."""
    options = OPTIONS.get(command, {})
    usage = f"usage: imds-emulator {command}{''.join(f' [{option}]' for option in options)} [-h]"
    lines = [usage, "", f"{purpose[:1].upper()}{purpose[1:]}."]
    if options:
        lines += ["", "options:", *_rows(options)]
    lines += ["", "Configured by environment variables:", *_rows(TABLES[command])]
    if command == "serve":
        own = {name: f"instead of {name_of_sdks}" for name_of_sdks, name in OWN_NAMES.items() if name != name_of_sdks}
        lines += ["", f"In an injected pod, where {names.ENV_OWN_ROLE_ARN} is set:", *_rows(own)]
    return "\n".join(lines)


def _rows(table: dict[str, str]) -> list[str]:
    width = max(map(len, table))
    return [f"  {name:<{width}}  {meaning.replace('`', '')}" for name, meaning in table.items()]
