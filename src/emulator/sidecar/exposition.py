"""The metrics in Prometheus' text format.

`TABLE` is the one list of the metrics; the documentation is made from it.
"""

# Source: Prometheus, "Metric and label naming" and "Exposition formats", text format 0.0.4.
# Imported when somebody asks for it: 10 KB in each pod that nobody scrapes.

from emulator.sidecar.metrics import DURATION_BUCKETS_SECONDS, Metrics

TYPE_CHECKING = False
if TYPE_CHECKING:
    Sample = tuple[str, dict[str, str], float]  # suffix of the name, labels, value

MEDIA_TYPE = "text/plain; version=0.0.4"

# name -> (type, labels, help)
TABLE = {
    "imds_emulator_requests_total": ("counter", ("code",), "Responses on the credential port, by HTTP status."),
    "imds_emulator_exchanges_total": (
        "counter",
        ("result", "sts_code"),
        "Exchanges with STS, by result (success, failure) and error code: of STS, or the emulator's if not reached.",
    ),
    "imds_emulator_exchange_duration_seconds": ("histogram", (), "Duration of exchanges with STS."),
    "imds_emulator_credentials_remaining_seconds": (
        "gauge",
        (),
        "Time until the served credentials expire; 0 without credentials.",
    ),
    "imds_emulator_last_success_age_seconds": (
        "gauge",
        (),
        "Time since the last successful exchange; absent before the first.",
    ),
    "imds_emulator_build_info": (
        "gauge",
        ("version", "imds_version"),
        "Always 1; the labels name version and IMDS mode.",
    ),
}


def metrics_text(metrics: Metrics, remaining_seconds: float, last_success_age_seconds: float | None) -> str:
    """Return all metrics in Prometheus' text format."""
    age: list[Sample] = [] if last_success_age_seconds is None else [("", {}, last_success_age_seconds)]
    samples: dict[str, list[Sample]] = {
        "imds_emulator_requests_total": [
            ("", {"code": str(status)}, count) for status, count in sorted(metrics.requests.items())
        ],
        "imds_emulator_exchanges_total": [
            ("", {"result": "failure" if code else "success", "sts_code": code}, count)
            for code, count in sorted(metrics.exchanges.items())
        ],
        "imds_emulator_exchange_duration_seconds": _histogram(metrics),
        "imds_emulator_credentials_remaining_seconds": [("", {}, max(remaining_seconds, 0))],
        "imds_emulator_last_success_age_seconds": age,
        "imds_emulator_build_info": [("", metrics.build, 1)],
    }
    lines = []
    for name, (kind, _, purpose) in TABLE.items():
        lines += [f"# HELP {name} {purpose}", f"# TYPE {name} {kind}"]
        lines += [f"{name}{suffix}{_labels(labels)} {value:.12g}" for suffix, labels, value in samples[name]]
    return "\n".join(lines) + "\n"


def _histogram(metrics: Metrics) -> "list[Sample]":
    bounds = [f"{bound:g}" for bound in DURATION_BUCKETS_SECONDS] + ["+Inf"]
    rows: list[Sample] = []
    total = 0
    for bound, count in zip(bounds, metrics.durations, strict=True):
        total += count
        rows.append(("_bucket", {"le": bound}, total))
    return [*rows, ("_sum", {}, metrics.duration_seconds_sum), ("_count", {}, total)]


def _labels(labels: dict[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{value}"' for name, value in labels.items()) + "}"
