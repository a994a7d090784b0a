"""As much of Prefect's API, without its server, as its engine asks for during flow runs."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import NAMESPACE_DNS, uuid4, uuid5

import prefect


def _new(given: dict[str, Any], **more: Any) -> dict[str, Any]:
    now = datetime.now(timezone.utc).isoformat()
    return {"id": str(uuid4()), "created": now, "updated": now, "labels": {}, **given, **more}


def _new_state(given: dict[str, Any]) -> dict[str, Any]:
    return {**given, "id": str(uuid4()), "timestamp": datetime.now(timezone.utc).isoformat()}


class PrefectApi:
    """Flows and flow runs, and the answers to requests about them."""

    def __init__(self) -> None:
        self.runs: dict[str, dict[str, Any]] = {}

    def answer(self, method: str, path: str, given: Any) -> tuple[int, Any]:
        found = re.fullmatch(r"/api/flow_runs/([^/]+)(/labels|/set_state)?", path)
        if found is not None:
            return self._answer_about(self.runs[found[1]], found[2], method, given)
        if path == "/api/admin/version":
            return 200, prefect.__version__
        if path == "/api/flows/":
            return 201, _new(given, id=str(uuid5(NAMESPACE_DNS, given["name"])))
        if path == "/api/flow_runs/":
            # As the server does: a name of its own, and the flow in the labels.
            more = {"name": given.get("name") or "brave-otter", "labels": {"prefect.flow.id": given["flow_id"]}}
            run = _new(given, **more, state=_new_state(given["state"]))
            self.runs[run["id"]] = run
            return 201, run
        return 404, {"detail": "Not Found"}

    def _answer_about(self, run: dict[str, Any], what: str | None, method: str, given: Any) -> tuple[int, Any]:
        if what == "/set_state":
            run["state"] = _new_state(given["state"])
            return 201, {"status": "ACCEPT", "details": {"type": "accept_details"}, "state": run["state"]}
        if method != "PATCH":
            return 200, run
        (run["labels"] if what else run).update(given)
        return 204, None


@contextmanager
def prefect_api() -> Iterator[str]:
    """Serves the API, and yields its URL."""
    api = PrefectApi()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            code, answer = api.answer(self.command, self.path, json.loads(body) if body else None)
            data = b"" if answer is None else json.dumps(answer).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = _handle  # noqa: N815 - names of the base class

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/api"
        server.shutdown()
