"""Halves of surrogate pairs in JSON, which ``JSON.stringify`` writes for a text that was cut."""

import re
from typing import Final

_HALF: Final = re.compile(
    rb"""\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})"""
    rb"""|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2}"""
)
"""Half a surrogate pair, in a text without escaped backslashes."""

_REPLACEMENT: Final = rb"\\ufffd"
"""As a template, in which a backslash is escaped."""

_NO_JSON: Final = b"\0\0"


def whole_surrogates(body: bytes) -> bytes:
    """Return the body with U+FFFD for each half of a surrogate pair, without a call for each escape."""
    if _NO_JSON in body:
        return body
    return _HALF.sub(_REPLACEMENT, body.replace(rb"\\", _NO_JSON)).replace(_NO_JSON, rb"\\")
