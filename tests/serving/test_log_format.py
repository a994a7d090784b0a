"""The log of a server as JSON: one object a line, whatever it is that writes."""

import json
import logging
import os
import signal
import socket
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from failpath_otel.serving.log_format import JsonFormatter
from tests.fault_server import FaultServer
from tests.gateway.gateways import start_gateway
from tests.gateway.requests import PROTOBUF
from tests.receiver import COMMAND, start_receiver

PROGRAM = """
import gc, logging, sys, threading, warnings
from failpath_otel.serving.log_format import announce, complain, use_json

class Broken:
    def __del__(self):
        raise ValueError("deleted")

use_json()
announce("ready\\u2713")
logging.getLogger("uvicorn.error").error("in %s\\nlines", "two")
logging.getLogger("asyncio").info("not of this level")
warnings.warn("a warning", RuntimeWarning)
complain("no port")
thread = threading.Thread(target=lambda: 1 / 0, name="worker")
thread.start()
thread.join()
Broken()
gc.collect()
raise RuntimeError("at the end \\ud800")
"""


def formatted(message: object, *arguments: object, exc_info: Any = None) -> dict[str, Any]:
    record = logging.LogRecord("shop", logging.WARNING, "shop.py", 1, message, arguments, exc_info)
    line = JsonFormatter().format(record)
    assert line.isascii()
    assert "\n" not in line
    entry: dict[str, Any] = json.loads(line)
    seconds = datetime.fromisoformat(entry["time"].replace("Z", "+00:00")).timestamp()
    assert abs(seconds - record.created) < 0.002
    return entry


class Unprintable:
    def __str__(self) -> str:
        raise ValueError("no text")


def test_a_message_whose_text_raises_is_a_line_still() -> None:
    assert formatted(Unprintable())["message"] == "<Unprintable without a text>"


@pytest.mark.parametrize(
    ("message", "arguments", "shown"),
    [
        ("plain", (), "plain"),
        ("%d of\n%s", (1, '"2"\x1b'), '1 of\n"2"\x1b'),
        ("100% \ud800 ✓", (), "100% \ud800 ✓"),
        ("%d", ("no number",), "%d"),
        (ValueError("an object"), (), "an object"),
    ],
    ids=["plain", "lines and quotes", "no UTF-8", "arguments that do not fit", "an object"],
)
def test_a_line_is_one_object_whatever_is_in_it(message: object, arguments: tuple[object, ...], shown: str) -> None:
    entry = formatted(message, *arguments)
    assert entry.keys() == {"time", "level", "logger", "message"}
    assert (entry["level"], entry["logger"], entry["message"]) == ("WARNING", "shop", shown)


def test_an_exception_is_a_field_of_its_line() -> None:
    try:
        _ = 1 / 0
    except ZeroDivisionError:
        entry = formatted("failed", exc_info=sys.exc_info())
    assert entry["message"] == "failed"
    assert entry["exception"].startswith("Traceback (most recent call last):\n")
    assert entry["exception"].endswith("ZeroDivisionError: division by zero")


@pytest.mark.process
def test_warnings_and_exceptions_that_nothing_handles_are_lines_too() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    [ready] = [json.loads(line) for line in done.stdout.splitlines()]
    assert (ready["level"], ready["message"]) == ("INFO", "ready✓")
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [(line["level"], line["logger"]) for line in lines] == [
        ("ERROR", "uvicorn.error"),
        ("WARNING", "py.warnings"),
        ("ERROR", "failpath_otel"),
        ("ERROR", "failpath_otel"),
        ("ERROR", "failpath_otel"),
        ("CRITICAL", "failpath_otel"),
    ]
    assert lines[0]["message"] == "in two\nlines"
    assert "a warning" in lines[1]["message"]
    assert lines[2]["message"] == "no port"
    assert lines[3]["message"] == "unhandled exception in thread worker"
    assert [line["exception"].splitlines()[-1].partition(":")[0] for line in lines[3:]] == [
        "ZeroDivisionError",
        "ValueError",
        "RuntimeError",
    ]


@pytest.mark.process
def test_a_gateway_writes_nothing_but_json(server: FaultServer, tmp_path: Path) -> None:
    with start_gateway(server.url, tmp_path / "journal", "--log-format", "json") as gateway:
        assert gateway.request("/v1/metrics", b"", Content_Type=PROTOBUF).status == 404
        with socket.create_connection(("127.0.0.1", int(gateway.url.rpartition(":")[2])), 20) as connection:
            connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            assert connection.recv(100).startswith(b"HTTP/1.1 400 ")
        gateway.process.send_signal(signal.SIGTERM)
        assert gateway.process.wait(20) == 0
        lines = [json.loads(line) for line in gateway.stderr().splitlines()]
    assert [(line["level"], line["logger"]) for line in lines] == [("WARNING", "failpath_otel")] * 2
    assert "OTEL_METRICS_EXPORTER=none" in lines[0]["message"]
    assert "gRPC" in lines[1]["message"]
    assert all(line["time"].endswith("Z") for line in lines)


@pytest.mark.process
def test_a_receiver_that_cannot_start_says_so_as_json_too(tmp_path: Path) -> None:
    with start_receiver(tmp_path / "db", "--log-format", "json", "--accept-other-signals") as receiver:
        for path in ("/v1/logs", "/v1/metrics"):
            headers = {"Content-Type": PROTOBUF}
            assert receiver.request(path, method="POST", body=b"", headers=headers).status == 200
        ready = json.loads(receiver.ready)
        assert ready["message"].startswith(f"Failpath local receiver at {receiver.url} ")
        command = [*COMMAND, "local", "--port", str(receiver.port), "--db", str(tmp_path / "b"), "--log-format", "json"]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, "NO_COLOR": "1"}
        )
    assert (done.returncode, done.stdout) == (1, "")
    [line] = [json.loads(each) for each in done.stderr.splitlines()]
    assert (line["level"], "Address already in use" in line["message"]) == ("ERROR", True)
