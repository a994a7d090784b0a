"""What a span says as a part of a key: without query strings, literals of SQL, addresses of e-mail and random ids.

Keys name flows and steps, and are shown and stored like names. A name of a span, or an attribute, may be a URL or a
statement with the values in it. All of it is linear but for the search for statements, which has a bound.
"""

import re
from typing import Final

from failpath_otel import limits
from failpath_otel.scrubbing.keys import REDACTED, words_of
from failpath_otel.scrubbing.text import redact_text, redact_values

# Without one of these, nothing below finds anything.
_SUSPICIOUS: Final = re.compile(r"[?@='\"#;:(<>$-]|[\w+~%]{16}|[0-9]{10}|%40|[0-9] |[0-9]\Z").search

# `?` in the pattern of a route follows a bracket, or is followed by a sign.
# With blanks it goes on to its last parameter.
_QUERY: Final = re.compile(
    r"(?<![\s(?])\?(?=[\w.~%\[\]&-]+=|[\w.~%-]+&)[^\s\"'<>]*(?:[^\"'<>&]*&[\w.~%-]+=[^\s\"'<>]*)*"
)
_FRAGMENT: Final = re.compile(r"#(?=[\w.~%-]+=)[^\s\"'<>]*")
_PATH_PARAMETER: Final = re.compile(r";[\w.-]+=[^/\s;\"'<>]*")
_EMAIL: Final = re.compile(r"(?<![\w.+%-])[\w.+%-]{1,64}(?:@|%40)(?:[\w-]{1,63}\.){1,8}[a-zA-Z][\w-]{0,62}")

_STATEMENT: Final = re.compile(
    r"\b(?:select\b.+\bfrom\b|insert\s+into\b|delete\s+from\b|update\b.+\bset\b|replace\s+into\b|merge\s+into\b"
    r"|values\s*\(|call\s+[\w.]+\s*\(|exec(?:ute)?\s+[\w.]+\s+[@'\"\d]|(?:create|alter|drop)\s+(?:user|role|login)\b"
    r"|(?:where|having)\b.+(?:[=<>]|\b(?:in|like|between)\b)|set\s+[\w.]+\s*=|limit\s+\d"
    r"|(?:and|or)\s+[\w.\"`]+\s*(?:[=<>]|!=|like\b|in\b))",
    re.IGNORECASE | re.DOTALL,
).search
_COMMENT: Final = re.compile(r"\s*(?:/\*.*?(?:\*/|\Z)|--(?=\s).*)", re.DOTALL)
_DOLLARS: Final = re.compile(r"\$(\w{0,32})\$.*?(?:\$\1\$|\Z)", re.DOTALL)
# A literal may have been cut off with the name.
_SINGLE: Final = re.compile(r"\b(?:[NEBX]|U&)?'(?:[^'\\]|''|\\.)*(?:'|\\?\Z)|'(?:[^'\\]|''|\\.)*(?:'|\\?\Z)", re.DOTALL)
# Double quotes are those of names as well; such a literal is a value behind a sign.
_VALUE: Final = re.compile(
    r"(?P<sign>[=<>(,:\[{]\s{0,8}|\b(?:like|in|values|by|as|password)\s{1,8})"
    r"(?P<quote>[\"'])(?:(?!(?P=quote))[^\\]|\\.)*(?:(?P=quote)|\\?\Z)(?!\s{0,8}:)",
    re.DOTALL | re.IGNORECASE,
)
_NUMBER: Final = re.compile(r"(?<![\w.$:@\"`-])-?(?:0[xX][0-9a-fA-F]+|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)(?![\w\"`])")
_LIST: Final = re.compile(r"\?(?:\s*,\s*\?)+")

_UUID: Final = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")
_DIGITS: Final = re.compile(r"(?<![0-9])[0-9]{10,}(?![0-9])")
_WORD: Final = re.compile(r"[0-9A-Za-z_+=~%-]{16,}")
_PART: Final = re.compile(r"[0-9A-Za-z]+")
_HEX: Final = re.compile(r"(?=[a-fA-F]*[0-9])[0-9a-fA-F]{16,}")
_DIGIT: Final = re.compile(r"[0-9]+")
_RANDOM_CHARS: Final = 16
"""So many characters that look random are an id or a token."""

