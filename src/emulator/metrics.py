"""What Prometheus may ask of the emulator: counters, and their text.

Goes in: the status of each answer, the outcome of each exchange. Comes out: the text of `/metrics`.
`TABLE` is the one list of the metrics; the documentation is made from it.
"""

# Source: Prometheus, "Metric and label naming" and "Exposition formats", text format 0.0.4.

MEDIA_TYPE = "text/plain; version=0.0.4"
DURATION_BUCKETS_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

# name -> (type, labels, help)
TABLE = {
    "imds_emulator_requests_total": ("counter", ("code",), "Answers on the credential port, by HTTP status."),
    "imds_emulator_exchanges_total": (
        "counter",
        ("result", "sts_code"),
        "Exchanges with STS, by result (success or failure) and the error code of STS, or ours if it was not reached.",
    ),
    "imds_emulator_exchange_duration_seconds": ("histogram", (), "Time that exchanges with STS took."),
    "imds_emulator_credentials_remaining_seconds": (
        "gauge",
        (),
        "Time until the credentials that are served expire, 0 while there are none.",
    ),
    "imds_emulator_last_success_age_seconds": (
        "gauge",
        (),
        "Time since the last exchange that brought credentials; absent before the first.",
    ),
    "imds_emulator_build_info": ("gauge", ("version", "imds_version"), "Always 1; the labels say what runs."),
}


class Metrics:
    """The counters of one process."""

    __slots__ = ("build", "duration_seconds_sum", "durations", "exchanges", "requests")

    def __init__(self, version: str, imds_version: str) -> None:
        self.build = {"version": version, "imds_version": imds_version}
        self.requests: dict[int, int] = {}
        self.exchanges: dict[str, int] = {}  # error code ("" for success) -> how many
        self.durations = [0] * (len(DURATION_BUCKETS_SECONDS) + 1)
        self.duration_seconds_sum = 0.0

    def count_request(self, status: int) -> None:
        """Count an answer."""
        self.requests[status] = self.requests.get(status, 0) + 1

    def count_exchange(self, code: str, seconds: float) -> None:
        """Count an exchange: the error's code, "" for success, and the time it took."""
        self.exchanges[code] = self.exchanges.get(code, 0) + 1
        self.duration_seconds_sum += seconds
        at = 0
        while at < len(DURATION_BUCKETS_SECONDS) and seconds > DURATION_BUCKETS_SECONDS[at]:
            at += 1
        self.durations[at] += 1

    def text(self, remaining_seconds: float, last_success_age_seconds: float | None) -> str:
        """Return all metrics in Prometheus' text format."""
        age: list[tuple[str, dict[str, str], float]] = (
            [] if last_success_age_seconds is None else [("", {}, last_success_age_seconds)]
        )
        samples: dict[str, list[tuple[str, dict[str, str], float]]] = {
            "imds_emulator_requests_total": [
                ("", {"code": str(status)}, count) for status, count in sorted(self.requests.items())
            ],
            "imds_emulator_exchanges_total": [
                ("", {"result": "failure" if code else "success", "sts_code": code}, count)
                for code, count in sorted(self.exchanges.items())
            ],
            "imds_emulator_exchange_duration_seconds": self._histogram(),
            "imds_emulator_credentials_remaining_seconds": [("", {}, max(remaining_seconds, 0))],
            "imds_emulator_last_success_age_seconds": age,
            "imds_emulator_build_info": [("", self.build, 1)],
        }
        lines = []
        for name, (kind, _, purpose) in TABLE.items():
            lines += [f"# HELP {name} {purpose}", f"# TYPE {name} {kind}"]
            lines += [f"{name}{suffix}{_labels(labels)} {value:.12g}" for suffix, labels, value in samples[name]]
        return "\n".join(lines) + "\n"

    def _histogram(self) -> list[tuple[str, dict[str, str], float]]:
        bounds = [f"{bound:g}" for bound in DURATION_BUCKETS_SECONDS] + ["+Inf"]
        rows: list[tuple[str, dict[str, str], float]] = []
        total = 0
        for bound, count in zip(bounds, self.durations, strict=True):
            total += count
            rows.append(("_bucket", {"le": bound}, total))
        return [*rows, ("_sum", {}, self.duration_seconds_sum), ("_count", {}, total)]


def _labels(labels: dict[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{value}"' for name, value in labels.items()) + "}"
