"""What the emulator counts."""

DURATION_BUCKETS_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


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
