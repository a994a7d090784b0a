"""``key=value``, ``"key": "value"`` and ``Key: value`` in free text, and where the value of a secret key ends."""

import re
from collections.abc import Callable
from typing import Final

from failpath_otel.scrubbing.keys import REDACTED, is_number, is_secret_key, is_secret_text_key, words_of
from failpath_otel.scrubbing.text_shapes import secret_key_ends

Span = tuple[int, int]
Search = Callable[..., "re.Match[str] | None"]
"""The ``search`` of a pattern."""
Find = Callable[[str, "re.Match[str]"], Span | None]
"""Returns where the secret stands that a match leads to; ``None`` if there is none."""

# A key begins where a word does, so each word is tried once. The quote behind it may be escaped many times.
_KEY: Final = r"(?<![\w.-])(?P<key>[\w.-]+)(?P<quote>\\*[\"'])?\]?"
_PAIR: Final = re.compile(_KEY + r"\s{0,64}(?P<sign>=>|[:!=]?={1,2}|:)[^\S\r\n]{0,64}")
_SPACE: Final = re.compile(r"\s{0,64}")
# As in the text of a failed command: `--password hunter2`, `['login', '--password', 'hunter2']`.
_OPTION: Final = re.compile(r"--(?<![\w-]--)(?P<key>[\w-]{1,128})(?:(?P<quote>\\*[\"']),[^\S\r\n]{0,8}|[^\S\r\n]{1,8})")
# As among the headers of an ASGI scope: `(b'authorization', b'…')`.
_ITEM: Final = re.compile(
    r"\([bBuU]?\\*[\"'](?P<key>[\w.-]{1,128})(?P<quote>\\*[\"']),\s{0,8}(?=[bBrRuU]{0,2}\\*[\"'])"
)

_OPENING: Final = re.compile(r"[bBfFrRuU]{0,2}(?P<escapes>\\*)(?P<mark>\"\"\"|'''|[\"'])")
_MARK: Final = re.compile(r"(?<!\\)(?P<escapes>\\*)(?P<mark>[\"'])|[\r\n]")
_CALL: Final = re.compile(r"[\w.]{0,64}[\[({]")
_BRACKET: Final = re.compile(r"[\[({]|(?P<close>[\])}])|[\r\n]")
_LINE: Final = re.compile(r"(?:(?!\\r\\n)[^\r\n])*")
# A separator ends a value only before another key, a quote only where the text goes on as after a literal.
_BARE: Final = re.compile(
    r"(?:[^\s&;,\"'`<>]|[&;,](?=\S)(?![\w.-]{1,64}(?:=|:\s|\\*[\"']:))|[\"'`<>](?=[^\s,;:)\]}>\"'`]))+"
)
_SCHEME: Final = re.compile(r"(?:bearer|basic|token|digest|negotiate|apikey|api-key)\s{1,4}(?=\S)", re.IGNORECASE)
_NO_VALUE: Final = re.compile(r"(?:None|null|nil|undefined|true|false)(?=[\s,;&)\]}>\"'`]|$)", re.IGNORECASE)
_ANNOTATION: Final = re.compile(
    r"[A-Za-z_][\w.]{0,64}(?:\[[\w.,| ]{0,64}\])?(?: ?\| ?[\w.]{1,64}){0,4} {0,4}=(?!=) {0,4}(?=[bBfFrRuU]{0,2}[\"'])"
)
_WORD_BEFORE: Final = re.compile(r"([A-Za-z]{1,24})[ \t]$")

# In messages of parsers and in prose, these are no keys: "unexpected token: }".
_AMBIGUOUS: Final = frozenset({"token", "auth", "pin"})
_KINDS_OF_TOKEN: Final = frozenset({"access", "api", "auth", "bearer", "csrf", "id", "refresh", "secret", "session"})
# Names of exceptions are no keys: "InvalidPasswordError: no digit in it".
_EXCEPTION_WORDS: Final = frozenset({"error", "exception", "warning"})
# Their values have several words, and end at the end of the line unless they are quoted.
_WHOLE_LINE: Final = frozenset({"authorization", "cookie", "cookies", "setcookie", "credentials", "passphrase"})
_MIN_TOKEN_CHARS: Final = 16
_MAX_KEY_CHARS: Final = 128


def replace_found(text: str, search: Search, find: Find) -> str:
    """Replace every secret that a match of *search* leads to."""
    kept: list[str] = []
    done = position = 0
    while (found := search(text, position)) is not None:
        span = find(text, found)
        position = found.end()
        if span is not None and span[0] < span[1]:
            kept += (text[done : span[0]], REDACTED)
            done = position = span[1]
    return "".join((*kept, text[done:])) if kept else text


def redact_pairs(text: str) -> str:
    """Redact the values of keys that look like secrets."""
    if "=" in text or ":" in text:
        text = _without_pairs(text)
    if "--" in text:
        text = replace_found(text, _OPTION.search, _pair_item)
    return replace_found(text, _ITEM.search, _pair_item) if "(" in text else text


def _without_pairs(text: str) -> str:
    kept: list[str] = []
    done = 0
    for end in secret_key_ends(text):
        if end <= done:
            continue  # inside a value that was redacted
        begin = end
        while begin > done and (text[begin - 1].isalnum() or text[begin - 1] in "_.-"):
            begin -= 1
        found = _PAIR.match(text, begin)
        span = None if found is None else _pair(text, found)
        if span is not None and span[0] < span[1]:
            kept += (text[done : span[0]], REDACTED)
            done = span[1]
    return "".join((*kept, text[done:])) if kept else text


