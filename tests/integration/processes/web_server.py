"""gunicorn, started for a test, and requests to it."""

import re
import sys
import threading
import urllib.request
from contextlib import suppress
from dataclasses import dataclass

from tests.integration.processes.site import Program, Site


@dataclass(frozen=True)
class WebServer:
    """A server that runs."""

    program: Program
    url: str

    def get(self, path: str) -> None:
        """Makes a request, which has to be answered well."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(self.url + path, timeout=30) as response:
            assert response.status == 200

    def try_to_get(self, path: str) -> None:
        """Makes a request, which may remain without an answer."""
        with suppress(OSError):
            self.get(path)

    def in_background(self, path: str, count: int = 1) -> list[threading.Thread]:
        """Makes requests at the same time, on threads that end with the answers."""
        threads = [threading.Thread(target=self.try_to_get, args=(path,), daemon=True) for _ in range(count)]
        for thread in threads:
            thread.start()
        return threads

    def use_all(self, workers: int, occasion: str) -> None:
        """Has each of its workers take a request, and waits for the answers."""
        for thread in self.in_background(f"/meet?{workers}-{occasion}", workers):
            thread.join(30)
            assert not thread.is_alive(), self.program.output()


def start_gunicorn(site: Site, workers: int, *, preload: bool, kind: str = "sync") -> WebServer:
    """Starts gunicorn with workers of this kind, and waits until it listens."""
    program = site.start(
        *(sys.executable, "-m", "gunicorn", "--bind", "127.0.0.1:0", "--workers", str(workers)),
        *("--config", "python:tests.integration.processes.apps.hooks", "--no-control-socket"),
        *("--worker-class", kind),
        *(["--preload"] if preload else []),
        "tests.integration.processes.apps.web:application",
    )
    found = site.wait_for(lambda: re.search(r"Listening at: (http://127\.0\.0\.1:\d+)", program.output()), "gunicorn")
    assert found is not None
    return WebServer(program, found[1])
