"""The names of home directories, which a file does not pass on."""

import re
from typing import Any, Final

_HOMES: Final = re.compile(r"(?:/home/|/Users/|\b[A-Za-z]:\\+Users\\+)[^/\\\s\"':]+")
"""A user's own directory, whose name is mostly that of a person."""


def without_homes(value: Any) -> Any:  # noqa: ANN401 - any value of JSON
    """Return a value of JSON with a tilde in place of home directories."""
    if isinstance(value, str):
        return _HOMES.sub("~", value)
    if isinstance(value, dict):
        return {name: without_homes(inner) for name, inner in value.items()}
    return [without_homes(inner) for inner in value] if isinstance(value, list) else value
