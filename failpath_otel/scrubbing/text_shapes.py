"""Classify a text by its shape: which kinds of secrets it may contain (decision 0015).

The texts of a program differ in numbers and identifiers, so they have few shapes. The result is cached by shape, so a
text of a known shape costs one translation and one lookup.
"""

import re
from typing import Final

# In a shape, letters are lower case, hexadecimal digits are `0`, and what is not ASCII is `?`.
_SHAPED: Final = bytes(range(256)).lower().translate(bytes.maketrans(b"123456789abcdef", b"0" * 15))

URLS: Final = 1
AUTHORIZATION: Final = 2
JSON_WEB_TOKENS: Final = 4
PROJECT_KEYS: Final = 8
TOKENS: Final = 16
CARDS: Final = 32
PAIRS: Final = 64
ITEMS: Final = 128
STATEMENTS: Final = 256
CVC: Final = 512
"""What a text may contain; bits of one number."""

_MAX_CACHED_CHARS: Final = 600
_MAX_CACHED_SHAPES: Final = 1_024
_Classified = tuple[int, tuple[int, ...], list[int]]
"""Candidates of a shape, where numbers begin that may be those of cards, and where keys end."""
_cache: Final[dict[bytes, _Classified]] = {}
"""Results by shape."""

_UUID: Final = "00000000-0000-0000-0000-000000000000"
_NUMBER: Final = "0" * 13
_FIRST_DIGITS: Final = "23456"
"""First digits of card numbers."""

# A pattern begins with a literal, to which `re` skips fast; what stands before it is a look-behind.
_BEHIND_LOW_LINE: Final = re.compile(r"_(?=[\w.+/=-]{15})").search
_BEHIND_HYPHEN: Final = re.compile(
    # Leads of tokens, options of commands, `-----BEGIN`. Most hyphens are those of UUIDs, behind a `0`.
    r"-(?<!0-)(?:(?=[\w%+/.-]{15})(?<=[iklpstxy]-)|(?<=[\s\"'`(]-)(?:[pu]|-us0r|-proxy-us0r)|(?<=r00is-)0li|----00gin)"
).search
_BEHIND_DOT: Final = re.compile(
    # SendGrid, Vault, and Discord's bot tokens.
    r"\.(?=[\w-]{22})(?:(?<=sg\.)|(?<=hv[0rs]\.)|(?=[a-z0]{24}(?![\w.-]))(?<=s\.)|(?<=\.[\w-]{6}\.))"
).search
_BEHIND_COLON: Final = re.compile(r":(?=0[\w-]{34})(?<=0{8}:)").search  # Telegram
_CAPITALS: Final = re.compile(r"A(?=[3BCIKST])(?=KIA|SIA|BIA|CCA|3T[A-Z0-9]|Iza|TATT3|KC|BSK)").search
_CARDS: Final = re.compile(_NUMBER + r"(?<!0{14})0{0,6}(?![a-z0_-])").finditer
_HYPHENED_CARD: Final = re.compile(r"0000-(?<![0-]0000-)(?:0000-0000-0000|000000-0000)").search
_SPACED_CARD: Final = re.compile(r"0000 (?<![0-]0000 )(?:0000 0000 0000|000000 0000)").search
_ITEM: Final = re.compile(r"\((?=[0u]?\\*[\"'][\w.-]{1,128}\\*[\"'],)").search

# A stem is a word in the keys of secrets. The rest of a key, and what is behind one:
_REST: Final = re.compile(r"[\w.?-]*(?:(?<=s0ssion)[ \t]i0)?").match
_SIGN: Final = re.compile(r"\\*[\"']?\]?\s{0,64}(?:[:!]?=|:)").match
_BEHIND_STEM: Final = {
    "0uth": re.compile(r"(?!or[^i])").match,
    "tok0n": re.compile(r"(?!s|iz)").match,
    "00r0": re.compile(r"[_.-]?num00r").match,
    "0r00it": re.compile(r"[_.-]?00r0").match,
}
"""What must follow some stems: `author` and `tokens` are in the keys of no secrets."""

_CVC: Final = "0v0"  # also matches `level` and `event`


def find_candidates(text: str) -> int:
    """Return what *text* may contain, the sum of :data:`URLS` to :data:`CVC`; 0 if it contains no secret."""
    shape = text.encode("ascii", "replace").translate(_SHAPED)
    candidates, numbers, _ = _cache.get(shape) or _classify(shape)
    if numbers:
        for at in numbers:
            if text[at] in _FIRST_DIGITS:
                candidates |= CARDS
                break
    if candidates & CVC and "cvc" not in text.lower():
        candidates ^= CVC
    # The leads of AWS, Google and others differ from words by their capital letters only.
    return candidates | TOKENS if "A" in text and _CAPITALS(text) is not None else candidates


def forget_shape(text: str) -> None:
    """Remove the shape of *text* from the cache, which must keep nothing of a secret."""
    _cache.pop(text.encode("ascii", "replace").translate(_SHAPED), None)


def secret_key_ends(text: str) -> list[int]:
    """Return where in *text* the keys of pairs end that may be those of secrets, in order."""
    shape = text.encode("ascii", "replace").translate(_SHAPED)
    return (_cache.get(shape) or _classify(shape))[2]


