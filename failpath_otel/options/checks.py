"""Checks of options, one for each kind: return a valid value, raise ``ConfigurationError`` for any other.

``source`` names the argument or the environment variable; a value from the environment is a text. No message contains a
value that may be a secret.
"""

import inspect
import os
from collections.abc import Callable, Mapping
from typing import Any, Final

from failpath_otel import limits
from failpath_otel.errors import ConfigurationError
from failpath_otel.handler_exceptions import reraise_if_from_handler
from failpath_otel.scrubbing.values import Json, clean_metadata, text_of, type_name

Check = Callable[[str, object], Any]

_TRUE: Final = ("true", "1", "yes", "on")
_FALSE: Final = ("false", "0", "no", "off")
_MAX_SHOWN: Final = 80


def _invalid(source: str, allowed: str, given: object) -> ConfigurationError:
    return ConfigurationError(f"{source} must be {allowed}, got {text_of(given, _MAX_SHOWN)!r} ({type_name(given)})")


def flag(source: str, given: object) -> bool:
    """Check a flag; the environment also accepts 1 and 0, yes and no, on and off, in any case."""
    if isinstance(given, bool):
        return given
    if _is_variable(source, given):
        word = str(given).strip().lower()
        if word in _TRUE + _FALSE:
            return word in _TRUE
    allowed = "true or false" if source.isupper() else "True or False"
    raise _invalid(source, allowed, given)


IF_KEY_PRESENT: Final = "if-key-present"


def enabled(source: str, given: object) -> bool | str:
    """Check a flag or ``"if-key-present"``."""
    if isinstance(given, str) and (given.strip().lower() if source.isupper() else given) == IF_KEY_PRESENT:
        return IF_KEY_PRESENT
    try:
        return flag(source, given)
    except ConfigurationError:
        allowed = "true, false" if source.isupper() else "True, False"
        raise _invalid(source, f"{allowed} or {IF_KEY_PRESENT!r}", given) from None


def metrics(source: str, given: object) -> Any:  # noqa: ANN401 - a meter provider, or a flag
    """Check a flag, or an OpenTelemetry meter provider."""
    if callable(getattr(type(given), "get_meter", None)):  # not of the object: it may raise
        return given
    try:
        return flag(source, given)
    except ConfigurationError:
        allowed = "true or false" if source.isupper() else "True, False or an OpenTelemetry MeterProvider"
        raise _invalid(source, allowed, given) from None


def seconds(source: str, given: object) -> float:
    """Check a time to wait: from 0 to a day."""
    value = _number(float, source, given)
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= limits.MAX_SECONDS:
        return float(value)
    raise _invalid(source, f"a number of seconds from 0 to {limits.MAX_SECONDS:.0f}", given)


def queue_size(source: str, given: object) -> int:
    """Check a number of records, at least the two of one step."""
    value = _number(int, source, given)
    if isinstance(value, int) and not isinstance(value, bool) and 2 <= value <= limits.MAX_QUEUE_SIZE:  # noqa: PLR2004
        return int(value)
    raise _invalid(source, f"a whole number from 2 to {limits.MAX_QUEUE_SIZE}", given)


def one_of(*allowed: str) -> Check:
    """Return a check for one of these words."""

    def check(source: str, given: object) -> str:
        if isinstance(given, str):
            word = given.strip().lower() if source.isupper() else given
            if word in allowed:
                return str(word)
        raise _invalid(source, " or ".join(repr(each) for each in allowed), given)

    return check


def callback(source: str, given: object) -> Callable[..., Any]:
    """Check a callable that is not async."""
    call = getattr(type(given), "__call__", None)  # noqa: B004 - to see whether it is async
    if callable(given) and not inspect.iscoroutinefunction(given) and not inspect.iscoroutinefunction(call):
        return given
    raise _invalid(source, "a function that is not async", given)


def metadata(source: str, given: object) -> dict[str, Json]:
    """Check metadata and clean it once for all records."""
    if isinstance(given, Mapping):
        return clean_metadata(given)
    raise _invalid(source, "a mapping of JSON-like values", given)


