"""Values as applications have them, and worse: strategies for metadata, for errors, and for texts of any kind."""

import enum
import itertools
from array import array
from collections import OrderedDict, UserDict, deque
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from datetime import date, datetime
from typing import Any, Final
from unittest.mock import MagicMock

from hypothesis import strategies as st


class Odd:
    """Stands for a value in what Hypothesis makes: it looks at what it makes, and many of these bear no look."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"Odd({self.name!r})"


class Given:
    """What Hypothesis has made; :attr:`value` is that with all that is odd in the places of its names."""

    def __init__(self, recipe: Any) -> None:
        self._recipe = recipe
        self.value = _made(recipe)

    def __repr__(self) -> str:
        return f"Given({self._recipe!r})"


def _made(recipe: Any) -> Any:
    if isinstance(recipe, Odd):
        return ODD[recipe.name]()
    if isinstance(recipe, dict):
        return {_made(key): _made(value) for key, value in recipe.items()}
    if isinstance(recipe, (list, tuple, frozenset)):
        return type(recipe)(_made(item) for item in recipe)
    return recipe


class Refusal(Exception):  # noqa: N818 - an error of the application's
    """What the objects here raise."""


class Silent:
    """Has no text."""

    def __str__(self) -> str:
        raise Refusal

    __repr__ = __str__


class Mute:
    """Its text is none."""

    def __str__(self) -> str:
        return 7  # type: ignore[return-value]  # noqa: PLE0307 - that is what is wrong with it


class Lookalike:
    """Does not even tell its class."""

    @property
    def __class__(self) -> Any:
        raise Refusal

    @__class__.setter
    def __class__(self, value: Any) -> None: ...


class Undecided:
    """Neither true nor equal to anything, and without a hash."""

    def __bool__(self) -> bool:
        raise Refusal

    def __eq__(self, other: object) -> bool:
        raise Refusal

    __hash__ = None  # type: ignore[assignment]


class Closed:
    """Refuses every attribute."""

    def __getattribute__(self, name: str) -> Any:
        raise Refusal(name)


class Text(str):
    """A text that lies about itself, where it says anything at all."""

    __slots__ = ()

    def __str__(self) -> str:
        return "y" * 50_000

    def __len__(self) -> int:
        return 1

    def isascii(self) -> bool:
        return True

    def encode(self, *args: Any) -> bytes:
        raise Refusal

    def __getitem__(self, key: Any) -> str:
        raise Refusal


class Whole(int):
    """An integer that cannot be compared or shown."""

    def __lt__(self, other: int) -> bool:
        raise Refusal

    __le__ = __gt__ = __ge__ = __lt__

    def __str__(self) -> str:
        raise Refusal

    __repr__ = __str__


class Real(float):
    """A float that cannot be shown."""

    def __repr__(self) -> str:
        raise Refusal

    __str__ = __repr__


class Octets(bytes):
    """Bytes of no length."""

    def __len__(self) -> int:
        raise Refusal

    def __getitem__(self, key: Any) -> Any:
        return object()


class Endless(list[Any]):
    """A list without an end."""

    def __iter__(self) -> Iterator[Any]:
        return itertools.count()


class Broken(list[Any]):
    """A list that breaks off."""

    def __iter__(self) -> Iterator[Any]:
        yield 1
        raise Refusal


class NoDay(datetime):
    """A time that has no text, or a longer one than allowed."""

    def isoformat(self, sep: str = "T", timespec: str = "auto") -> str:
        return Text("a" * 10)


class Bottomless(Mapping[str, Any]):
    """A mapping without an end, which says that it has none or fewer entries."""

    def __init__(self, length: int) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[str]:
        return (f"key-{number}" for number in itertools.count())

    def __getitem__(self, key: str) -> Any:
        return self


class Moving(dict[Any, Any]):
    """A mapping that changes at every look."""

    def items(self) -> Any:
        for number in range(3):
            self[len(self)] = number
            yield number, self
        yield from super().items()


class Growing:
    """A key or a value that changes the mapping that it stands in when its text is asked for."""

    def __init__(self, mapping: dict[Any, Any]) -> None:
        self.mapping = mapping

    def __str__(self) -> str:
        self.mapping[len(self.mapping)] = self
        return "growing"


class Shut(Mapping[str, Any]):
    """A mapping that raises from everything."""

    def __len__(self) -> int:
        raise Refusal

    __iter__ = __getitem__ = __len__  # type: ignore[assignment]


class Torn(AbstractSet[Any]):
    """A set that is none."""

    def __contains__(self, item: object) -> bool:
        raise Refusal

    def __iter__(self) -> Iterator[Any]:
        yield self
        yield from ((), {}, [self])

    def __len__(self) -> int:
        return -1  # noqa: PLE0303 - that is what is wrong with it


class Colour(str, enum.Enum):
    RED = "red"


def _growing() -> dict[Any, Any]:
    mapping: dict[Any, Any] = {}
    mapping["first"] = Growing(mapping)
    mapping[Growing(mapping)] = 1
    return mapping


def _cycle() -> list[Any]:
    inner: dict[str, Any] = {}
    outer: list[Any] = [inner]
    inner["out"] = outer
    inner["self"] = inner
    return outer


def _deep() -> dict[str, Any]:
    value: Any = 1
    for number in range(5_000):
        value = {"deeper": value} if number % 2 else [value]
    return {"deep": value}


ODD: Final[dict[str, Callable[[], Any]]] = {
    **{
        kind.__name__: kind
        for kind in (Silent, Mute, Lookalike, Undecided, Closed, Endless, Broken, Moving, Shut, Torn)
    },
    "mock": MagicMock,
    "object": object,
    "class": lambda: Silent,
    "subclass of str": lambda: Text("x"),
    "subclass of int": lambda: Whole(7),
    "large subclass of int": lambda: Whole(10**30),
    "subclass of float": lambda: Real(0.5),
    "subclass of bytes": lambda: Octets(b"x"),
    "subclass of datetime": lambda: NoDay(2026, 1, 1),
    "enum": lambda: Colour.RED,
    "endless mapping": lambda: Bottomless(3),
    "endless mapping of great length": lambda: Bottomless(2**62),
    "endless mapping of negative length": lambda: Bottomless(-1),
    "growing": _growing,
    "cycle": _cycle,
    "deep": _deep,
    "huge int": lambda: 10**5_000,
    "iterator": itertools.count,
    "wide memoryview": lambda: memoryview(array("d", [0.5] * 4_096)),
    "bytearray": lambda: bytearray(b"\xff" * 20_000),
    "zeros": lambda: b"\x00" * 9_000,
    "user dict": lambda: UserDict({"a": 1}),
    "ordered dict": lambda: OrderedDict(b=2),
    "deque": lambda: deque([1, 2]),
    "date": lambda: date.max,
    "range": lambda: range(3),
    "odd keys": lambda: {Silent(): 1, None: 2, (1, 2): 3, 0.5: 4, b"k": 5, Text("key"): 6},
    "many keys": lambda: dict.fromkeys(range(900)),
    "many surrogates": lambda: {f"{number}": "\ud800" * 300 for number in range(60)},
    "large": lambda: [[["x" * 4_000] * 20] * 20] * 20,
}
LONG: Final[dict[str, Callable[[], Any]]] = {
    "long surrogates": lambda: "\udfff" * 3_000,
    "long control characters": lambda: "\x00" * 5_000,
    "long": lambda: "x" * 100_000,
    "long, not ASCII": lambda: "é" * 5_000,
}
ODD.update(LONG)

oddities: Final = st.sampled_from(list(ODD)).map(Odd)
texts: Final = (
    st.text(st.characters(exclude_categories=()), max_size=20)
    | st.sampled_from(["", "\ud800", "\u2028", '"\\', "password", "failpath.x"])
    | st.sampled_from(list(LONG)).map(Odd)
)
"""Any code points, also those that no encoding has, and lengths beyond the limits."""

_scalars: Final = (
    st.none() | st.booleans() | st.integers() | st.floats() | texts | st.binary(max_size=20) | st.complex_numbers()
)

values: Final = st.recursive(
    _scalars | oddities,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(texts | st.integers() | st.none(), inner, max_size=4)
        | st.frozensets(texts | st.integers(), max_size=4)
    ),
    max_leaves=12,
)
"""Recipes of anything that an application may put into metadata."""

anything: Final = values.map(Given)

metadata: Final = (
    st.none() | st.dictionaries(texts | st.integers(), values, max_size=6) | oddities | st.just(7) | st.just("text")
).map(Given)
"""Anything that an application may pass as metadata."""
