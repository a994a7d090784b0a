import pytest

import failpath_otel


def test_the_public_names_are_exactly_these() -> None:
    assert sorted(failpath_otel.__all__) == [
        "ConfigurationError",
        "DeliveryError",
        "Failpath",
        "FailpathClient",
        "FailpathError",
        "FailpathSpanExporter",
        "FailpathSpanProcessor",
        "InvalidRecordError",
        "JournalError",
        "QueueFullError",
        "RecordsRejectedError",
        "RejectedRecord",
        "Run",
        "SendError",
        "ShutdownError",
        "Stats",
        "Step",
        "StepRule",
        "__version__",
        "configure",
    ]


def test_every_public_name_is_there() -> None:
    for name in failpath_otel.__all__:
        assert getattr(failpath_otel, name) is not None


def test_the_package_shows_no_name_beyond_those_but_its_modules() -> None:
    shown = {name for name in vars(failpath_otel) if not name.startswith("_")}
    modules = {name for name in shown if type(getattr(failpath_otel, name)).__name__ == "module"}
    assert shown - modules == set(failpath_otel.__all__) - {"__version__"}


@pytest.mark.parametrize("name", [name for name in failpath_otel.__all__ if name != "__version__"])
def test_every_public_object_names_the_package_as_its_module(name: str) -> None:
    assert getattr(failpath_otel, name).__module__ == "failpath_otel"
