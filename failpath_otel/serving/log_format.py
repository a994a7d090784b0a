"""The log of a server as text, as Python writes it by itself, or as a JSON object a line."""

import json
import logging
import sys
import threading
from datetime import datetime, timezone
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from sys import UnraisableHookArgs
    from threading import ExceptHookArgs

_log: Final = logging.getLogger("failpath_otel")


class JsonFormatter(logging.Formatter):
    """Formats a log record as JSON: time (RFC 3339), level, logger, message, and the exception if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line of ASCII, whatever the record contains."""
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001 - arguments that do not fit the message: it is shown as it is
            message = _text_of(record.msg)
        entry = _entry(record.levelname, record.name, message, record.created)
        if record.exc_info and record.exc_info[0] is not None:
            entry["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            entry["stack"] = self.formatStack(record.stack_info)
        return json.dumps(entry)


def use_json() -> None:
    """Have all that is logged in this process be JSON on stderr, with Python's warnings and unhandled exceptions.

    The level is that of the text, which Python writes by itself where nothing is configured: warnings and above.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.captureWarnings(capture=True)
    sys.excepthook = _unhandled
    threading.excepthook = _unhandled_in_thread
    sys.unraisablehook = _unraisable


def is_json() -> bool:
    """Return whether the log is JSON."""
    return any(isinstance(handler.formatter, JsonFormatter) for handler in logging.getLogger().handlers)


def announce(text: str) -> None:
    """Write a line on stdout, unbuffered, because programs read the first one: in the form of the log."""
    line = json.dumps(_entry("INFO", _log.name, text)) if is_json() else text
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def complain(text: str) -> None:
    """Write a line about a failure on stderr: in the form of the log."""
    if is_json():
        _log.error("%s", text)
    else:
        sys.stderr.write(f"failpath-otel: {text}\n")


def _text_of(message: object) -> str:
    try:
        return str(message)
    except Exception:  # noqa: BLE001 - the line is not lost for it
        return f"<{type(message).__name__} without a text>"


def _entry(level: str, logger: str, message: str, seconds: float | None = None) -> dict[str, Any]:
    now = datetime.now(timezone.utc) if seconds is None else datetime.fromtimestamp(seconds, timezone.utc)
    time = now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"time": time, "level": level, "logger": logger, "message": message}


def _unhandled(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    _log.critical("unhandled exception", exc_info=(kind, error, trace))


def _unhandled_in_thread(arguments: "ExceptHookArgs") -> None:
    name = "" if arguments.thread is None else arguments.thread.name
    if arguments.exc_value is not None and not isinstance(arguments.exc_value, SystemExit):
        given = (arguments.exc_type, arguments.exc_value, arguments.exc_traceback)
        _log.error("unhandled exception in thread %s", name, exc_info=given)


def _unraisable(arguments: "UnraisableHookArgs") -> None:
    # Not with the object: a hook must not keep it alive, and its text may raise.
    message = arguments.err_msg or "exception ignored"
    error = arguments.exc_value
    if error is not None:
        _log.error("%s", message, exc_info=(arguments.exc_type, error, arguments.exc_traceback))
