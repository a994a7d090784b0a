"""The fingerprint of an error: equal for errors of one cause, whatever ids, values and times stand in their messages.

What varies in a message is replaced by ``*``, and several of them in a row by one; the rest is its shape. What is kept
and what goes is in ``docs/guides/local/errors.md``.
"""

import re
from functools import lru_cache
from hashlib import blake2b
from typing import Final

MAX_SHAPE: Final = 240
"""Characters of a shape; what comes later in a message is rarely the cause."""

_MAX_READ: Final = 1_200
"""Characters of a message that are read."""

_MONTH: Final = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]{0,6}"
_WEEKDAY: Final = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]{0,6},?"

# Bounded quantifiers, so that the time is linear also for hostile messages.

_BEGINNINGS: Final = (
    "http|errno|winerror|sqlstate|status|signal|exit|return|returned|response|result|error|code|responded|answered|got"
    "|received|title|type|reason|attribute|argument|parameter|column|relation|table|constraint|index|function|method"
    rf"|property|field|module|for|reading|object|localhost|eyj\w+|{_MONTH}|{_WEEKDAY}"
)
_WORDS: Final = rf"(?:(?<![\w.@+%/~-])(?!(?i:{_BEGINNINGS})\b)[A-Za-z]+(?=[ ,;)\]]|$)|[ ,;])+"
"""Most words, at once: no other pattern begins with them."""

_CODE_ENDS: Final = r"(?![\w.:-]{0,9}\d)(?!\w)"
_SYSTEM_CODE: Final = (
    r"(?i:\b(?:http(?:/\d(?:\.\d)?)?|errno|winerror|sqlstate|status|signal|exit)(?:[ _-]?(?:code|status))?"
    r"[ =:(\[#'\"]{0,3})-?\d{1,5}"
)
_CODES: Final = (
    _SYSTEM_CODE,
    r"(?i:\b(?:return|response|result|error)[ _-]?code[ =:(\[#'\"]{1,3}|\bcode ?[=:] ?)-?\d{1,5}",
    r"(?i:\berror[ #(\[]{1,2}\d{1,5}|\berror(?: occurred)?:? \(?[45]\d\d)",
)
"""Numbers that name a cause: of HTTP, of processes, of systems. Longer ones than five digits are ids."""

_ANSWERED: Final = (
    r"(?i:\b(?:returned|responded|responded with|answered|got|received)(?: an?)?(?: unexpected)?(?: http)?"
    r"(?: status)?(?: code)? )[1-5]\d\d(?=[.,;:)\]\"']?(?:$| (?:from|for|on|when|while|response|error)\b))"
)
_REASON_PHRASE: Final = (
    r"[\"']?\b[1-5]\d\d (?=(?:Bad|Unauthorized|Payment|Forbidden|Not|Method|Proxy|Request|Conflict|Gone|Length"
    r"|Precondition|Payload|Content|URI|Unsupported|Range|Expectation|Misdirected|Unprocessable|Locked|Failed|Too"
    r"|Upgrade|Unavailable|Internal|Service|Gateway|HTTP|Insufficient|Client|Server|Moved|Found|See|Temporary"
    r"|Permanent)\b)"
)
_ARGUMENT: Final = r"(?:\b[A-Z]\w{0,60}(?:Error|Exception|Warning)\(|^\()-?\d{1,5}(?=, [\"'])"

_REASONS: Final = (
    # A word; in JSON of a sentence the beginning, behind which it is read on.
    r"(?i:[\"']?\b(?:error_?code|error_?type|code|error|type|reason|status|title)[\"']? ?[=:] ?)"
    r"[\"'][A-Za-z_][A-Za-z_.]{0,63}[\"'](?!\w)"
    r"|(?i:\b(?:code|type|reason|status) ?= ?)[A-Za-z_][A-Za-z_.]{0,63}(?=[\s,;)\]}]|$)"
    r"|(?i:[\"'](?:message|msg|details?|description|desc|error|title|reason)[\"'] ?: ?[\"'])"
)
"""Fields whose value is the cause."""

_NAMED: Final = (
    r"(?i:\b(?:attribute|argument|parameter|column|relation|table|constraint|index|function|method|property"
    r"|field|module named|for key|reading|object of type) )[\"'`][A-Za-z_$][A-Za-z_$.]{0,63}[\"'`](?!\w)"
)
"""The name of a thing in code, behind the word that says so."""

_KEPT: Final = "|".join(
    (*(f"{code}{_CODE_ENDS}" for code in _CODES), _ANSWERED, _REASON_PHRASE, _ARGUMENT, _REASONS, _NAMED)
)

