"""What the webhook counts, in the text format of Prometheus.

Goes in: each review's result and time, the certificate in service.
Comes out: the body of `/metrics`. `TABLE` is the one list of the metrics; the documentation is made from it.
"""

# Source: Prometheus, "Metric and label naming" and "Exposition formats", text format 0.0.4.

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING

from emulator import __version__

if TYPE_CHECKING:
    from datetime import datetime

MEDIA_TYPE = "text/plain; version=0.0.4"
RESULTS = ("injected", "unchanged", "refused", "error")
BUCKETS_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0)

# name -> (type, labels, help)
TABLE = {
    "imds_emulator_webhook_reviews_total": (
        "counter",
        ("result",),
        "Reviews of pods by result: injected, unchanged, refused, or error for what was no review or failed.",
    ),
    "imds_emulator_webhook_review_seconds": ("histogram", (), "Time from a review's last byte to its answer."),
    "imds_emulator_webhook_ready": ("gauge", (), "1 if the webhook serves a certificate that the API server trusts."),
    "imds_emulator_webhook_certificate_reloads_total": ("counter", (), "Certificates put in service."),
    "imds_emulator_webhook_certificate_expiry_timestamp_seconds": (
        "gauge",
        (),
        "When the certificate in service expires; absent before the first.",
    ),
    "imds_emulator_webhook_build_info": ("gauge", ("version",), "Always 1; the label says what runs."),
}


@dataclass
class WebhookMetrics:
    """Counters since the start."""

    reviews: dict[str, int] = field(default_factory=lambda: dict.fromkeys(RESULTS, 0))
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS_SECONDS) + 1))
    seconds: float = 0.0
    reloads: int = 0
    expires_at: datetime | None = None

    def count(self, result: str, seconds: float) -> None:
        """Count one review."""
        self.reviews[result] += 1
        self.buckets[bisect_left(BUCKETS_SECONDS, seconds)] += 1
        self.seconds += seconds

    def text(self, *, is_ready: bool) -> str:
        """Return all of them."""
        samples: dict[str, list[tuple[str, float]]] = {
            "imds_emulator_webhook_reviews_total": [(f'{{result="{key}"}}', n) for key, n in self.reviews.items()],
            "imds_emulator_webhook_review_seconds": self._histogram(),
            "imds_emulator_webhook_ready": [("", is_ready)],
            "imds_emulator_webhook_certificate_reloads_total": [("", self.reloads)],
            "imds_emulator_webhook_certificate_expiry_timestamp_seconds": (
                [("", self.expires_at.timestamp())] if self.expires_at else []
            ),
            "imds_emulator_webhook_build_info": [(f'{{version="{__version__}"}}', 1)],
        }
        lines = []
        for name, (kind, _, purpose) in TABLE.items():
            lines += [f"# HELP {name} {purpose}", f"# TYPE {name} {kind}"]
            lines += [f"{name}{suffix} {value:.12g}" for suffix, value in samples[name]]
        return "\n".join(lines) + "\n"

    def _histogram(self) -> list[tuple[str, float]]:
        bounds = [f"{bound:g}" for bound in BUCKETS_SECONDS] + ["+Inf"]
        totals = list(accumulate(self.buckets))
        rows: list[tuple[str, float]] = [
            (f'_bucket{{le="{bound}"}}', total) for bound, total in zip(bounds, totals, strict=True)
        ]
        return [*rows, ("_sum", self.seconds), ("_count", totals[-1])]
