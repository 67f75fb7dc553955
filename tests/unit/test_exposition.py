"""The text of /metrics."""

from __future__ import annotations

import re

from emulator.sidecar.exposition import TABLE, metrics_text
from emulator.sidecar.metrics import Metrics

EMPTY = """\
# HELP imds_emulator_requests_total Responses on the credential port, by HTTP status.
# TYPE imds_emulator_requests_total counter
# HELP imds_emulator_exchanges_total Exchanges with STS, by result (success, failure) and error code: of STS, or the emulator's if not reached.
# TYPE imds_emulator_exchanges_total counter
# HELP imds_emulator_exchange_duration_seconds Duration of exchanges with STS.
# TYPE imds_emulator_exchange_duration_seconds histogram
imds_emulator_exchange_duration_seconds_bucket{le="0.1"} 0
imds_emulator_exchange_duration_seconds_bucket{le="0.25"} 0
imds_emulator_exchange_duration_seconds_bucket{le="0.5"} 0
imds_emulator_exchange_duration_seconds_bucket{le="1"} 0
imds_emulator_exchange_duration_seconds_bucket{le="2.5"} 0
imds_emulator_exchange_duration_seconds_bucket{le="5"} 0
imds_emulator_exchange_duration_seconds_bucket{le="+Inf"} 0
imds_emulator_exchange_duration_seconds_sum 0
imds_emulator_exchange_duration_seconds_count 0
# HELP imds_emulator_credentials_remaining_seconds Time until the served credentials expire; 0 without credentials.
# TYPE imds_emulator_credentials_remaining_seconds gauge
imds_emulator_credentials_remaining_seconds 0
# HELP imds_emulator_last_success_age_seconds Time since the last successful exchange; absent before the first.
# TYPE imds_emulator_last_success_age_seconds gauge
# HELP imds_emulator_build_info Always 1; the labels name version and IMDS mode.
# TYPE imds_emulator_build_info gauge
imds_emulator_build_info{version="9.9",imds_version="v1"} 1
"""  # noqa: E501 - a line of the format is one line


def test_nothing_happened() -> None:
    """At the start every metric is there with its help and type."""
    assert EMPTY == metrics_text(Metrics("9.9", "v1"), 0, None)


def test_counted() -> None:
    """Requests are counted by status, exchanges by result, code and time; the ages are of now."""
    metrics = Metrics("9.9", "v1")
    for status in (200, 404, 200):
        metrics.count_request(status)
    for code, seconds in (("", 0.1), ("AccessDenied", 0.3), ("Timeout", 7.0), ("", 0.05)):
        metrics.count_exchange(code, seconds)

    text = metrics_text(metrics, 1800.25, 12.5)

    expected = [
        'imds_emulator_requests_total{code="200"} 2',
        'imds_emulator_requests_total{code="404"} 1',
        'imds_emulator_exchanges_total{result="success",sts_code=""} 2',
        'imds_emulator_exchanges_total{result="failure",sts_code="AccessDenied"} 1',
        'imds_emulator_exchanges_total{result="failure",sts_code="Timeout"} 1',
        'imds_emulator_exchange_duration_seconds_bucket{le="0.1"} 2',
        'imds_emulator_exchange_duration_seconds_bucket{le="0.25"} 2',
        'imds_emulator_exchange_duration_seconds_bucket{le="0.5"} 3',
        'imds_emulator_exchange_duration_seconds_bucket{le="1"} 3',
        'imds_emulator_exchange_duration_seconds_bucket{le="2.5"} 3',
        'imds_emulator_exchange_duration_seconds_bucket{le="5"} 3',
        'imds_emulator_exchange_duration_seconds_bucket{le="+Inf"} 4',
        "imds_emulator_exchange_duration_seconds_sum 7.45",
        "imds_emulator_exchange_duration_seconds_count 4",
        "imds_emulator_credentials_remaining_seconds 1800.25",
        "imds_emulator_last_success_age_seconds 12.5",
        'imds_emulator_build_info{version="9.9",imds_version="v1"} 1',
    ]
    assert expected == [line for line in text.splitlines() if not line.startswith("#")]


def test_names() -> None:
    """Names, units and suffixes follow Prometheus' conventions, and the labels are those of the table."""
    metrics = Metrics("9.9", "v1")
    metrics.count_request(200)
    metrics.count_exchange("", 1.0)
    text = metrics_text(metrics, 1, 1)

    for name, (kind, labels, _) in TABLE.items():
        assert re.fullmatch(r"imds_emulator_[a-z_]+(_total|_seconds|_info)", name)
        assert (kind == "counter") == name.endswith("_total")
        found = {tuple(re.findall(r"(\w+)=", line)) for line in text.splitlines() if re.match(name + r"[{ ]", line)}
        assert found <= {labels}
