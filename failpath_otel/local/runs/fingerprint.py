"""The fingerprint of an error: equal for errors of one cause, whatever ids, values and times stand in their messages.

What varies in a message is replaced by ``*``, and several of them in a row by one; the rest is its shape. What is kept
and what goes is in ``docs/local.md``.
"""

import re
from functools import lru_cache
from hashlib import blake2b
from typing import Final

MAX_SHAPE: Final = 240
"""Characters of a shape; what comes later in a message is rarely the cause."""

_MAX_READ: Final = 1_200
"""Characters of a message that are read."""

_MONTH: Final = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]{0,6}"
_WEEKDAY: Final = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]{0,6},?"
_NUMBER_ENDS: Final = r"(?![\w.:-]{0,9}\d)(?!\w)"
_REASON_PHRASE: Final = (
    r"(?=(?:Bad|Unauthorized|Payment|Forbidden|Not|Method|Proxy|Request|Conflict|Gone|Length|Precondition|Payload"
    r"|Content|URI|Unsupported|Range|Expectation|Misdirected|Unprocessable|Locked|Failed|Too|Upgrade|Unavailable"
    r"|Internal|Service|Gateway|HTTP|Insufficient|Client|Server|Moved|Found|See|Temporary|Permanent)\b)"
)

_BEGINS_MORE: Final = (
    r"(?:http|errno|winerror|sqlstate|status|signal|exit|return|returned|response|result|error|code|responded|answered|got"
    r"|received|title|type|reason|attribute|argument|parameter|column|relation|table|constraint|index|function|method"
    rf"|property|field|module|for|reading|of|localhost|eyj\w+|{_MONTH}|{_WEEKDAY})"
)

