"""The exceptions: their family, what they carry, and that they travel between processes."""

import copy
import pickle

import pytest

import failpath_otel
from failpath_otel import (
    ConfigurationError,
    DeliveryError,
    FailpathError,
    InvalidRecordError,
    JournalError,
    QueueFullError,
    RecordsRejectedError,
    RejectedRecord,
    SendError,
    ShutdownError,
)
from failpath_otel.options.options import OPTIONS

KEY = "fp_project_0123456789_secret"
ERRORS = [
    FailpathError("any"),
    ConfigurationError("option must be"),
    DeliveryError("not sent", 7),
    SendError("answered 503", 2, 503, retrying=True),
    SendError("could not be reached", 3),
    RecordsRejectedError("unknown flow", 1),
    RecordsRejectedError(
        "not known", 1, "unknown flow", RejectedRecord("checkout", "req-1", "pack", "success", "0" * 32)
    ),
    QueueFullError("full", 9),
    ShutdownError("shut", 1),
    InvalidRecordError("invalid", 1),
    JournalError("full", 3),
]


def test_every_exception_is_a_failpath_error_and_those_of_records_are_delivery_errors() -> None:
    family = [getattr(failpath_otel, name) for name in failpath_otel.__all__]
    errors = {each for each in family if isinstance(each, type) and issubclass(each, Exception)}
    assert errors == {type(error) for error in ERRORS}
    assert all(issubclass(error, FailpathError) for error in errors)
    assert errors - {error for error in errors if issubclass(error, DeliveryError)} == {
        FailpathError,
        ConfigurationError,
    }


def test_a_configuration_error_is_a_value_error_and_a_delivery_error_is_none() -> None:
    assert issubclass(ConfigurationError, ValueError)
    assert not issubclass(ConfigurationError, DeliveryError)
    assert not issubclass(DeliveryError, (ValueError, OSError))


@pytest.mark.parametrize("error", ERRORS, ids=repr)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_an_exception_survives_a_pickle_with_all_that_it_carries(error: FailpathError, protocol: int) -> None:
    back = pickle.loads(pickle.dumps(error, protocol))
    assert type(back) is type(error)
    assert str(back) == str(error)
    assert vars(back) == vars(error)


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_an_exception_can_be_copied(error: FailpathError) -> None:
    for copied in (copy.copy(error), copy.deepcopy(error)):
        assert (type(copied), str(copied), vars(copied)) == (type(error), str(error), vars(error))


def test_without_more_an_error_is_of_no_records_has_no_status_and_is_a_loss() -> None:
    error = SendError("not sent")
    assert (error.records, error.status, error.retrying) == (0, None, False)
    rejected = RecordsRejectedError("rejected")
    assert (rejected.records, rejected.reason, rejected.record) == (0, "", None)


@pytest.mark.parametrize("name", [option.name for option in OPTIONS if option.name != "project_key"])
def test_no_refusal_of_an_option_shows_the_key(name: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        failpath_otel.configure(**{"project_key": KEY, name: object()})  # type: ignore[arg-type]
    assert KEY not in str(refused.value) + repr(refused.value)


@pytest.mark.parametrize("key", [f"{KEY}\n{KEY}", f"{KEY} {KEY}", f"{KEY}é", KEY.encode(), [KEY], {KEY: KEY}])
def test_a_key_that_cannot_work_is_not_shown(key: object) -> None:
    with pytest.raises(ConfigurationError) as refused:
        failpath_otel.configure(project_key=key)  # type: ignore[arg-type]
    assert KEY not in str(refused.value) + repr(refused.value)


def test_an_endpoint_with_the_key_in_it_does_not_show_it() -> None:
    for endpoint in (KEY, f"http://{KEY}@127.0.0.1", f"http://127.0.0.1/?key={KEY}", f"{KEY}://127.0.0.1"):
        with pytest.raises(ConfigurationError) as refused:
            failpath_otel.configure(project_key=KEY, endpoint=endpoint)
        assert KEY not in str(refused.value) + repr(refused.value)