def _classify(shape: bytes) -> _Classified:
    text = shape.decode("ascii")  # a literal is found faster in `str`
    numbers: tuple[int, ...] = ()
    ends: list[int] = []
    pairs = ":" in text or "=" in text
    items = ("-" in text and "--" in text) or ("(" in text and _ITEM(text) is not None)
    stems = _stems_in(text) if pairs or items else []
    candidates = _value_candidates(text, stems)
    if "0000" in text:
        if _NUMBER in text:
            numbers = tuple(found.start() for found in _CARDS(text))
        candidates |= _number_candidates(text)
    if stems:
        ends = sorted({end for stem in stems for end in _key_ends(text, stem)}) if pairs else []
        if ends:
            candidates |= CVC if stems == [_CVC] else PAIRS
        if items:
            candidates |= ITEMS
    found = candidates, numbers, ends
    if len(shape) <= _MAX_CACHED_CHARS:
        if len(_cache) >= _MAX_CACHED_SHAPES:
            _cache.clear()  # for unbounded texts; frequent ones soon return
        _cache[shape] = found
    return found


def _value_candidates(shape: str, stems: list[str]) -> int:  # noqa: C901 - a flat sequence costs the least
    candidates = 0
    if "/" in shape:
        # Most URLs have neither; the `@` may be missing if a password was truncated.
        if ("//" in shape or ("\\" in shape and "\\/" in shape)) and ("@" in shape or shape.count(":") > 1):
            candidates |= URLS
        if "k" in shape and "hooks" in shape:
            candidates |= TOKENS
    if ("k" in shape and "tok0n" in shape) or "000r0r" in shape or "00si0" in shape:
        candidates |= AUTHORIZATION
    if "j" in shape and "0yj" in shape:
        candidates |= JSON_WEB_TOKENS
    if "_" in shape and _BEHIND_LOW_LINE(shape):
        candidates |= TOKENS | PROJECT_KEYS
    if "-" in shape:
        if _BEHIND_HYPHEN(shape):
            candidates |= TOKENS | STATEMENTS
        if ("x" in shape and ("xox0-" in shape or "xk0ysi0-" in shape)) or ("u" in shape and "0-us0" in shape):
            candidates |= TOKENS
    if "." in shape and _BEHIND_DOT(shape):
        candidates |= TOKENS
    # Values in Azure's keys and in signed URLs of AWS and Google have a known form.
    if "=" in shape and ("sig=" in shape or "k0y" in stems or "tok0n" in stems or "sign0t" in stems):
        candidates |= TOKENS
    if "'" in shape and ("p0sswor0" in shape or "i00nti0i00" in shape):
        candidates |= STATEMENTS
    return candidates


def _number_candidates(shape: str) -> int:
    candidates = 0
    # A UUID contains `-0000-0000-0000-`.
    if "-" in shape and "0000-0000" in shape and _HYPHENED_CARD(shape.replace(_UUID, "")):
        candidates |= CARDS
    if "0000 0000" in shape and _SPACED_CARD(shape):
        candidates |= CARDS
    if "0000000" in shape and (
        "sk00000000" in shape or "gr0000000" in shape or ("00000000:0" in shape and _BEHIND_COLON(shape))
    ):
        candidates |= TOKENS  # Twilio, GitLab, Telegram
    return candidates


def _stems_in(shape: str) -> list[str]:  # noqa: C901, PLR0912 - a flat sequence costs the least
    """Return the stems in *shape*. Rare letters are searched for first, which costs a fraction."""
    stems: list[str] = []
    if "k" in shape:
        if "k0y" in shape:
            stems.append("k0y")
        if "tok0n" in shape:
            stems.append("tok0n")
        if "ooki0" in shape:
            stems.append("ooki0")
    if "s" in shape:
        if "ss" in shape:
            stems += [stem for stem in ("p0ss", "s0ss", "ssn") if stem in shape]
        if "s00r0t" in shape:
            stems.append("s00r0t")
        if "si0" in shape:
            stems.append("si0")
    if "g" in shape and "sign0t" in shape:
        stems.append("sign0t")
    if "p" in shape:
        if "pin" in shape:
            stems.append("pin")
        if "otp" in shape:
            stems.append("otp")
    if "uth" in shape and "0uth" in shape:
        stems.append("0uth")
    if "w" in shape:
        stems += [stem for stem in ("pw0", "jwt") if stem in shape]
    if "r" in shape:
        if "sr0" in shape:
            stems += [stem for stem in ("0sr0", "xsr0") if stem in shape]
        if "000r0r" in shape:
            stems.append("000r0r")
        if "0r000nti0l" in shape:
            stems.append("0r000nti0l")
        if "0r00it" in shape:
            stems.append("0r00it")
        if "m" in shape and "num00r" in shape:
            stems.append("00r0")
    if "l" in shape and "so0i0l" in shape:
        stems.append("so0i0l")
    if "v" in shape:
        if "0vv" in shape:
            stems.append("0vv")
        if _CVC in shape:
            stems.append(_CVC)
    return stems


def _key_ends(shape: str, stem: str) -> list[int]:
    follows = _BEHIND_STEM.get(stem)
    ends: list[int] = []
    at = shape.find(stem)
    while at >= 0:
        at += len(stem)
        if follows is None or follows(shape, at):
            rest = _REST(shape, at)
            at = at if rest is None else rest.end()
            if _SIGN(shape, at):
                ends.append(at)
        at = shape.find(stem, at)
    return ends
