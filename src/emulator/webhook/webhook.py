"""The command `webhook`: answers the API server's admission reviews over HTTPS until it is told to stop.

Goes in: settings from the environment, the parameters of the injection, a service account.
Comes out: an HTTPS server for reviews, a plain one for kubelet and Prometheus; exit status 2 for a wrong setting.
"""

from __future__ import annotations

import asyncio
import random
import signal
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emulator import __version__, cores, log, names
from emulator.injection.parameters import parameter_warnings, read_parameters
from emulator.settings import SettingsError, environment
from emulator.webhook.http1 import Request, Response, text
from emulator.webhook.kubeapi import ApiError, KubeApi
from emulator.webhook.listener import Listener
from emulator.webhook.metrics import MEDIA_TYPE, WebhookMetrics
from emulator.webhook.namespaces import Namespaces
from emulator.webhook.reviews import Reviews, has_native_sidecars
from emulator.webhook.rotation import MountedCertificate, OwnCertificate, Rotation
from emulator.webhook.settings import WebhookSettings, webhook_settings

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

    from emulator.webhook.rotation import Served

# Renewal at two thirds of life, a little apart in each replica: mostly one of them does it, the others read it.
RENEWAL_SHARE = (0.62, 0.70)
IN_FLIGHT_SECONDS = 5  # as long as the API server waits for a review (timeoutSeconds)
VERSION_SECONDS = 60
NAMED_TROUBLES = (ApiError, OSError, ValueError, SettingsError)
TERMINATION_LOG = Path("/dev/termination-log")


def main(arguments: list[str]) -> int:
    """Run the webhook until SIGTERM and return its exit status."""
    if arguments:
        return _fail(f"webhook takes no argument, but {arguments[0]!r} was given; it is set up by its environment")
    cores.forbid(0)
    try:
        settings = webhook_settings(environment())
        parameters = read_parameters(settings.parameters)
        _warn(parameters)
        webhook = Webhook(settings, parameters)
    except SettingsError as error:
        return _fail(str(error))
    log.show_from(settings.log_level)
    try:
        asyncio.run(webhook.run())
    except OSError as error:
        return _fail(str(error))
    return 0


