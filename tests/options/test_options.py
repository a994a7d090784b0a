"""Options: keyword, then environment, then default; and what is said of those that cannot work."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import failpath_otel
from failpath_otel import ConfigurationError, FailpathSpanExporter, FailpathSpanProcessor, StepRule
from failpath_otel.options.options import DEFAULT_ENDPOINT, OPTIONS, Options, default_journal
from tests.keys import KEY

RULES = Path(__file__).parent / "rules.toml"

GOOD: list[tuple[str, str, str, Any]] = [
    ("project_key", "FAILPATH_PROJECT_KEY", f" {KEY} ", KEY),
    ("endpoint", "FAILPATH_DEV_ENDPOINT", "http://127.0.0.1:3001/", "http://127.0.0.1:3001"),
    *(("enabled", "FAILPATH_ENABLED", text, True) for text in ("true", "TRUE", "1", "yes", "On", " true ")),
    *(("enabled", "FAILPATH_ENABLED", text, False) for text in ("false", "False", "0", "NO", "off")),
    ("enabled", "FAILPATH_ENABLED", "if-key-present", True),
    ("capture_stack", "FAILPATH_CAPTURE_STACK", "true", True),
    ("capture_stack", "FAILPATH_CAPTURE_STACK", "0", False),
    ("send_error_messages", "FAILPATH_SEND_ERROR_MESSAGES", "no", False),
    ("send_process", "FAILPATH_SEND_PROCESS", "off", False),
    ("delivery", "FAILPATH_DELIVERY", "await", "await"),
    ("delivery", "FAILPATH_DELIVERY", " Background ", "background"),
    ("throw_on_send_error", "FAILPATH_THROW_ON_SEND_ERROR", "yes", True),
    ("send_timeout", "FAILPATH_SEND_TIMEOUT", "0", 0.0),
    ("send_timeout", "FAILPATH_SEND_TIMEOUT", " 2.5 ", 2.5),
    ("journal", "FAILPATH_JOURNAL", "/tmp/journal/", "/tmp/journal"),
    *(("journal", "FAILPATH_JOURNAL", text, None) for text in ("off", " OFF ")),
    ("max_queue_size", "FAILPATH_MAX_QUEUE_SIZE", "2", 2),
    ("max_queue_size", "FAILPATH_MAX_QUEUE_SIZE", "1000000", 1_000_000),
    ("compression", "FAILPATH_COMPRESSION", "GZIP", "gzip"),
    ("metrics", "FAILPATH_METRICS", "off", False),
    ("flows", "FAILPATH_FLOWS", " /srv/shop/../flows.json ", "/srv/flows.json"),
    ("rules", "FAILPATH_RULES", str(RULES), (StepRule("checkout", "charge-card", span_name="POST /charge"),)),
]
"""Options, their variables, a text that each takes, and what it means."""

BAD = [
    *(("FAILPATH_PROJECT_KEY", text) for text in ("fp project", "fp_proj\u00e9ct")),
    *(("FAILPATH_DEV_ENDPOINT", text) for text in ("127.0.0.1:3001", "ftp://127.0.0.1", "http://a:b@127.0.0.1")),
    *(("FAILPATH_ENABLED", text) for text in ("maybe", "2", "None", "truefalse")),
    *(("FAILPATH_CAPTURE_STACK", text) for text in ("full", "-1")),
    ("FAILPATH_SEND_ERROR_MESSAGES", "some"),
    ("FAILPATH_SEND_PROCESS", "host"),
    *(("FAILPATH_DELIVERY", text) for text in ("sync", "awaits", "true")),
    *(("FAILPATH_THROW_ON_SEND_ERROR", text) for text in ("raise", "10")),
    *(("FAILPATH_SEND_TIMEOUT", text) for text in ("-1", "soon", "nan", "inf", "1e9", "1,5", "1s")),
    *(("FAILPATH_MAX_QUEUE_SIZE", text) for text in ("1", "0", "-5", "2.5", "1e3", "1000001", "9" * 5000, "many")),
    ("FAILPATH_JOURNAL", "~nobody-of-this-name/journal"),
    *(("FAILPATH_COMPRESSION", text) for text in ("br", "zstd", "gzip, br", "true")),
    ("FAILPATH_METRICS", "some"),
    ("FAILPATH_FLOWS", "f" * 100_000),
    *(("FAILPATH_RULES", text) for text in ("no-such-rules.toml", "/", "nul\\0byte", str(Path(__file__)))),
]

OTHER = {
    "project_key": "fp_project_other",
    "endpoint": "http://127.0.0.1:3002",
    "enabled": True,
    "capture_stack": False,
    "send_error_messages": True,
    "send_process": True,
    "delivery": "background",
    "throw_on_send_error": False,
    "send_timeout": 7.0,
    "max_queue_size": 77,
    "journal": "/tmp/journal-of-others",
    "compression": "gzip",
    "rules": (StepRule("delivery", "ship", span_name="ship"),),
    "flows": "/tmp/flows-of-others.json",
    "metrics": True,
}
"""An argument for each option that has a variable."""


@pytest.mark.parametrize("given", [None, "", "   ", "\n"])
def test_no_key_is_an_error_that_names_the_argument_and_the_variable(given: str | None) -> None:
    with pytest.raises(ConfigurationError, match=r"missing.*project_key=.*FAILPATH_PROJECT_KEY"):
        Options.resolve(project_key=given)


def test_an_empty_key_in_the_environment_is_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAILPATH_PROJECT_KEY", "")
    with pytest.raises(ConfigurationError, match="missing"):
        Options.resolve()


def test_an_empty_key_as_an_argument_is_not_replaced_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAILPATH_PROJECT_KEY", KEY)
    with pytest.raises(ConfigurationError, match="missing"):
        Options.resolve(project_key="")


def test_without_anything_but_a_key_the_defaults_hold() -> None:
    options = Options.resolve(project_key=KEY)
    assert (options.project_key, options.endpoint, options.capture_stack) == (KEY, DEFAULT_ENDPOINT, False)
    assert DEFAULT_ENDPOINT == "https://api.failpath.dev"


def test_space_around_a_key_and_slashes_after_an_endpoint_are_taken_off() -> None:
    options = Options.resolve(project_key=f" {KEY}\n", endpoint=" http://127.0.0.1:3001// ")
    assert (options.project_key, options.endpoint) == (KEY, "http://127.0.0.1:3001")


@pytest.mark.parametrize("key", ["fp project", "fp\nproject", "fp_projéct", "fp\x00project", "fp\ud800"])
def test_a_key_that_no_header_can_carry_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(ConfigurationError, match="must be ASCII text without spaces") as refused:
        Options.resolve(project_key=key)
    assert key not in str(refused.value)


@pytest.mark.parametrize("key", [7, b"fp_project_x", ["fp_project_x"]])
def test_a_key_that_is_no_text_is_refused_and_not_shown(key: object) -> None:
    with pytest.raises(ConfigurationError, match=f"must be a string, got {type(key).__name__}") as refused:
        Options.resolve(project_key=key)
    assert "fp_project_x" not in str(refused.value)


def test_the_key_is_in_no_representation_of_the_options_or_the_processor() -> None:
    options = Options.resolve(project_key=KEY)
    processor = FailpathSpanProcessor(project_key=KEY)
    processor._reporter.close(0)
    assert KEY not in repr(options) + str(options) + repr(processor) + repr(vars(processor))


def test_options_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Options.resolve(project_key=KEY).endpoint = "http://127.0.0.1"  # type: ignore[misc]


def test_every_option_with_a_variable_is_in_the_tables_of_these_tests() -> None:
    named = {(option.name, option.variable) for option in OPTIONS if option.variable is not None}
    assert {(name, variable) for name, variable, _, _ in GOOD} == named
    assert {variable for variable, _ in BAD} == {variable for _, variable in named}
    assert OTHER.keys() == {name for name, _ in named}


@pytest.mark.parametrize(("name", "variable", "text", "value"), GOOD)
def test_a_variable_is_read_where_there_is_no_argument(
    monkeypatch: pytest.MonkeyPatch, name: str, variable: str, text: str, value: object
) -> None:
    monkeypatch.setenv(variable, text)
    given = {} if name == "project_key" else {"project_key": KEY}
    not_given = {name: "default" if name == "journal" else None}  # there, None is a value
    for options in (Options.resolve(**given), Options.resolve(**given, **not_given)):
        assert getattr(options, name) == value
        assert type(getattr(options, name)) is type(value)


@pytest.mark.parametrize(("name", "variable", "text"), [each[:3] for each in GOOD])
def test_an_argument_goes_before_its_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, variable: str, text: str
) -> None:
    monkeypatch.setenv(variable, text)
    options = Options.resolve(**{"project_key": KEY, name: OTHER[name]})
    assert getattr(options, name) == OTHER[name]


@pytest.mark.parametrize(("variable", "text"), BAD)
def test_an_argument_goes_before_a_variable_that_could_not_work(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str
) -> None:
    monkeypatch.setenv(variable, text)
    [name] = [option.name for option in OPTIONS if option.variable == variable]
    assert getattr(Options.resolve(**{"project_key": KEY, name: OTHER[name]}), name) == OTHER[name]


@pytest.mark.parametrize("text", ["", "  ", "\t"])
@pytest.mark.parametrize("name", [name for name in OTHER if name != "project_key"])
def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    [option] = [option for option in OPTIONS if option.name == name]
    assert option.variable is not None
    monkeypatch.setenv(option.variable, text)
    default = default_journal() if name == "journal" else option.default
    assert getattr(Options.resolve(project_key=KEY), name) == default


@pytest.mark.parametrize(("variable", "text"), BAD)
@pytest.mark.parametrize(
    "make", [failpath_otel.configure, FailpathSpanProcessor, FailpathSpanExporter], ids=lambda made: str(made.__name__)
)
def test_bad_input_a_variable_that_cannot_work_is_named(
    monkeypatch: pytest.MonkeyPatch, make: Callable[..., object], variable: str, text: str
) -> None:
    if variable != "FAILPATH_PROJECT_KEY":
        monkeypatch.setenv("FAILPATH_PROJECT_KEY", KEY)
    monkeypatch.setenv(variable, text)
    with pytest.raises(ConfigurationError, match=variable) as refused:
        make()
    assert KEY not in str(refused.value)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    "make", [failpath_otel.configure, FailpathSpanProcessor, FailpathSpanExporter], ids=lambda made: str(made.__name__)
)
def test_bad_input_an_option_that_does_not_exist_is_a_type_error_that_names_it(make: Callable[..., object]) -> None:
    with pytest.raises(TypeError, match="sendtimeout"):
        make(project_key=KEY, sendtimeout=1)


def test_an_option_that_does_not_exist_is_answered_with_those_that_do() -> None:
    with pytest.raises(TypeError, match=r"no option colour, flavour; the options are project_key, endpoint, .*rules"):
        Options.resolve(project_key=KEY, flavour=1, colour=2)


def test_without_delivery_no_key_is_needed_and_other_options_are_still_checked() -> None:
    assert Options.resolve(enabled=False).project_key == ""
    with pytest.raises(ConfigurationError, match="send_timeout"):
        Options.resolve(enabled=False, send_timeout=-1)


def test_no_option_that_may_hold_a_secret_is_in_the_representation() -> None:
    hidden = "hidden-value"
    options = Options.resolve(project_key=KEY, headers={"X-Api-Key": hidden}, default_metadata={"password": hidden})
    assert hidden not in repr(options)
