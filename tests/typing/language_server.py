"""A client of pyright's language server, as an editor is one: it asks for completions."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

SECONDS: Final = 100


class LanguageServer:
    """A running server, for the files of one folder."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        self._process = process
        self._last_id = 0
        self._ask("initialize", processId=None, rootUri=folder.as_uri(), capabilities={})
        self._send({"method": "initialized", "params": {}})

    def complete(self, file: Path, text: str, place: int) -> set[str]:
        """Return the labels of what can stand at an index of the text that an editor has for a file."""
        document = {"uri": file.as_uri(), "languageId": "python", "version": 1, "text": text}
        self._send({"method": "textDocument/didOpen", "params": {"textDocument": document}})
        line, character = text.count("\n", 0, place), place - text.rfind("\n", 0, place) - 1
        found = self._ask(
            "textDocument/completion",
            textDocument={"uri": document["uri"]},
            position={"line": line, "character": character},
        )
        self._send({"method": "textDocument/didClose", "params": {"textDocument": {"uri": document["uri"]}}})
        return {item["label"] for item in (found["items"] if isinstance(found, dict) else found or [])}

    def _ask(self, method: str, **params: Any) -> Any:
        self._last_id += 1
        self._send({"id": self._last_id, "method": method, "params": params})
        while True:
            message = self._receive()
            if "method" not in message and message["id"] == self._last_id:
                return message["result"]
            if "method" in message and "id" in message:  # a question to the editor, which has no settings of its own
                asked = message["params"].get("items", []) if message["method"] == "workspace/configuration" else None
                self._send({"id": message["id"], "result": asked and [None for _ in asked]})

    def _send(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self._process.stdin is not None
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        self._process.stdin.flush()

    def _receive(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        size = 0
        while line := self._process.stdout.readline().strip():
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                size = int(value)
        assert size, "the language server has ended"
        message: dict[str, Any] = json.loads(self._process.stdout.read(size))
        return message


@contextmanager
def language_server(folder: Path) -> Generator[LanguageServer, None, None]:
    """Start pyright's language server for a folder, and end it."""
    command = [sys.executable, "-m", "pyright.langserver", "--stdio"]
    # As in an activated environment: the server asks the first Python in there where packages are.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    # A session of its own, because the server is a child of this process.
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=folder,
        env=os.environ | {"PATH": path},
        start_new_session=True,
    ) as process:
        timer = threading.Timer(SECONDS, os.killpg, (process.pid, signal.SIGKILL))
        timer.start()
        try:
            yield LanguageServer(process, folder)
        finally:
            timer.cancel()
            os.killpg(process.pid, signal.SIGKILL)
