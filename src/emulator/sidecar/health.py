"""Probes for the kubelet and metrics for Prometheus, on a separate port that never serves credentials."""

from emulator.names import LIVE_PATH, METRICS_PATH, READY_PATH, STARTUP_PATH
from emulator.sidecar.credentials import REFUSED, Lifecycle
from emulator.sidecar.metrics import Metrics
from emulator.sidecar.wire import Request, Response

OK = Response(200, "ok")
NOT_FOUND = Response(404, "not found")
READ_ONLY = Response(405, headers="Allow: GET, HEAD\r\n")


def respond(request: Request, lifecycle: Lifecycle, metrics: Metrics, startup_until: float, now: float) -> Response:
    """Return the response to `request`.

    The app may start with credentials; without, at `startup_until`, or as soon as STS refuses for good.
    """
    path = "/" + "/".join(request.segments)
    if path not in (STARTUP_PATH, READY_PATH, LIVE_PATH, METRICS_PATH):
        return NOT_FOUND
    if request.method not in ("GET", "HEAD"):
        return READ_ONLY
    valid = lifecycle.valid(now)
    if path == METRICS_PATH:
        from emulator.sidecar.exposition import MEDIA_TYPE, metrics_text  # noqa: PLC0415 - see there

        remaining_seconds = valid.expires_at - now if valid else 0
        age_seconds = None if lifecycle.succeeded_at is None else now - lifecycle.succeeded_at
        return Response(200, metrics_text(metrics, remaining_seconds, age_seconds), media_type=MEDIA_TYPE)
    may_start = now >= startup_until or lifecycle.http_status() == REFUSED
    if path == LIVE_PATH or valid or (path == STARTUP_PATH and may_start):
        return OK
    failure = lifecycle.failure
    return Response(503, f"no credentials: {failure.code}: {failure.message}" if failure else "no credentials yet")