# Bounded quantifiers, so that the time is linear also for hostile messages.
_PATTERNS: Final = (
    # Most words, at once.
    ("word", rf"(?<![\w.@+%/~-])(?!(?i:{_BEGINS_MORE})\b)[A-Za-z]+(?=[ ,;)\]]|$)"),
    # Codes that name a cause: of HTTP, of processes, of systems. Longer numbers than five digits are ids.
    (
        "kept",
        r"(?i:\b(?:http(?:/\d(?:\.\d)?)?|errno|winerror|sqlstate|status|signal|exit)(?:[ _-]?(?:code|status))?"
        rf"[ =:(\[#'\"]{{0,3}})-?\d{{1,5}}{_NUMBER_ENDS}",
    ),
    ("kept", rf"(?i:\b(?:return|response|result|error)[ _-]?code[ =:(\[#'\"]{{1,3}}|\bcode ?[=:] ?)-?\d{{1,5}}{_NUMBER_ENDS}"),
    ("kept", rf"(?i:\berror[ #(\[]{{1,2}}\d{{1,5}}|\berror(?: occurred)?:? \(?[45]\d\d){_NUMBER_ENDS}"),
    (
        "kept",
        r"(?i:\b(?:returned|responded|responded with|answered|got|received)(?: an?)?(?: unexpected)?(?: http)?"
        r"(?: status)?(?: code)? )[1-5]\d\d(?=[.,;:)\]\"']?(?:$| (?:from|for|on|when|while|response|error)\b))",
    ),
    ("kept", rf"[\"']?\b[1-5]\d\d {_REASON_PHRASE}"),
    ("kept", r"(?:(?:Error|Exception|Warning)\(|^\()-?\d{1,5}(?=, [\"'])"),
    # A field whose value is a word for the cause; where that is a sentence, it is read on.
    (
        "kept",
        r"(?i:[\"']?\b(?:error_?code|error_?type|code|error|type|reason|status|title)[\"']? ?[=:] ?)"
        r"[\"'][A-Za-z_][A-Za-z_.]{0,63}[\"'](?!\w)",
    ),
    ("kept", r"(?i:\b(?:code|type|reason|status) ?= ?)[A-Za-z_][A-Za-z_.]{0,63}(?=[\s,;)\]}]|$)"),
    ("kept", r"(?i:[\"'](?:message|msg|details?|description|desc|error|title|reason)[\"'] ?: ?[\"'])"),
    # The name of a thing in code, behind the word that says so.
    (
        "kept",
        r"(?i:\b(?:attribute|argument|parameter|column|relation|table|constraint|index|function|method|property"
        r"|field|module named|for key|reading|of type) )[\"'`][A-Za-z_$][A-Za-z_$.]{0,63}[\"'`](?!\w)",
    ),
    ("varies", r"\b[a-zA-Z][a-zA-Z+.-]{0,15}://[^\s'\"<>)\]]+"),
    ("varies", r"\barn:[\w:/.*@-]+"),
    ("varies", r"(?<![\w.+%@-])[\w.+%-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,6}"),
    # A value in quotes has up to three words: more are a sentence, which is read on.
    *(
        ("varies", rf"(?<!\w){begin}[^{end}\s]{{0,200}}(?:\s[^{end}\s]{{1,100}}){{0,2}}{end}(?!\w)")
        for begin, end in ('""', "``", "\u201c\u201d", "\u2018\u2019", "\u00ab\u00bb")
    ),
    ("varies", r"(?<!\w)'(?:[^'\s]|'(?=\w)){0,200}(?:\s(?:[^'\s]|'(?=\w)){1,100}){0,2}'(?!\w)"),
    ("varies", r"(?<==)\([^()]{0,200}\)"),
    ("varies", r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b"),
    ("varies", r"(?<![\w:.])\[?(?=:{0,2}[0-9a-fA-F])(?:[0-9a-fA-F]{0,4}:){2,8}[0-9a-fA-F]{0,4}(?:%\w{1,16})?\]?(?![\w:])"),
    ("varies", rf"\b{_WEEKDAY} (?=\d|{_MONTH} \d)"),
    ("varies", rf"\b\d{{1,2}}[ -]{_MONTH}[ -]\d{{2,4}}\b"),
    ("varies", rf"\b{_MONTH} \d{{1,2}}\b"),
    # Paths; with fewer than two slashes only from the root or a directory.
    ("varies", r"(?<![\w/.\\])(?:~|\.{1,2}|[A-Za-z]:)?[/\\][\w.@%+~$/\\-]+"),
    ("varies", r"(?<![\w/.@%+~-])[\w.@%+~-]{1,100}(?:/[\w.@%+~-]{1,100}){2}[\w.@%+~/-]*"),
    # Keys, signatures, tokens.
    ("varies", r"\beyJ[\w.-]{16,}"),
    (
        "varies",
        r"(?<![\w+/=-])(?=[a-zA-Z+/_-]{0,120}\d)(?=[a-z\d+/_-]{0,120}[A-Z])(?=[A-Z\d+/_-]{0,120}[a-z])"
        r"[\w+/-]{24,}={0,2}",
    ),
    (
        "varies",
        r"(?<![\w.-])[A-Za-z][\w-]{0,62}(?:\.[A-Za-z0-9][\w-]{0,62}){0,8}"
        r"\.(?:com|net|org|io|dev|local|internal|svc|cloud)\b(?:\.(?=[\s:,)]|$))?",
    ),
    ("varies", r"\blocalhost(?=:\d)"),
    ("field", r"\b[A-Za-z_][\w.]{0,63}=(?=[\w/.$-])[^\s,;()\[\]{}'\"<>]+"),
    ("varies", r"(?<![\w)\]-])[-+](?=\d)[\d.]+"),
    ("token", r"[A-Za-z0-9_]+(?:-[A-Za-z0-9_]+)*"),
    ("quote", r"[\"`\u201c\u201d\u2018\u2019\u00ab\u00bb]|(?<!\w)'|'(?!\w)"),
)

_KINDS: Final = tuple(kind for kind, _ in _PATTERNS)
_FIND: Final = re.compile("|".join(f"({pattern})" for _, pattern in _PATTERNS))
_SEVERAL: Final = re.compile(r"\*(?:[ ,;:./|+&-]{0,4}\*)+")
_IDENTIFIER: Final = re.compile(r"(['\"])[A-Za-z_][A-Za-z_.]{0,63}\1")
_PREFIX: Final = re.compile(r"(?:(?:[a-z]{2,12}|[A-Z]{2,12}|[A-Z][a-z]{1,11})[_-])+")
_DIGIT: Final = re.compile(r"[0-9]")
_QUOTES: Final = re.compile(r"[\"'`]")


@lru_cache(maxsize=4_096)
def fingerprint(flow_key: str, step_key: str, name: str, message: str) -> str:
    """Return 16 hexadecimal digits for a step's error; equal for the same name and the same shape of its message."""
    parts = (flow_key, step_key, name, shape_of(message))
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return blake2b(text.encode(errors="replace"), digest_size=8).hexdigest()


def shape_of(message: str) -> str:
    """Return a message without what varies, on one line of at most :data:`MAX_SHAPE` characters."""
    text = " ".join(message[:_MAX_READ].split())
    if _IDENTIFIER.fullmatch(text):
        return text  # as of a KeyError: the key is the cause
    return _SEVERAL.sub("*", _FIND.sub(_replaced, text))[:MAX_SHAPE].strip()


def _replaced(match: re.Match[str]) -> str:
    text = match[0]
    kind = _KINDS[(match.lastindex or 1) - 1]
    if kind == "word":
        return text
    if kind == "token":
        return text if _DIGIT.search(text) is None else _token(text)
    if kind == "kept":
        return _QUOTES.sub("", text)
    if kind == "quote":
        return ""
    return f"{text.partition('=')[0]}=*" if kind == "field" else "*"


def _token(text: str) -> str:
    """Return the words that a token with digits begins with: ``order-*`` of ``order-17``."""
    prefix = _PREFIX.match(text)
    return "*" if prefix is None else f"{prefix[0]}*"