class Webhook:
    """The running webhook: what it was told, what it knows of the cluster, and its two listeners."""

    def __init__(self, settings: WebhookSettings, parameters: Mapping[str, str]) -> None:
        api = KubeApi(settings.api_host, settings.api_port, settings.service_account)
        share = random.uniform(*RENEWAL_SHARE)  # noqa: S311 - jitter, no secret
        own = settings.certificate_mode == "self"
        source = OwnCertificate(api, settings, share) if own else MountedCertificate(settings)
        self._settings = settings
        self._api = api
        self._rotation = Rotation(api, settings, source, lambda: datetime.now(UTC))
        self._metrics = WebhookMetrics()
        self._reviews = Reviews(parameters, Namespaces(api), self._metrics)
        self._listener = Listener(self._reviews.handle)
        self._version_known_until = 0.0
        self._trouble: str | None = None
        self._noted: Served | None = None

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT; then be unready, go on for a while, end what is under way, and return."""
        told_to_stop, loop = asyncio.Event(), asyncio.get_running_loop()
        loop.set_exception_handler(_log_failure)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, told_to_stop.set)
        health = Listener(self.health)
        await health.open(self._settings.health_port)
        log.write("info", "started", {"version": __version__, "certificate_mode": self._settings.certificate_mode})
        keeping = asyncio.create_task(self._keep_up())
        waiting = asyncio.create_task(told_to_stop.wait())
        await asyncio.wait([keeping, waiting], return_when=asyncio.FIRST_COMPLETED)
        if keeping.done():
            keeping.result()
        # The pod is taken out of the Service while its connections and new ones to it are still answered.
        self._listener.is_draining = True
        log.write("info", "draining", {"seconds": str(self._settings.drain_seconds)})
        await asyncio.sleep(self._settings.drain_seconds if self._listener.is_open else 0)
        await self._listener.close(IN_FLIGHT_SECONDS)
        keeping.cancel()
        await health.close(0)
        log.write("info", "stopped", {})

    async def _keep_up(self) -> None:
        """Follow the cluster, the parameters and the certificate; open the HTTPS listener with the first one."""
        while True:
            try:
                await asyncio.to_thread(self._poll)
                self._note_trouble(None)
            except Exception as error:  # noqa: BLE001 - whatever fails now is tried again, what is served goes on
                self._note_trouble(str(error) if isinstance(error, NAMED_TROUBLES) else repr(error))
            self._note_certificate()
            if self._rotation.served and not self._listener.is_open:
                await self._listener.open(self._settings.port, self._context)
            await asyncio.sleep(self._settings.poll_seconds)

    def _poll(self) -> None:
        """Read everything once; runs in a thread, as it waits for the API server."""
        if time.monotonic() >= self._version_known_until:
            self._reviews.has_native_sidecars = has_native_sidecars(self._api.get("/version"))
            self._version_known_until = time.monotonic() + VERSION_SECONDS
        self._rotation.poll()
        parameters = read_parameters(self._settings.parameters)
        if parameters != self._reviews.parameters:
            self._reviews.parameters = parameters
            log.write("info", "parameters-changed", {})
            _warn(parameters)

    def _context(self) -> ssl.SSLContext:
        """Return the context for the next handshake: that of the certificate in service."""
        if self._rotation.served is None:
            raise RuntimeError("the listener is open before there is a certificate")
        return self._rotation.served.context

    def _note_trouble(self, trouble: str | None) -> None:
        if trouble != self._trouble:
            log.write("error" if trouble else "info", "cluster-read", {"message": trouble or "all is well"})
        self._trouble = trouble

    def _note_certificate(self) -> None:
        served = self._rotation.served
        if served and served is not self._noted:  # two that are made within a second end at the same time
            self._noted = served
            self._metrics.expires_at = served.expires_at
            self._metrics.reloads += 1
            fields = {"expires_at": served.expires_at.isoformat(), "problem": self._rotation.problem or ""}
            log.write("info", "certificate-served", fields)

    @property
    def unready_reason(self) -> str | None:
        """Why no review should be sent here, None if one may be."""
        if self._listener.is_draining:
            return "shutting down"
        served = self._rotation.served
        if served and served.expires_at <= datetime.now(UTC):
            return "the certificate has expired"
        if not self._listener.is_open:
            return self._trouble or self._rotation.problem or "not listening yet"
        return self._rotation.problem

    def health(self, request: Request) -> Response:
        """Answer the kubelet and Prometheus."""
        if request.method not in ("GET", "HEAD"):
            return text(HTTPStatus.METHOD_NOT_ALLOWED, "only GET")
        reason = self.unready_reason
        if request.path == names.READY_PATH:
            return text(HTTPStatus.SERVICE_UNAVAILABLE, reason) if reason else text(HTTPStatus.OK, "ok")
        if request.path == names.LIVE_PATH:
            return text(HTTPStatus.OK, "ok")
        if request.path == names.METRICS_PATH:
            return Response(HTTPStatus.OK, self._metrics.text(is_ready=reason is None).encode(), MEDIA_TYPE)
        return text(HTTPStatus.NOT_FOUND, "no such path")


def _warn(parameters: Mapping[str, str]) -> None:
    for line in parameter_warnings(parameters):
        log.write("warning", "parameter", {"message": line})


def _log_failure(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log in one line what asyncio would show as a traceback."""
    log.write("error", "failure", {"message": context["message"], "error": repr(context.get("exception", ""))[:200]})


def _fail(message: str) -> int:
    """Say why there is no webhook, where `kubectl describe pod` shows it too."""
    line = f"imds-emulator: {message}\n"
    sys.stderr.write(line)
    with suppress(OSError), TERMINATION_LOG.open("r+") as file:
        file.write(line)
    return 2
