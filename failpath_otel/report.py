"""How this package speaks of its own faults: by the ``failpath_otel`` logger, and never more than once a place."""

import logging
import sys
import traceback
from typing import Final

from failpath_otel.runtime.signals import reraise_if_from_handler
from failpath_otel.scrubbing.text import redact_text, redacted_tail

logger: Final = logging.getLogger("failpath_otel")
_witness: Final = logging.getLogger("failpath_otel.report")
"""Logs nothing: that it is disabled shows that all loggers were, and not the one that applications know."""

_logged: Final[set[str]] = set()


def exception_once(place: str, *, with_text: bool = True) -> None:
    """Logs the exception being handled, the first time that ``place`` meets one.

    For faults in this package, in a host's sampler or span processor, or in an object of the user's: none of them may
    reach the application, and none may flood its log. The traceback is a part of the message, where secrets are taken
    out of it, because the exception itself, or the one of the application during which it was raised, may show them.

    Args:
        place: what failed.
        with_text: log what the exception says, and not only where it was raised.

    Raises:
        BaseException: the exception being handled, where a signal handler has raised it: that is no fault, it came in
            our midst by chance, and the application waits for it.
    """
    reraise_if_from_handler(sys.exc_info()[1])  # and no name for it: this frame and it would keep each other alive
    if place in _logged:
        return
    _logged.add(place)
    try:
        _enable_again()
        # Not by its `exc_info`, which handlers show as it is, some of them with the variables of every frame.
        logger.error(
            "Failpath: %s failed; the application goes on. Further failures there are not logged.\n%s",
            place,
            _traceback(with_text=with_text),
        )
    except (Exception, SystemExit) as failure:  # noqa: BLE001 - a handler of the host, or no stack is left; perhaps there is another time
        _logged.discard(place)
        reraise_if_from_handler(failure)


def logging_is_configured() -> bool:
    """Whether the application has configured logging. Where it has not, Python prints every warning on stderr."""
    return logger.hasHandlers()


def _enable_again() -> None:
    """Undoes what ``logging.config`` does by default to the loggers that there are: it disables them unasked.

    An application that silences our logger by its level or its handlers stays obeyed; so does one that sets
    ``disabled`` of this logger alone.
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
    """Logs a warning; a logging handler of the host that raises costs the warning and nothing else.

    Secrets are taken out of ``arguments`` that are texts, which may quote a server.
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
    """:func:`warn`, the first time that ``place`` has something to say."""
    if place not in _logged:
        _logged.add(place)
        warn(text, *arguments)


def info_once(text: str, *arguments: object) -> None:
    """Logs at level ``INFO`` what is no fault, the first time that it is said with these arguments."""
    place = f"{text} {arguments}"
    if place not in _logged:
        _logged.add(place)
        _log(logging.INFO, text, arguments)
