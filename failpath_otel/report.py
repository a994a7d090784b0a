"""Log faults of this package by the ``failpath_otel`` logger, at most once for each place."""

import logging
import sys
import traceback
from typing import Final

from failpath_otel.handler_exceptions import reraise_if_from_handler
from failpath_otel.scrubbing.text import redact_text, redacted_tail

logger: Final = logging.getLogger("failpath_otel")
_witness: Final = logging.getLogger("failpath_otel.report")
"""Logs nothing: if it is disabled, all loggers were disabled at once, and not the one that applications know."""

_logged: Final[set[str]] = set()


def exception_once(place: str, *, with_text: bool = True) -> None:
    """Log the exception being handled, the first time for each *place*.

    For faults in this package, in a host's sampler or span processor, and in objects of the application: none of them
    may reach the application or flood its log. The traceback is part of the message, redacted, because the exception,
    or the one during whose handling it was raised, may contain secrets.

    Args:
        place: what failed.
        with_text: log the exception's text, and not only where it was raised.

    Raises:
        BaseException: the exception being handled, if a signal handler raised it: it is the application's.
    """
    reraise_if_from_handler(sys.exc_info()[1])  # without a name, which would make a reference cycle
    if place in _logged:
        return
    _logged.add(place)
    try:
        _enable_again()
        # Not by `exc_info`, which handlers show unredacted, some with the variables of every frame.
        logger.error(
            "Failpath: %s failed; the application goes on. Further failures there are not logged.\n%s",
            place,
            _traceback(with_text=with_text),
        )
    except (Exception, SystemExit) as failure:  # noqa: BLE001 - a faulty handler, or no stack left: try the next time
        _logged.discard(place)
        reraise_if_from_handler(failure)


def logging_is_configured() -> bool:
    """Return whether the application has configured logging. If not, Python prints every warning on stderr."""
    return logger.hasHandlers()


def _enable_again() -> None:
    """Enable our logger again after ``logging.config``, which by default disables all loggers that exist.

    A logger that the application has silenced by level or handlers, or disabled by itself, stays silent.
    """
    if logger.disabled and _witness.disabled:
        logger.disabled = _witness.disabled = False


def _traceback(*, with_text: bool) -> str:
    kind, error, trace = sys.exc_info()
    if with_text:
        text = "".join(traceback.format_exception(kind, error, trace))
    else:
        text = f"{''.join(traceback.format_tb(trace))}{'' if kind is None else kind.__name__}"
    return redacted_tail(text).rstrip()


def warn(text: str, *arguments: object) -> None:
    """Log a warning; a logging handler of the host that raises costs the warning and nothing else.

    Arguments that are texts are redacted, because they may quote a server.
    """
    _log(logging.WARNING, text, arguments)


def _log(level: int, text: str, arguments: tuple[object, ...]) -> None:
    try:
        _enable_again()
        shown = [redact_text(argument) if isinstance(argument, str) else argument for argument in arguments]
        logger.log(level, text, *shown)
    except (Exception, SystemExit) as failure:  # noqa: BLE001 - a logging handler of the host may raise anything
        reraise_if_from_handler(failure)


def warn_once(place: str, text: str, *arguments: object) -> None:
    """Log a warning, the first time for each *place*."""
    if place not in _logged:
        _logged.add(place)
        warn(text, *arguments)


def info_once(text: str, *arguments: object) -> None:
    """Log at level ``INFO``, once for each text with these arguments."""
    place = f"{text} {arguments}"
    if place not in _logged:
        _logged.add(place)
        _log(logging.INFO, text, arguments)