_QUOTED: Final = (
    *(
        rf"(?<!\w){begin}[^{end}\s]{{0,200}}(?:\s[^{end}\s]{{1,100}}){{0,2}}{end}(?!\w)"
        for begin, end in ('""', "``", "\u201c\u201d", "\u2018\u2019", "\u00ab\u00bb")
    ),
    r"(?<!\w)'(?:[^'\s]|'(?=\w)){0,200}(?:\s(?:[^'\s]|'(?=\w)){1,100}){0,2}'(?!\w)",
)
"""Values of up to three words: more are a sentence, which is read on."""

_KEY: Final = (
    # Not only letters, nor only capitals or digits: a word of that length is a name.
    r"(?<![\w+/=-])(?=[a-zA-Z+/_-]{0,120}\d)(?=[a-z\d+/_-]{0,120}[A-Z])(?=[A-Z\d+/_-]{0,120}[a-z])"
    r"[\w+/-]{24,}={0,2}"
)
_HOST: Final = (
    r"(?<![\w.-])[A-Za-z][\w-]{0,62}(?:\.[A-Za-z0-9][\w-]{0,62}){0,8}"
    r"\.(?:com|net|org|io|dev|local|internal|svc|cloud)\b(?:\.(?=[\s:,)]|$))?"
)
_IPV6: Final = (
    r"\[(?=[^\]]{0,40}:[^\]]{0,40}:)[0-9a-fA-F:]{2,45}(?:%\w{1,16})?\]"
    r"|(?<![\w:.\]])(?=:{0,2}[0-9a-fA-F])(?:[0-9a-fA-F]{0,4}:){2,8}[0-9a-fA-F]{0,4}(?:%\w{1,16})?(?![\w:])"
)
_VARIES: Final = "|".join(
    (
        r"\b[a-zA-Z][a-zA-Z+.-]{0,15}://[^\s'\"<>)\]]+",
        r"\barn:[\w:/.*@-]+",
        r"(?<![\w.+%@-])[\w.+%-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,6}",
        *_QUOTED,
        r"(?<==)\([^()]{0,200}\)",
        r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b",
        _IPV6,
        rf"\b{_WEEKDAY} (?=\d|{_MONTH} \d)",
        rf"\b\d{{1,2}}[ -]{_MONTH}[ -]\d{{2,4}}\b",
        rf"\b{_MONTH} \d{{1,2}}\b",
        # Paths; with fewer than two slashes only from the root or a directory.
        r"(?<![\w/.\\])(?:~|\.{1,2}|[A-Za-z]:)?[/\\][\w.@%+~$/\\-]+(?:\?[^\s'\"<>)\]]*)?",
        r"(?<![\w/.@%+~-])[\w.@%+~-]{1,100}(?:/[\w.@%+~-]{1,100}){2}[\w.@%+~/-]*",
        r"\beyJ[\w.-]{16,}",
        _KEY,
        _HOST,
        r"\blocalhost(?=:\d)",
        r"(?<![\w)\]-])[-+](?=\d)[\d.]+",
    )
)

_FIND: Final = re.compile(
    rf"(?P<word>{_WORDS})|(?P<kept>{_KEPT})|(?P<varies>{_VARIES})"
    r"|(?P<field>\b[A-Za-z_][\w.]{0,63}=(?=[\w/.$-])[^\s,;()\[\]{}'\"<>]+)"
    r"|(?P<token>[A-Za-z0-9_]+(?:-[A-Za-z0-9_]+)*)"
    "|(?P<quote>[\"`\u201c\u201d\u2018\u2019\u00ab\u00bb]|(?<!\\w)'|'(?!\\w))"
)
_SEVERAL: Final = re.compile(r"\*(?:[ ,;:./|+&-]{0,4}\*)+")
_PLAIN: Final = re.compile(r"[A-Za-z ,;()-]*[.!]?")
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
    if _PLAIN.fullmatch(text) or _IDENTIFIER.fullmatch(text):
        return text[:MAX_SHAPE].strip()  # a name in quotes, as of a KeyError, is the cause
    return _SEVERAL.sub("*", _FIND.sub(_replaced, text))[:MAX_SHAPE].strip()


def _replaced(match: re.Match[str]) -> str:
    text = match[0]
    kind = match.lastgroup
    if kind == "word" or (kind == "token" and _DIGIT.search(text) is None):
        return text
    if kind == "token":
        return _token(text)
    if kind == "kept":
        return _QUOTES.sub("", text)
    if kind == "quote":
        return ""
    return f"{text.partition('=')[0]}=*" if kind == "field" else "*"


def _token(text: str) -> str:
    """Return the words that a token with digits begins with: ``order-*`` of ``order-17``."""
    prefix = _PREFIX.match(text)
    return "*" if prefix is None else f"{prefix[0]}*"
