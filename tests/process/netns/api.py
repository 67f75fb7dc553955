"""An API server that knows one Service and its one endpoint, which is enough for kube-proxy.

It serves HTTP on 127.0.0.1 and prints `ready`.
"""

from __future__ import annotations

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

VERSION = {"resourceVersion": "1"}
Object = dict[str, Any]


def objects(service: str, service_port: int, endpoint: str, endpoint_port: int) -> dict[str, list[Object]]:
    """Return what there is, by the last word of the path."""
    metadata = {"name": "host", "namespace": "default", "uid": "1", **VERSION}
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node", "uid": "2", **VERSION}}
    node["status"] = {"addresses": [{"type": "InternalIP", "address": endpoint}]}
    port = {"name": "p", "protocol": "TCP", "port": service_port, "targetPort": endpoint_port}
    spec = {"type": "ClusterIP", "clusterIP": service, "clusterIPs": [service], "ports": [port]}
    spec |= {"ipFamilies": ["IPv4"], "sessionAffinity": "None", "internalTrafficPolicy": "Cluster"}
    part = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {**metadata, "labels": {"kubernetes.io/service-name": "host"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [endpoint], "conditions": {"ready": True, "serving": True}}],
        "ports": [{"name": "p", "protocol": "TCP", "port": endpoint_port}],
    }
    return {
        "nodes": [node],
        "services": [{"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}],
        "endpointslices": [part],
    }


class Api(BaseHTTPRequestHandler):
    """Lists, and watches in which everything is there from the start and nothing happens."""

    known: dict[str, list[Object]]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer a list, a watch or the question for one node."""
        path, _, query = self.path.partition("?")
        words = path.strip("/").split("/")
        items = self.known.get(words[-1], [])
        if "watch=true" in query or "watch=1" in query:
            self.watch(items)
        elif words[-2:-1] == ["nodes"]:
            self.reply(self.known["nodes"][0])
        else:
            self.reply({"apiVersion": "v1", "kind": "List", "metadata": VERSION, "items": items})

    def do_POST(self) -> None:
        """Take an event, and forget it."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.reply({"apiVersion": "v1", "kind": "Status", "status": "Success"}, 201)

    def reply(self, body: Object, status: int = 200) -> None:
        """Send an object."""
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def watch(self, items: list[Object]) -> None:
        """Send what there is and the mark of its end, then nothing more (API concepts, "Streaming lists")."""
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Connection", "close")
        self.end_headers()
        annotations = {"k8s.io/initial-events-end": "true"}
        kind = (
            {key: items[0][key] for key in ("apiVersion", "kind")} if items else {"apiVersion": "v1", "kind": "Service"}
        )
        mark = {**kind, "metadata": {**VERSION, "annotations": annotations}}
        events = [*(("ADDED", item) for item in items), ("BOOKMARK", mark)]
        for name, item in events:
            self.wfile.write(json.dumps({"type": name, "object": item}).encode() + b"\n")
        self.wfile.flush()
        threading.Event().wait()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def main() -> None:
    """Run the command line."""
    port, service, service_port, endpoint, endpoint_port = sys.argv[1:]
    Api.known = objects(service, int(service_port), endpoint, int(endpoint_port))
    server = ThreadingHTTPServer(("127.0.0.1", int(port)), Api)
    print("ready", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
