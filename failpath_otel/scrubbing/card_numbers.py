"""Payment card numbers in free text: an issuer's prefix, length and check digit, standing alone."""

import re
from typing import Final

from failpath_otel.scrubbing.pairs import Span, replace_found

# What an issuer prints: the digits together, in fours, or as 4-6-5 and 4-6-4, with blanks or hyphens.
_NUMBER: Final = re.compile(
    r"(?:(?<![\w.+-])|(?<=\\[nrt]))(?:[2-6]\d{12,18}|"
    r"[2-6]\d{3}(?P<gap>[ -])(?:\d{4}(?P=gap)\d{4}(?P=gap)\d{4}(?:(?P=gap)\d{3})?"
    r"|\d{6}(?P=gap)\d{4,5}))(?![\w-]|\.\d)",
    re.ASCII,
)
# Visa; Mastercard; American Express; Discover; Diners Club; JCB: the ranges of developer.cybersource.com, "Card Type
# Identification". UnionPay, and lengths beyond: braintree/credit-card-type (MIT), lib/card-types. Maestro has most of
# what begins with 5 or 6 in any length, and is left out for that.
_ISSUERS: Final = (
    (re.compile(r"4"), frozenset({13, 16, 18, 19})),
    (re.compile(r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720"), frozenset({16})),
    (re.compile(r"3[47]"), frozenset({15})),
    (re.compile(r"6011|64[4-9]|65"), frozenset({16, 19})),
    (re.compile(r"30[0-5]|3095|3[689]"), frozenset({14})),
    (re.compile(r"35(?:2[89]|[3-8])"), frozenset({16, 17, 18, 19})),
    (re.compile(r"62"), frozenset({16, 17, 18, 19})),
)
_DOUBLED: Final = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def redact_card_numbers(text: str) -> str:
    """Redact the numbers of payment cards."""
    return replace_found(text, _NUMBER.search, _card)


def _card(_: str, found: "re.Match[str]") -> Span | None:
    digits = found[0].replace(found["gap"], "") if found["gap"] else found[0]
    issued = any(len(digits) in lengths and prefix.match(digits) for prefix, lengths in _ISSUERS)
    return found.span() if issued and _has_check_sum(digits) else None


def _has_check_sum(digits: str) -> bool:
    """Return whether the last digit is the check digit of ISO/IEC 7812-1, annex B."""
    backwards = [int(digit) for digit in reversed(digits)]
    return not (sum(backwards[::2]) + sum(_DOUBLED[digit] for digit in backwards[1::2])) % 10
