"""Public objects carry the name by which users import them."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

PublicT = TypeVar("PublicT", bound=type | Callable[..., Any])

_PACKAGE: Final = __name__.partition(".")[0]


def public(given: PublicT) -> PublicT:
    """Set the module of ``given``, a class or a function, to the package, in place of the module that defines it.

    Tracebacks, ``repr()``, pickles and documentation then show ``failpath_otel.Run``, which stays the same when modules
    move.
    """
    given.__module__ = _PACKAGE
    return given
