"""How this package speaks of its own faults: by the ``failpath_otel`` logger, and never more than once a place."""

import contextlib
import logging
from typing import Final

logger: Final = logging.getLogger("failpath_otel")

_said: Final[set[str]] = set()


def report_fault(place: str) -> None:
    """Logs the exception being handled, the first time that ``place`` meets one.

    For faults in this package, in a host's sampler or span processor, or in an object of the user's: none of them may
    reach the application, and none may flood its log.
    """
    if place in _said:
        return
    _said.add(place)
    try:
        logger.exception(  # noqa: LOG004 - the caller handles one
            "Failpath: %s failed; the application goes on. Further failures there are not logged.", place
        )
    except (Exception, SystemExit):  # noqa: BLE001 - a handler of the host, or no stack is left; perhaps there is another time
        _said.discard(place)


def is_heard() -> bool:
    """Whether the application has configured logging. Where it has not, Python prints every warning on stderr."""
    return logger.hasHandlers()


def say(text: str, *arguments: object) -> None:
    """Logs a warning; a logging handler of the host that raises costs the warning and nothing else."""
    with contextlib.suppress(Exception, SystemExit):
        logger.warning(text, *arguments)
