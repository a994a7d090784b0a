"""A quick look at a text by its shape, which tells what secrets it may hold. Most texts are done with after it.

The texts of a program differ in numbers and identifiers, so they have few shapes. What was found of a shape is kept,
and a text of a known shape costs one translation and one look-up.
"""

import re
from typing import Final

# In a shape, letters are lower case, digits and the letters of hexadecimal numbers are `0`, and what is not ASCII is `?`.
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
CARDS_IN_GROUPS: Final = 1_024
"""What a text may hold; the numbers are added up."""

_MAX_KEPT_CHARS: Final = 600
_MAX_KEPT: Final = 1_024
Found = tuple[int, tuple[int, ...]]
"""What texts of a shape may hold, and where numbers begin in them that may be those of cards."""
_kept: Final[dict[bytes, Found]] = {}
"""By shape, what was found of it, where that is nothing or to be settled."""

_DIGITS: Final = "0" * 13
_FIRST_OF_CARD: Final = "23456"

# A pattern begins with a literal, to which `re` skips fast. What stands before the literal is looked for behind it.
_LONG_WORD: Final = re.compile(r"_(?=[\w.+/=-]{15})").search
_BEHIND_HYPHEN: Final = re.compile(
    # Leads of tokens, `-us12` of Mailchimp, options of commands, `-----BEGIN`.
    r"-(?:(?<=[iklpstxy]-)(?=[\w%+/.-]{15})|(?<=xox0-)|(?<=k0ysi0-)|(?<=0{32}-)us0|(?<=r00is-)0li"
    r"|(?<=[\s\"'`(]-)(?:[pu]|-us0r|-proxy-us0r)|----00gin)"
).search
_BEHIND_DOT: Final = re.compile(
    # SendGrid, Vault, and Discord's tokens of bots.
    r"\.(?:(?<=sg\.)|(?<=hv[0rs]\.)|(?<=s\.)(?=[a-z0]{24}(?![\w.-]))|(?<=[\w-]{24}\.)(?=[\w-]{6}\.[\w-]{27}))"
).search
_TELEGRAM: Final = re.compile(r":(?<=0{8}:)(?=0[\w-]{34})").search
_CARD: Final = re.compile(r"0000000000000(?<!0{14})0{0,6}(?![a-z0_-])").finditer
_CARD_IN_GROUPS: Final = re.compile(r"0000-(?<![0-]0000-)(?:0000-0000-0000|000000-0000)").search
_CARD_WITH_BLANKS: Final = re.compile(r"0000 (?<![0-]0000 )(?:0000 0000 0000|000000 0000)").search
# The words that are in the keys of secrets. `author` and `tokens` are in no others than these.
_STEM: Final = (
    r"(?:p0ss|k0y|0uth(?!or[^i])|tok0n(?!s|iz)|s00r0t|0ooki0|s0ss|0r000nti0l|pw0|000r0r|jwt|pin|ssn|0vv|0sr0|xsr0|si0|otp"
    r"|00r0[_.-]?num00r|0r00it[_.-]?00r0|sign0tur0|so0i0l)"
)
_SIGN: Final = r"(?=\\*[\"']?\]?\s{0,64}(?:[:!]?=|:))"
_REST: Final = r"[\w.?-]{0,128}(?:(?<=s0ssion)[ \t]i0)?" + _SIGN
_PAIR: Final = re.compile(_STEM + _REST).search
PAIR: Final = re.compile(r"(?:" + _STEM + r"|0v0)" + _REST)
"""In a shape, the key of a pair that may be that of a secret, from the word on that makes it one; `session id: …` too."""

# `cvc`, and much else that is no secret: `level`, `event`.
_CVC: Final = re.compile(r"0v0" + _REST).search
_ITEM: Final = re.compile(r"\((?=[0u]?\\*[\"'][\w.-]{1,128}\\*[\"'],)").search


_CAPITALS: Final = re.compile(r"A(?=3T[A-Z0-9]|KIA|SIA|BIA|CCA|Iza|TATT3|KC|BSK)").search


def shape_of(text: str) -> bytes:
    """The shape of ``text``, which has a byte for each of its characters."""
    return text.encode("ascii", "replace").translate(_SHAPED)


