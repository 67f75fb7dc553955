"""How much time a number of renewals stands for, with the chart's defaults.

In: counts. Out: days.
"""

from pathlib import Path
from statistics import mean

import yaml

from emulator.sidecar.credentials import REFRESH_AT
from emulator.webhook.settings import VALIDITY_DEFAULT_SECONDS
from emulator.webhook.webhook import RENEWAL_SHARE

_CHART = Path(__file__).parents[3] / "charts" / "imds-emulator"
_DEFAULTS = yaml.safe_load((_CHART / "values.yaml").read_text())
_DAY_SECONDS = 86400
_KUBELET_SHARE = 0.8

REFRESH_SECONDS = _DEFAULTS["sts"]["durationSeconds"] * mean(REFRESH_AT)
"""Between two exchanges of a sidecar with STS, on average."""

TOKEN_SECONDS = _DEFAULTS["token"]["expirationSeconds"] * _KUBELET_SHARE
"""Between two tokens: the kubelet asks for the next one after 80 percent of a token's life.

Source: Kubernetes docs, "Configure Service Accounts for Pods", "Launch a Pod using service account token projection".
"""

CERTIFICATE_SECONDS = VALIDITY_DEFAULT_SECONDS * mean(RENEWAL_SHARE)
"""Between two certificates of the webhook."""


def days(renewals: int, seconds_between: float) -> float:
    """Return the time in which so many renewals happen."""
    return renewals * seconds_between / _DAY_SECONDS
