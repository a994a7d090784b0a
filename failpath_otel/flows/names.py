"""Python names for the keys of flows and steps: the same for the same keys, and never one name for two."""

import hashlib
import keyword
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

_MAX_CHARS: Final = 48
"""Of a name before what is added to it; of one beyond ASCII, whose characters may be twice as wide, half as many."""

# Written down, because which there are differs between versions of Python.
_BUILTINS: Final = (
    "abs aiter all anext any ascii bin bool breakpoint bytearray bytes callable chr classmethod compile complex"
    " copyright credits delattr dict dir divmod enumerate eval exec exit filter float format frozenset getattr globals"
    " hasattr hash help hex id input int isinstance issubclass iter len license list locals map max memoryview min next"
    " object oct open ord pow print property quit range repr reversed round set setattr slice sorted staticmethod str"
    " sum super tuple type vars zip"
)
_UNUSABLE: Final = frozenset(keyword.kwlist) | {"l"}  # which linters take for a 1

_OF_THE_MODULE: Final = frozenset({"datetime", "overload", "typed"})


def flow_names(slugs: Iterable[str]) -> dict[str, str]:
    """Return the name of each flow in a module: ``nightly-report`` is ``nightly_report``.

    The names differ also where they are written as :func:`cap_words`.
    """
    return _distinct(slugs, "flow", _UNUSABLE | set(_BUILTINS.split()) | _OF_THE_MODULE, cap_words)


def step_names(keys: Iterable[str]) -> dict[str, str]:
    """Return the name of each step of a flow in a class: ``charge-card`` is ``charge_card``."""
    return _distinct(keys, "step", _UNUSABLE, str)


def cap_words(name: str) -> str:
    """Return a name as that of a class: ``nightly_report`` is ``NightlyReport``."""
    words = unicodedata.normalize("NFKC", "".join(word[:1].upper() + word[1:] for word in name.split("_")))
    return words if words[:1].isupper() else f"Flow{words}"


def _distinct(
    keys: Iterable[str], kind: str, reserved: frozenset[str], written: Callable[[str], str]
) -> dict[str, str]:
    """Return a name for each key.

    Keys that would have one name all have a part of their hash in theirs: so none takes the name of another one that
    had it before.
    """
    plain = {key: _name(key, kind, reserved) for key in keys}
    names = dict(plain)
    for digits in (4, 8, 64):
        counts = Counter(map(written, names.values()))
        names = {
            key: f"{plain[key].rstrip('_')}_{_hash(key)[:digits]}" if counts[written(name)] > 1 else name
            for key, name in names.items()
        }
    return names


def _name(key: str, kind: str, reserved: frozenset[str]) -> str:
    name = "_".join(_words(unicodedata.normalize("NFKC", "".join(map(_without_accents, key)))))
    most = _MAX_CHARS if name.isascii() else _MAX_CHARS // 2
    if len(name) > most:
        name = f"{name[:most].rstrip('_')}_{_hash(key)[:8]}"
    if not name:
        name = f"{kind}_{_hash(key)[:8]}"
    elif not name.isidentifier():  # as a digit first
        name = f"{kind}_{name}"
    return f"{name}_" if name in reserved else name


def _words(text: str) -> list[str]:
    """Return the words of a text in lower case; ``chargeCard`` has two, ``HTTPCall`` too."""
    spaced = ""
    for at, char in enumerate(text):
        before, after = text[at - 1 : at], text[at + 1 : at + 2]
        if char.isupper() and (before.islower() or before.isdecimal() or (before.isupper() and after.islower())):
            spaced += " "
        spaced += char if char != "_" and f"a{char}".isidentifier() else " "
    return unicodedata.normalize("NFKC", spaced.casefold().lower()).split()


def _without_accents(char: str) -> str:
    """Return the ASCII letter below the accents; the character itself where there is none."""
    first = unicodedata.normalize("NFKD", char)[:1]
    return first if first.isascii() and first.isalpha() else char


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
