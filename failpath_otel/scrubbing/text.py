"""Redact secrets in free text: messages, stack traces, URLs. Nothing in here raises; all of it is linear.

What looks like a secret is redacted even if it is none: a text that says too little does less harm. Passes over
``key=value`` are in :mod:`failpath_otel.scrubbing.pairs`.
"""

import re
from base64 import b64decode
from collections.abc import Callable
from typing import Final

from failpath_otel.scrubbing import text_shapes
from failpath_otel.scrubbing.card_numbers import redact_card_numbers
from failpath_otel.scrubbing.keys import REDACTED, is_number, is_secret_key, is_secret_text_key
from failpath_otel.scrubbing.pairs import redact_pairs, replace_found
from failpath_otel.scrubbing.statements import redact_statements
from failpath_otel.scrubbing.text_shapes import find_candidates
from failpath_otel.scrubbing.token_formats import redact_tokens

MAX_SCANNED_CHARS: Final = 32_768
"""How much of a text is searched. The rest would be truncated anyway."""

_MAX_WORD_CHARS: Final = 4_096
"""Longest word that is left out as a whole where a text is truncated before the search."""

_SLASHES: Final = re.compile(r"(?:\\?/){2}")
# Up to the next `//`, so that many in a row take linear time.
_URL_REST: Final = re.compile(r"(?:(?!\\?/\\?/)[^\s\"'<>`])*")
_AUTHORITY: Final = re.compile(r"[^/?#\\]*")
_PORTS: Final = re.compile(r"(?:\d{0,5}|[{<$%(\[]*(?i:port)[})\]>]*|%[ds])(?:,[\w.-]+(?::\d{1,5})?)*[^\w@]*")
# Schemes whose paths often contain an `@`.
_WEB: Final = ("http:", "https:", "ws:", "wss:")
_MAX_LOOK_AHEAD: Final = 256

_SCHEME: Final = re.compile(
    r"\b(?P<scheme>bearer|basic|token)(?:\s|%20|\+|\\[nt]){1,4}(?:b?[\"'])?(?P<value>[^\s\"'`<>,;]+)", re.IGNORECASE
)
# Words that follow in prose: "Bearer authentication is required".
_PROSE: Final = frozenset(
    {
        *("token", "tokens", "auth", "authentication", "authorization", "authenticated", "scheme", "schemes", "http"),
        *("credential", "credentials", "header", "headers", "realm", "expected", "required", "missing", "invalid"),
        *("expired", "format", "type", "error", "security", "with", "must", "from", "that", "this", "apikey"),
    }
)
_CLOSING: Final = ".,:;!?)]}"
_MIN_BASIC_CHARS: Final = 4
_MIN_TOKEN_CHARS: Final = 8
_MIN_LONG_TOKEN_CHARS: Final = 24

_JWT: Final = re.compile(r"eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)*")
_PROJECT_KEY: Final = re.compile(r"fp_project_[^\s\"'`<>,;&()\[\]{}\\]+")
_PARAMETER: Final = re.compile(r"(?<=[?&;#])(?P<key>[\w.\[\]-]{1,128})=(?P<value>(?:(?!\\[nrt])[^&#\s\"'<>])+)")


def redact_text(text: str) -> str:
    """Redact what :func:`redact_values` finds, the values of secret keys, and passwords in statements."""
    candidates = find_candidates(text)
    return _forget_if_changed(text, _redacted(text, candidates)) if candidates else text


def redact_values(text: str) -> str:
    """Redact what is a secret by its own form.

    These are user names and passwords in URLs, query parameters with the name of a secret, the values of ``Bearer``,
    ``Basic`` and ``Token`` authorization, JSON web tokens, Failpath's project keys, the tokens of
    :mod:`failpath_otel.scrubbing.token_formats`, private keys and the numbers of payment cards.
    """
    candidates = find_candidates(text)
    return _forget_if_changed(text, _without_values(text, candidates)) if candidates else text


def _forget_if_changed(text: str, redacted: str) -> str:
    if redacted != text:
        text_shapes.forget_shape(text)
    return redacted


def _redacted(text: str, candidates: int) -> str:
    text = _without_values(text, candidates)
    if candidates & (text_shapes.PAIRS | text_shapes.CVC | text_shapes.ITEMS):
        text = redact_pairs(text)
    return redact_statements(text) if candidates & text_shapes.STATEMENTS else text