_SOME_CHARS: Final = 10
_MOST: Final = 0.6
"""As are so many, where they are this share of a word."""

_MIXED: Final = 3.0
_LETTERS: Final = 2.5
_FEW_VOWELS: Final = 3.5
"""Fewer characters a word look random: with digits, without, and where there are few vowels."""

_NUMBERS: Final = 3
"""As do so many numbers between letters, one fewer where all letters are small, or all capital."""

_VOWELS: Final = 0.27
"""Names have more of them among their letters."""


_MAX_UNCHANGED: Final = 1_024
_unchanged: Final[set[str]] = set()
"""Texts with nothing to clean, so that an attribute with few values costs one lookup. Nothing of a secret is kept."""


def clean_key_part(text: str) -> str:
    """Return *text* without what looks like a value; empty if it contains a secret by its form.

    A text that is too long for a key is returned as it is.
    """
    if text in _unchanged or len(text) > limits.MAX_NAME_CHARS:
        return text
    cleaned = text if _SUSPICIOUS(text) is None else _cleaned(text)
    if cleaned == text:
        if len(_unchanged) >= _MAX_UNCHANGED:
            _unchanged.clear()  # frequent ones soon return
        _unchanged.add(text)
    return cleaned


def _cleaned(text: str) -> str:
    # First, because a query may look like a statement.
    if "?" in text:
        text = _QUERY.sub("", text)
    if "#" in text:
        text = _FRAGMENT.sub("", text)
    if ";" in text:
        text = _PATH_PARAMETER.sub("", text)
    text = _UUID.sub(REDACTED, text)
    if _STATEMENT(text) is not None:
        text = _without_literals(text)
    elif '"' in text or "'" in text:
        text = _VALUE.sub(_without_value, text)
    if "@" in text or "%40" in text:
        text = _EMAIL.sub(REDACTED, text)
    if redact_values(text) != text:
        return ""
    text = _WORD.sub(_without_random, text)
    text = _DIGITS.sub(REDACTED, text)
    return redact_text(text)


def _without_literals(text: str) -> str:
    text = _COMMENT.sub("", text) if "/*" in text or "--" in text else text
    text = _DOLLARS.sub("?", text) if "$" in text else text
    text = _SINGLE.sub("?", text) if "'" in text else text
    text = _VALUE.sub(_without_value, text) if '"' in text else text
    return _LIST.sub("?", _NUMBER.sub("?", text))


def _without_value(found: "re.Match[str]") -> str:
    return f"{found['sign']}?"


def _without_random(found: "re.Match[str]") -> str:
    """Replace the part of a word that looks random, from its first to its last such run of letters and digits."""
    word = found[0]
    parts = list(_PART.finditer(word))
    runs = [part for part in parts if _is_random(part[0])]
    chars = sum(len(run[0]) for run in runs)
    # A token in Base64 for URLs has `-` and `_` in it, and so may have parts that do not look random.
    if chars < _RANDOM_CHARS and (chars < _SOME_CHARS or chars < _MOST * sum(len(part[0]) for part in parts)):
        return word
    return f"{word[: runs[0].start()]}{REDACTED}{word[runs[-1].end() :]}"


def _is_random(run: str) -> bool:
    """Return whether a run of letters and digits looks random; a short one may."""
    if _HEX.fullmatch(run):
        return True
    words, numbers, is_flat = len(words_of(run)), len(_DIGIT.findall(run)), run.islower() or run.isupper()
    if words == 1:
        return False
    if numbers >= _NUMBERS - is_flat or len(run) < (_MIXED if numbers else _LETTERS) * words:
        return True
    # Few words of letters of one case and a digit can be random too.
    if len(run) < _RANDOM_CHARS or not (is_flat or len(run) < _FEW_VOWELS * words):
        return False
    letters = [letter for letter in run.lower() if letter.isalpha()]
    return sum(letter in "aeiouy" for letter in letters) < _VOWELS * len(letters)
