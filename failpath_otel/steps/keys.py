"""The keys, run ids and statuses that a caller passes: checked before anything is recorded."""

import typing
import uuid

from failpath_otel import limits, semconv
from failpath_otel.handler_exceptions import reraise_if_from_handler
from failpath_otel.scrubbing.keys import is_secret_key
from failpath_otel.scrubbing.values import bounded_run_id, clean_text, text_of, type_name

if typing.TYPE_CHECKING:
    import typing_extensions

    StepKey_contra = typing_extensions.TypeVar("StepKey_contra", bound=str, contravariant=True, default=str)
else:
    # The default is for type checkers, and `typing` knows it since Python 3.13 only.
    StepKey_contra = typing.TypeVar("StepKey_contra", bound=str, contravariant=True)


def check_key(name: str, value: object) -> str:
    """Return a flow key or step key.

    Raises:
        TypeError: it is not a string.
        ValueError: it is empty, or longer than :data:`failpath_otel.limits.MAX_KEY_CHARS`.
    """
    if type(value) is str and 0 < len(value) <= limits.MAX_KEY_CHARS and value.isascii():
        return value
    if not isinstance(value, str):
        hint = f'; decorate with @run.step("{name}")' if callable(value) else ""
        raise TypeError(f"{name} must be a non-empty string, got {text_of(value, 80)!r} ({type_name(value)}){hint}")
    value = str.__str__(value)
    if not value:
        raise ValueError(f"{name} must be a non-empty string, got ''")
    if len(value) > limits.MAX_KEY_CHARS:
        msg = f"{name} must have at most {limits.MAX_KEY_CHARS} characters, got {len(value)}: {clean_text(value, 60)!r}"
        raise ValueError(msg)
    return clean_text(value, limits.MAX_KEY_CHARS * 10)


def check_header(name: str | None) -> str | None:
    """Return the name of the header that holds a run id, in lower case.

    Raises:
        TypeError: it is not a string.
        ValueError: it is empty or too long, or looks like the name of a secret.
    """
    if name is None:
        return None
    name = check_key("run_id_header", name)
    if is_secret_key(name):
        raise ValueError(f"run_id_header must not name a secret, and {clean_text(name, 80)!r} looks like one")
    return name.lower()


def make_run_id(run_id: object) -> str:
    """Return the text of ``run_id``, or a generated one (32 hex digits) where it is ``None`` or has no text.

    A run id beyond :data:`failpath_otel.limits.MAX_RUN_ID_CHARS` characters keeps its beginning and ends in a hash of
    the whole, so that the same long id names the same run everywhere.
    """
    return bounded_run_id("" if run_id is None else _text(run_id)) or uuid.uuid4().hex


def _text(run_id: object) -> str:
    try:
        return str.__str__(run_id if isinstance(run_id, str) else str(run_id))
    except Exception as error:  # noqa: BLE001 - an id without text is no id
        reraise_if_from_handler(error)
        return ""


def check_status(status: object) -> str:
    """Return a status.

    Raises:
        TypeError: it is not a string.
        ValueError: it is none of :data:`failpath_otel.semconv.STATUSES`.
    """
    if not isinstance(status, str):
        raise TypeError(f"status must be one of {', '.join(semconv.STATUSES)}, got {text_of(status, 80)!r}")
    if status not in semconv.STATUSES:
        raise ValueError(f"status must be one of {', '.join(semconv.STATUSES)}, got {clean_text(status, 80)!r}")
    return str.__str__(status)
