"""The pairs of a run: names and values of its metadata, as the filter by metadata finds them."""

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Final

from failpath_otel.local.runs.view import StepView

SEPARATOR: Final = "\x1f"
"""Around each pair in a row; in a pair it is a blank."""

MAX_PAIRS: Final = 64
"""Pairs of a run, the first ones."""

MAX_VALUES: Final = 16
"""Values of one name, so that one that every step has another of leaves room for the others."""

MAX_PAIR_CHARS: Final = 256
"""Longest pair; a longer one cannot be filtered by."""

MAX_CHARS: Final = 4096
"""All pairs of a run together."""


_SMALLEST_PLAIN: Final = 1e-6
_SMALLEST_LARGE: Final = 1e21


def pairs_of(steps: Iterable[StepView]) -> list[str]:
    """Return the different ``name=value`` of plain values in the metadata of steps, in their order, bounded.

    Texts stand as they are; numbers, booleans and ``null`` as in JSON. What is nested is no pair.
    """
    found: dict[str, None] = {}
    known: set[tuple[str, Any, type]] = set()
    values: dict[str, int] = {}
    room = MAX_CHARS
    for step in steps:
        for name, value in step.metadata.items():
            if isinstance(value, (dict, list)) or (name, value, type(value)) in known:
                continue
            known.add((name, value, type(value)))
            pair = f"{name}={_text(value)}"
            if len(pair) > MAX_PAIR_CHARS or pair in found or values.get(name, 0) == MAX_VALUES:
                continue
            room -= len(pair) + 1
            if room <= 0 or len(found) == MAX_PAIRS:
                return list(found)
            found[pair] = None
            values[name] = values.get(name, 0) + 1
    return list(found)


def joined(pairs: Iterable[str]) -> str:
    """Return the pairs as one text, in which :func:`needle` of each of them is found, and of no other."""
    text = SEPARATOR.join(pair.replace(SEPARATOR, " ") for pair in pairs)
    return f"{SEPARATOR}{text}{SEPARATOR}" if text else ""


def pairs_in(text: str) -> list[str]:
    """Return the pairs of which :func:`joined` made a text."""
    return text[1:-1].split(SEPARATOR) if text else []


def needle(pair: str) -> str:
    """Return what stands in a text of pairs if one of them is this one."""
    text = pair.replace(SEPARATOR, " ").encode(errors="replace").decode()
    return f"{SEPARATOR}{text}{SEPARATOR}"


def _text(value: str | float | bool | None) -> str:  # noqa: FBT001 - one of the values of JSON
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value) if isinstance(value, int) else _number(value)


def _number(value: float) -> str:
    """Return a number as JavaScript writes it, which is how the page names it."""
    if not _SMALLEST_PLAIN <= abs(value) < _SMALLEST_LARGE:
        return "0" if value == 0 else re.sub("e([+-])0", r"e\1", repr(value)).replace(".0e", "e")
    return format(Decimal(repr(value)).normalize(), "f")