def _pair_item(text: str, found: "re.Match[str]") -> Span | None:
    return _if_secret(text, _value(text, found.end(), found["key"]), found["key"])


def _if_secret(text: str, span: Span | None, key: str) -> Span | None:
    """Return *span* if *key* names a secret, for texts only or for numbers too."""
    if span is None or is_secret_key(key):
        return span
    return span if is_secret_text_key(key) and not is_number(text[span[0] : span[1]]) else None


def _pair(text: str, found: "re.Match[str]") -> Span | None:
    key = _secret_key(text, found)
    if key is None:
        return None
    begin = found.end()
    if found["quote"]:
        space = _SPACE.match(text, begin)
        span = _value(text, begin if space is None else space.end(), key)
    else:
        span = _after_colon(text, begin, key) if found["sign"] == ":" else _value(text, begin, key)
    return _if_secret(text, span, key)


def _after_colon(text: str, begin: int, key: str) -> Span | None:
    """Return the value of ``key: value`` without quotes around the key, which is also how prose looks."""
    annotation = _ANNOTATION.match(text, begin)
    if annotation is not None:  # source code: `password: str = "hunter2"`
        return _value(text, annotation.end(), key)
    if words_of(key)[-1] in _EXCEPTION_WORDS or (
        key.lower() in _AMBIGUOUS and not _has_digit(text, begin, _MIN_TOKEN_CHARS)
    ):
        return None
    if not is_secret_key(key) and not _OPENING.match(text, begin) and not _has_digit(text, begin):
        return None  # "session: closed by the peer"
    return _line(text, begin) if _takes_whole_line(key) else _value(text, begin, key)


def _secret_key(text: str, found: "re.Match[str]") -> str | None:
    """Return the key of a pair if it is that of a secret, with the word before it if that makes it one."""
    key: str = found["key"]
    if len(key) > _MAX_KEY_CHARS:
        key = f"{key[:_MAX_KEY_CHARS]}.{key[-_MAX_KEY_CHARS:]}"
    begin = found.start()
    before = text[begin - 1 : begin]
    if before == "\\" and key[0] in "nrt" and is_secret_text_key(key[1:]):
        return key[1:]  # the text is a `repr`, and this an escaped line end
    if before == " ":
        word = _WORD_BEFORE.search(text, max(begin - 25, 0), begin)
        if word is not None and (
            (key.lower() in {"key", "id"} and is_secret_key(f"{word[1]}_{key}".lower()))
            or (key.lower() == "token" and word[1].lower() in _KINDS_OF_TOKEN)
        ):
            return f"{word[1]}_{key}"
    return key if is_secret_text_key(key) else None


def _has_digit(text: str, begin: int, least: int = 1) -> bool:
    """Return whether a value of at least so many characters begins there, with a digit among its first ones."""
    found = _BARE.match(text, begin, begin + 2 * _MIN_TOKEN_CHARS)
    return found is not None and len(found[0]) >= least and any(character.isdigit() for character in found[0])


def _takes_whole_line(key: str) -> bool:
    return not _WHOLE_LINE.isdisjoint(words_of(key))


def _line(text: str, begin: int) -> Span | None:
    found = _LINE.match(text, begin)
    return None if found is None else found.span()


def _value(text: str, begin: int, key: str) -> Span | None:
    """Return where the value at *begin* stands, without its quotes."""
    opening = _OPENING.match(text, begin)
    if opening is not None:
        return opening.end(), _closing_quote(text, opening)
    if _NO_VALUE.match(text, begin):
        return None
    if _takes_whole_line(key) and text[begin : begin + 1] not in {"[", "(", "{"}:
        return _line(text, begin)
    scheme = _SCHEME.match(text, begin)
    end = begin if scheme is None else scheme.end()
    call = _CALL.match(text, end)
    if call is not None:
        end = _closing_bracket(text, call.end())
    bare = _BARE.match(text, end)
    if bare is not None:
        end = bare.end()
        while end > bare.start() and text[end - 1] in ".,:;!?)]}":
            end -= 1
    return begin, end


def _closing_quote(text: str, opening: "re.Match[str]") -> int:
    """Return where a literal ends: at its closing quote, or at the end of the line if it was truncated."""
    escapes, mark = len(opening["escapes"]), opening["mark"]
    if len(mark) > 1:
        end = text.find(mark, opening.end())
        return len(text) if end < 0 else end
    for found in _MARK.finditer(text, opening.end()):
        if found["mark"] is None:
            return found.start()
        # A quote inside the literal has more backslashes than its opening quote; a backslash at its end is doubled.
        if found["mark"] == mark and len(found["escapes"]) % (2 * escapes + 2) == escapes:
            return found.start("mark") - escapes
    return len(text)


def _closing_bracket(text: str, begin: int) -> int:
    """Return the position behind the matching bracket; the end of the line if there is none."""
    depth = 1
    for found in _BRACKET.finditer(text, begin):
        if found[0] in "\r\n":
            return found.start()
        depth += -1 if found["close"] else 1
        if not depth:
            return found.end()
    return len(text)
