"""One line of the report: what was found, and what to do where something is wrong."""

import logging
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from failpath_otel.report import logger

Level = Literal["ok", "note", "warning", "problem"]
"""``problem``: steps do not arrive, or will be lost; ``warning``: worth a look; ``note``: an explanation."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check has found."""

    check: str
    """The name of the check."""

    level: Level
    text: str
    advice: str = ""
    """What to do about it."""

    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """The same for programs: JSON, in camel case."""


class _Collector(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage().removeprefix("Failpath: "))


@contextmanager
def collected_log() -> Generator[list[str], None, None]:
    """Collect what the package logs meanwhile, instead of having it on stderr beside the report."""
    collector = _Collector()
    propagates = logger.propagate
    logger.addHandler(collector)
    logger.propagate = False
    try:
        yield collector.lines
    finally:
        logger.propagate = propagates
        logger.removeHandler(collector)