def _without_values(text: str, candidates: int) -> str:
    if candidates & text_shapes.URLS:
        text = replace_found(text, _SLASHES.search, _userinfo)
    if candidates & text_shapes.PAIRS and "=" in text and ("//" in text or "\\/" in text):
        text = replace_found(text, _PARAMETER.search, _parameter)
    if candidates & text_shapes.AUTHORIZATION:
        text = replace_found(text, _SCHEME.search, _authorization)
    if candidates & text_shapes.JSON_WEB_TOKENS:
        text = _JWT.sub(REDACTED, text)
    if candidates & text_shapes.PROJECT_KEYS:
        text = _PROJECT_KEY.sub(REDACTED, text)
    if candidates & text_shapes.TOKENS:
        text = redact_tokens(text)
    return redact_card_numbers(text) if candidates & text_shapes.CARDS else text


def redacted_head(text: str, redact: Callable[[str], str] = redact_text) -> str:
    """Return the beginning of *text*, long enough to be shown, redacted."""
    if len(text) <= MAX_SCANNED_CHARS:
        return redact(text)
    return redact(without_last_word(text[:MAX_SCANNED_CHARS]))


def redacted_tail(text: str) -> str:
    """Return the end of *text*, redacted, from a line's beginning on: a secret cut in two is not recognized."""
    if len(text) <= MAX_SCANNED_CHARS:
        return redact_text(text)
    _, _, lines = text[-MAX_SCANNED_CHARS:].partition("\n")
    return redact_text(lines)


def without_last_word(text: str) -> str:
    """Return *text* without its last word, which may be truncated beyond recognition as a secret."""
    kept = text[:-_MAX_WORD_CHARS]
    last = text[-_MAX_WORD_CHARS:].rsplit(maxsplit=1)
    return kept + last[0] if len(last) > 1 else kept


def _userinfo(text: str, slashes: "re.Match[str]") -> tuple[int, int] | None:
    """Return where user name and password of a URL stand.

    Users do not escape passwords, so a ``/``, ``?``, ``#`` or ``@`` need not end one.
    """
    begin = slashes.end()
    rest = _URL_REST.match(text, begin)
    end = begin if rest is None else rest.end()
    authority = _AUTHORITY.match(text, begin, end)
    if authority is None or begin == end:
        return None
    at = text.rfind("@", begin, end)
    if "@" in authority[0]:
        return begin, at
    host = authority[0].rpartition("]")[2] if text[begin] == "[" else authority[0]
    _, colon, port = host.partition(":")
    if not colon or text[slashes.start() - 1 : slashes.start()] != ":":
        return None
    if len(port) <= _MAX_LOOK_AHEAD and _PORTS.fullmatch(port):
        # `postgres://user:12/34@host`: only a password explains the `@`.
        return (begin, at) if at > 0 and not text.endswith(_WEB, 0, slashes.start()) else None
    if at < 0:
        # No port, so it is a password, with a blank or a quote in it, or truncated.
        limit = min(len(text), end + _MAX_LOOK_AHEAD)
        line = text.find("\n", end, limit)
        at = text.rfind("@", end, limit if line < 0 else line)
    return begin, end if at < 0 else at


def _parameter(_: str, found: "re.Match[str]") -> tuple[int, int] | None:
    value = found["value"]
    if value.startswith(REDACTED) or not is_secret_text_key(found["key"]):
        return None
    if is_number(value) and not is_secret_key(found["key"]):
        return None
    begin = found.start("value")
    return begin, begin + len(value.rstrip(_CLOSING))


def _authorization(text: str, found: "re.Match[str]") -> tuple[int, int] | None:
    value = found["value"].rstrip(_CLOSING)
    scheme = found["scheme"].lower()
    if not value or value.startswith("[") or value.lower() in _PROSE:
        return None
    if scheme == "bearer":
        secret = not (value.isalpha() and len(value) <= 3) and not value.lower().startswith("realm=")  # noqa: PLR2004
    elif scheme == "basic":
        secret = len(value) >= _MIN_BASIC_CHARS and _is_basic(value)
    else:
        # A parser's message: "Unexpected token identifier2".
        secret = not text.endswith(("nexpected ", "NEXPECTED "), 0, found.start()) and (
            len(value) >= _MIN_LONG_TOKEN_CHARS
            or (len(value) >= _MIN_TOKEN_CHARS and any(character.isdigit() for character in value))
        )
    begin = found.start("value")
    return (begin, begin + len(value)) if secret else None


def _is_basic(value: str) -> bool:
    """Return whether it is, or begins as, the base64 text of ``user:password``."""
    if value.endswith("=") or any(character.isdigit() for character in value):
        return True
    try:
        return b":" in b64decode(value[: len(value) // 4 * 4])
    except ValueError:
        return False
