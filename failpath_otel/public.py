"""Public objects say the name by which users import them."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

PublicT = TypeVar("PublicT", bound=type | Callable[..., Any])

_PACKAGE: Final = __name__.partition(".")[0]


def public(given: PublicT) -> PublicT:
    """Name ``given``, a class or a function, as one of the package, and not of the module that it is defined in.

    Tracebacks, ``repr()``, pickles and documentation then show ``failpath_otel.Run``, which stays where it is when the
    modules move.
    """
    given.__module__ = _PACKAGE
    return given
