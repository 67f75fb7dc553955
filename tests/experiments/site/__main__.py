"""`python -m tests.experiments.site`: each page of the site in a headless browser, on a phone's width and a desktop's.

Nothing may be wider than its column: no page, paragraph, picture, table or line of an example. 1 if anything is.
"""

from __future__ import annotations

import functools
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlencode

from emulator.build import apt

ROOT = Path(__file__).parents[3]
MEASURE = Path(__file__).with_name("measure.html")
WIDTHS = (390, 1440)
BROWSER = {"chromium": "chromium"}
DEADLINE_SECONDS = 300


class Site(ThreadingHTTPServer):
    """The site's files on a port of this machine. `found`: what the page that measures them has posted."""

    def __init__(self, site: Path) -> None:
        super().__init__(("127.0.0.1", 0), functools.partial(Handler, directory=str(site)))
        self.found: queue.Queue[dict[str, list[str]]] = queue.Queue()

    def handle_error(self, *_: object) -> None:
        """Say nothing: a frame that is closed drops what it was still loading."""


class Handler(SimpleHTTPRequestHandler):
    """Serves files, and takes the result."""

    server: Site

    def do_POST(self) -> None:
        """Keep what was found."""
        self.server.found.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(HTTPStatus.NO_CONTENT)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def main() -> int:
    """Build the site and measure it."""
    apt.ensure(BROWSER)
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder))
        found = measure(Path(folder))
    for page, wide in found.items():
        print(f"{page}:", *wide, sep="\n  ")
    print(f"site: {sum(map(len, found.values()))} wider than the column" if found else "site: all fits")
    return int(bool(found))


def build(site: Path) -> None:
    """Build the site into a folder, with the page that measures the others."""
    mkdocs = Path(sys.executable).with_name("mkdocs")
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    subprocess.run([mkdocs, "build", "-s", "-q", "--site-dir", site], cwd=ROOT, env=environment, check=True)
    (site / MEASURE.name).write_text(MEASURE.read_text())


def measure(site: Path) -> dict[str, list[str]]:
    """Return what is too wide, by page and width; queue.Empty if the browser does not get through in time."""
    pages = sorted(str(path.parent.relative_to(site)) + "/" for path in site.rglob("index.html"))
    query = urlencode({"pages": ",".join(pages), "widths": ",".join(map(str, WIDTHS))})
    with Site(site) as server, tempfile.TemporaryDirectory() as profile:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/{MEASURE.name}?{query}"
        options = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            f"--user-data-dir={profile}",
            "--window-size=1600,1000",
        ]
        browser = subprocess.Popen(
            [apt.program("chromium") or "chromium", *options, url], stderr=subprocess.DEVNULL, start_new_session=True
        )
        try:
            return server.found.get(timeout=DEADLINE_SECONDS)
        finally:
            os.killpg(browser.pid, signal.SIGKILL)
            browser.wait()
            server.shutdown()


if __name__ == "__main__":
    sys.exit(main())