def look(text: str) -> int:
    """What ``text`` may hold, all from :data:`URLS` to :data:`CARDS_IN_GROUPS` added up; 0 where it holds no secret."""
    shape = text.encode("ascii", "replace").translate(_SHAPED)
    may_hold, numbers = _kept.get(shape) or _look(shape)
    if numbers:
        for at in numbers:
            if text[at] in _FIRST_OF_CARD:
                may_hold |= CARDS
                break
    if may_hold & CVC:
        may_hold ^= CVC | PAIRS * ("cvc" in text.lower() and not may_hold & PAIRS)
    # AWS, Google and others: their leads are known by their capital letters alone.
    return may_hold | TOKENS if "A" in text and _CAPITALS(text) is not None else may_hold


def _look(shape: bytes) -> Found:
    text = shape.decode("ascii")  # in which one looks for a literal at a fraction of the cost
    numbers = tuple(found.start() for found in _CARD(text)) if _DIGITS in text else ()
    found = _look_for_values(text) | _look_for_pairs(text), numbers
    if not found[0] & ~CVC and len(shape) <= _MAX_KEPT_CHARS:
        if len(_kept) >= _MAX_KEPT:
            _kept.clear()  # a program that makes up texts; those that come again are soon there again
        _kept[shape] = found
    return found


def _look_for_values(shape: str) -> int:
    may_hold = 0
    if "/" in shape:
        # Most URLs have neither; of one with a password that was cut off, the `@` may be missing.
        if ("//" in shape or ("\\" in shape and "\\/" in shape)) and ("@" in shape or shape.count(":") > 1):
            may_hold |= URLS
        if "hooks" in shape:
            may_hold |= TOKENS
    if "000r0r" in shape or "00si0" in shape or ("k" in shape and "tok0n" in shape):
        may_hold |= AUTHORIZATION
    if "j" in shape and "0yj" in shape:
        may_hold |= JSON_WEB_TOKENS
    if "_" in shape:
        if "0p_proj00t_" in shape:
            may_hold |= PROJECT_KEYS
        if _LONG_WORD(shape):
            may_hold |= TOKENS
    if "-" in shape and _BEHIND_HYPHEN(shape):
        may_hold |= TOKENS | STATEMENTS
    if ("." in shape and _BEHIND_DOT(shape)) or "sk00000000" in shape or "gr00000000" in shape:
        may_hold |= TOKENS
    if ("0000-0000" in shape and _CARD_IN_GROUPS(shape)) or ("0000 0000" in shape and _CARD_WITH_BLANKS(shape)):
        may_hold |= CARDS_IN_GROUPS
    if "'" in shape and ("p0sswor0" in shape or "i00nti0i00" in shape):
        may_hold |= STATEMENTS
    return may_hold


def _look_for_pairs(shape: str) -> int:
    may_hold = 0
    colon = ":" in shape
    if colon or "=" in shape:
        if _has_stem(shape) and _PAIR(shape):
            # Of the keys of Azure and AWS, the values are looked for by their looks too.
            may_hold = PAIRS | TOKENS
        elif "sig=" in shape or (colon and _TELEGRAM(shape)):
            may_hold = TOKENS
        if "v" in shape and _CVC(shape):
            may_hold |= CVC
    if ("--" in shape or ("(" in shape and _ITEM(shape))) and _has_stem(shape):
        may_hold |= ITEMS
    return may_hold


def _has_stem(shape: str) -> bool:
    """Whether any of the words of secrets is in ``shape``. A letter that few texts have is looked for first."""
    return (
        ("k" in shape and ("k0y" in shape or "tok0n" in shape or "0ooki0" in shape))
        or "ss" in shape  # pass, session, ssn
        or "0uth" in shape
        or "s00r0t" in shape
        or "0r000nti0l" in shape
        or ("w" in shape and ("pw0" in shape or "jwt" in shape))
        or "pin" in shape
        or "si0" in shape
        or "otp" in shape
        or "000r0r" in shape
        or ("v" in shape and "0vv" in shape)
        or "sr0" in shape  # csrf, xsrf
        or ("g" in shape and "sign0tur0" in shape)
        or "so0i0l" in shape
        or "num00r" in shape
        or "0r00it" in shape
    )
