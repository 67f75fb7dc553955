"""What the webhook counts, in the text format of Prometheus.

Goes in: each review's result and time, the certificate in service.
Comes out: the body of `/metrics`. Source: Prometheus documentation, "Exposition formats".
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
RESULTS = ("injected", "unchanged", "refused", "error")
BUCKETS_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0)


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
        lines = [*_head("imds_emulator_webhook_reviews_total", "counter", "Admission reviews by result.")]
        lines += [f'imds_emulator_webhook_reviews_total{{result="{key}"}} {n}' for key, n in self.reviews.items()]
        lines += _head("imds_emulator_webhook_review_seconds", "histogram", "Time from request to response.")
        total = 0
        for bound, count in zip([*BUCKETS_SECONDS, "+Inf"], self.buckets, strict=True):
            total += count
            lines.append(f'imds_emulator_webhook_review_seconds_bucket{{le="{bound}"}} {total}')
        lines.append(f"imds_emulator_webhook_review_seconds_sum {self.seconds:.6f}")
        lines.append(f"imds_emulator_webhook_review_seconds_count {total}")
        lines += _head("imds_emulator_webhook_ready", "gauge", "1 if the API server trusts what is served.")
        lines.append(f"imds_emulator_webhook_ready {int(is_ready)}")
        lines += _head("imds_emulator_webhook_certificate_reloads_total", "counter", "Certificates put in service.")
        lines.append(f"imds_emulator_webhook_certificate_reloads_total {self.reloads}")
        if self.expires_at:
            name = "imds_emulator_webhook_certificate_expiry_timestamp_seconds"
            lines += _head(name, "gauge", "End of the certificate in service.")
            lines.append(f"{name} {self.expires_at.timestamp():.0f}")
        return "\n".join(lines) + "\n"


def _head(name: str, kind: str, purpose: str) -> tuple[str, str]:
    return f"# HELP {name} {purpose}", f"# TYPE {name} {kind}"
