"""The model: rates, cores and memory as plain formulas."""

from __future__ import annotations

from emulator.sidecar.credentials import REFRESH_AT

KIB = 1024
UNITS = {"Ki": KIB, "Mi": KIB**2, "Gi": KIB**3}


def exchanges_per_second(pods: float, duration_seconds: float) -> float:
    """Return how often STS is called by pods that have been there for long: each at 40 to 50 % of a life."""
    return pods / (duration_seconds * sum(REFRESH_AT) / len(REFRESH_AT))


def token_requests_per_second(pods: float, expiration_seconds: float, share: float, most_seconds: float) -> float:
    """Return how often the kubelets ask the API server for a new token of these pods."""
    return pods / min(expiration_seconds * share, most_seconds)


def cores(reviews_per_second: float, cpu_us_per_review: float) -> float:
    """Return the CPU that all webhooks take together."""
    return reviews_per_second * cpu_us_per_review / 1e6


def quantity(text: str) -> float:
    """Return a quantity of memory in bytes (Kubernetes, Resource units), of those that the chart uses."""
    return float(text[:-2]) * UNITS[text[-2:]]


def webhook_reads_per_second(replicas: int, poll_seconds: float, version_seconds: float) -> float:
    """Return what the webhook asks the API server for: its Secret and configuration at each poll, the version."""
    return replicas * (2 / poll_seconds + 1 / version_seconds)
