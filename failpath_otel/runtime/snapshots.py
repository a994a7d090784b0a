"""Copies of collections that other threads change meanwhile (decision 0037)."""

from collections.abc import Iterable
from typing import TypeVar

from failpath_otel.handler_exceptions import is_from_handler

_T = TypeVar("_T")


def snapshot(collection: Iterable[_T]) -> tuple[_T, ...]:
    """Return what is in a deque or a set at the moment.

    Without a GIL, ``tuple()`` raises if another thread changes the collection meanwhile. Dictionaries have ``copy()``,
    which does not.
    """
    while True:
        try:
            return tuple(collection)
        except RuntimeError as error:
            if isinstance(error, RecursionError) or is_from_handler(error):
                raise