DEFAULT_JOURNAL: Final = "default"
OFF: Final = "off"


def journal(source: str, given: object) -> str | None:
    """Check a directory and make it absolute, because a process may change its own; ``"off"``: none; ``"default"``."""
    if isinstance(given, (str, os.PathLike)):
        path: object = os.fspath(given)
        if isinstance(path, str) and path.strip() and "\0" not in path and len(path) <= limits.MAX_PATH_CHARS:
            word = path.strip().lower()
            if isinstance(given, str) and word in {OFF, DEFAULT_JOURNAL}:
                return None if word == OFF else DEFAULT_JOURNAL
            # Not `Path.resolve`, which follows symbolic links: the journal refuses them.
            home = os.path.expanduser(path)  # noqa: PTH111
            if not home.startswith("~"):  # not of an unknown user
                return os.path.abspath(home)  # noqa: PTH100
    raise _invalid(source, "a directory, 'off' or 'default'", given)


def file(source: str, given: object) -> str:
    """Check the path of a file, existing or not, and make it absolute, because a process may change its directory."""
    path: object = os.fspath(given) if isinstance(given, (str, os.PathLike)) else None
    if isinstance(path, str) and path.strip() and "\0" not in path and len(path) <= limits.MAX_PATH_CHARS:
        return os.path.abspath(os.path.expanduser(path.strip()))  # noqa: PTH100, PTH111 - as for the journal
    raise _invalid(source, "the path of a file", given)


def session(source: str, given: object) -> Any:  # noqa: ANN401 - a session or an object like it
    """Check a ``requests.Session`` or an object with its methods."""
    try:
        # The second method is missing in similar clients, as httpx's.
        methods = (getattr(given, "post", None), getattr(given, "get_adapter", None))
        fits = not isinstance(given, type) and all(map(callable, methods))
    except Exception as error:  # noqa: BLE001 - an object of the user's may raise anything
        reraise_if_from_handler(error)
        fits = False
    if fits:
        return given
    raise ConfigurationError(f"{source} must be a requests.Session, got {type_name(given)}")


def project_key(source: str, given: object) -> str:
    """Check a text that an HTTP header can carry. Messages never contain it."""
    hint = "pass project_key=, or set FAILPATH_PROJECT_KEY"
    if not isinstance(given, str):
        raise ConfigurationError(f"the project key must be a string, got {type_name(given)}: {hint}")
    key = str.__str__(given).strip()
    if not key:
        raise ConfigurationError(f"the project key is missing: {hint}")
    if not (key.isascii() and key.isprintable() and " " not in key):
        msg = f"the project key ({source}) must be ASCII text without spaces; the one given has other characters"
        raise ConfigurationError(msg)
    return key


def route(source: str, given: object) -> str:
    """Check the path that is added to the endpoint."""
    if isinstance(given, str) and given.startswith("/") and given.isprintable() and not set(given) & set(" ?#"):
        return given
    raise _invalid(source, "a path that begins with '/', without spaces, query and fragment", given)


def headers(source: str, given: object) -> dict[str, str]:
    """Check HTTP headers. Messages never contain their values."""
    if isinstance(given, Mapping):
        found = dict(given)
        if all(_is_header(name, value) for name, value in found.items()):
            return {str.__str__(name): str.__str__(value) for name, value in found.items()}
        got = "other names or values"
    else:
        got = f"a {type_name(given)}"
    raise ConfigurationError(f"{source} must be a mapping of HTTP header names to texts of ASCII characters, got {got}")


def _is_header(name: object, value: object) -> bool:
    return (
        isinstance(name, str)
        and name.isascii()
        and bool(name.replace("-", "").replace("_", "").isalnum())
        and isinstance(value, str)
        and value.isascii()
        and value.isprintable()
        and value == value.strip()
    )


def _is_variable(source: str, given: object) -> bool:
    return source.isupper() and isinstance(given, str)


def _number(kind: type[int] | type[float], source: str, given: object) -> object:
    """Return the number that an environment variable contains; anything else unchanged."""
    if not _is_variable(source, given):
        return given
    try:
        return kind(str(given))
    except ValueError:
        return given
