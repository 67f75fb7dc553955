"""Reads a cluster as the user of the kubeconfig.

The package `kubernetes` brings authentication in all its forms; its typed models are not used.
"""

from __future__ import annotations

import json
from typing import Any

from emulator.probe.api import Unreadable

# Not all is plain JSON: keys are application/jwk-set+json, a log is text.
ACCEPT = "application/json, */*"


class KubeconfigCluster:
    """The cluster of a kubeconfig context (None: the current one), and the context's namespace.

    Raises Unreadable if there is none.
    """

    def __init__(self, context: str | None, kubeconfig: str | None = None) -> None:
        try:
            from kubernetes import client, config, dynamic  # noqa: PLC0415 - absent from the images
        except ImportError as error:
            raise Unreadable(
                0, "the package `kubernetes` is not installed: in a checkout, run pip install '.[cli]'"
            ) from error
        try:
            config.load_kube_config(config_file=kubeconfig, context=context)  # type: ignore[no-untyped-call]
            contexts, current = config.list_kube_config_contexts(config_file=kubeconfig)  # type: ignore[no-untyped-call]
            chosen = next((each for each in contexts if each["name"] == context), current)
            self.namespace: str = chosen["context"].get("namespace") or "default"
            self._client = dynamic.DynamicClient(client.ApiClient())  # type: ignore[no-untyped-call]
        except Exception as error:  # the package raises many kinds: no file, bad YAML, no answer
            raise Unreadable(0, _first_line(error)) from error

    def get(self, path: str, **query: str) -> Any:  # noqa: ANN401
        """Return the decoded answer to a GET of `path`; raises Unreadable."""
        return self._request("get", path, None, query)

    def create(self, path: str, body: dict[str, Any], **query: str) -> Any:  # noqa: ANN401
        """Return the decoded answer to a POST of `body`; raises Unreadable."""
        return self._request("post", path, body, query)

    def _request(self, method: str, path: str, body: dict[str, Any] | None, query: dict[str, str]) -> Any:  # noqa: ANN401
        try:
            answer = self._client.request(
                method,
                path,
                body=body,
                query_params=list(query.items()),
                header_params={"Accept": ACCEPT},
                serialize=False,
            )
        except Exception as error:
            status = getattr(error, "status", None) or 0
            raise Unreadable(status, _status_message(error)) from error
        text = answer.data.decode()
        try:
            return json.loads(text)
        except ValueError:
            return text


def _status_message(error: Exception) -> str:
    """Return the message of the Status object that the API server sent, or the error's first line."""
    try:
        return str(json.loads(getattr(error, "body", "") or "")["message"])
    except (ValueError, KeyError, TypeError):
        return _first_line(error)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
