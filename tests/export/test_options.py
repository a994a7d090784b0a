"""Options: keyword, then environment, then default; and what is said of those that cannot work."""

import dataclasses

import pytest

from failpath_otel import ConfigurationError, FailpathSpanProcessor
from failpath_otel.export.checks import seconds
from failpath_otel.export.options import DEFAULT_ENDPOINT, Options
from tests.export.conftest import KEY


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


def test_the_environment_goes_before_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAILPATH_PROJECT_KEY", KEY)
    monkeypatch.setenv("FAILPATH_DEV_ENDPOINT", "http://127.0.0.1:3001")
    options = Options.resolve()
    assert (options.project_key, options.endpoint) == (KEY, "http://127.0.0.1:3001")


def test_a_keyword_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAILPATH_PROJECT_KEY", "fp_project_of_the_environment")
    monkeypatch.setenv("FAILPATH_DEV_ENDPOINT", "http://127.0.0.1:3001")
    options = Options.resolve(project_key=KEY, endpoint="http://127.0.0.1:3002")
    assert (options.project_key, options.endpoint) == (KEY, "http://127.0.0.1:3002")


def test_an_empty_endpoint_in_the_environment_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAILPATH_DEV_ENDPOINT", "")
    assert Options.resolve(project_key=KEY).endpoint == DEFAULT_ENDPOINT


def test_space_around_a_key_and_slashes_after_an_endpoint_are_taken_off() -> None:
    options = Options.resolve(project_key=f" {KEY}\n", endpoint=" http://127.0.0.1:3001// ")
    assert (options.project_key, options.endpoint) == (KEY, "http://127.0.0.1:3001")


@pytest.mark.parametrize("key", ["fp project", "fp\nproject", "fp_projéct", "fp\x00project", "fp\ud800"])
def test_a_key_that_no_header_can_carry_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(ConfigurationError, match="header") as refused:
        Options.resolve(project_key=key)
    assert key not in str(refused.value)


@pytest.mark.parametrize("key", [7, b"fp_project_x", ["fp_project_x"]])
def test_a_key_that_is_no_text_is_refused_and_not_shown(key: object) -> None:
    with pytest.raises(ConfigurationError, match=f"must be a string, got a {type(key).__name__}") as refused:
        Options.resolve(project_key=key)
    assert "fp_project_x" not in str(refused.value)


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "127.0.0.1:3001",
        "localhost",
        "/v1/events",
        "ftp://127.0.0.1",
        "file:///etc/hosts",
        "http://",
        "http://:3001",
        "http:// ",
        "http://127.0.0.1:99999",
        "http://127.0.0.1:port",
        "http://[::1",
        "http://127.0.0.1/?a=b",
        "http://127.0.0.1/#a",
        "http://127 0 0 1",
        "http://127.0.0.1/a b\nc",
        "http://127.0.0.1:3001\x00",
        7,
        b"http://127.0.0.1",
    ],
    ids=repr,
)
def test_an_endpoint_that_cannot_work_is_refused_with_what_is_allowed(endpoint: object) -> None:
    with pytest.raises(ConfigurationError, match="endpoint must be an http:// or https:// URL"):
        Options.resolve(project_key=KEY, endpoint=endpoint)


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://user:hidden@127.0.0.1",
        "http://hidden@127.0.0.1",
        "http://user:hidden@127.0.0.1:port",
        "http://user:hid#hidden@127.0.0.1",
        "http://user:hidden?x@127.0.0.1",
        "http://127.0.0.1/?key=hidden",
        "http://127.0.0.1/#hidden",
        "user:hidden@127.0.0.1",
        "fp_project_hidden",
    ],
)
def test_a_secret_in_an_endpoint_is_refused_and_not_shown(endpoint: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Options.resolve(project_key=KEY, endpoint=endpoint)
    assert "hid" not in str(refused.value)


@pytest.mark.parametrize("given", [1, 0, "yes", [True]], ids=repr)
def test_capture_stack_is_a_bool(given: object) -> None:
    with pytest.raises(ConfigurationError, match="capture_stack must be True or False"):
        Options.resolve(project_key=KEY, capture_stack=given)


@pytest.mark.parametrize(("given", "read"), [(0, 0.0), (2, 2.0), (0.5, 0.5)])
def test_a_time_to_wait_is_a_number_of_seconds(given: float, read: float) -> None:
    assert seconds("timeout", given) == read


@pytest.mark.parametrize("given", [-1, float("nan"), float("inf"), 1e9, True, "2", None], ids=repr)
def test_a_time_to_wait_that_makes_no_sense_is_refused(given: object) -> None:
    with pytest.raises(ConfigurationError, match="timeout must be a number of seconds"):
        seconds("timeout", given)


def test_the_key_is_in_no_representation_of_the_options_or_the_processor() -> None:
    options = Options.resolve(project_key=KEY)
    processor = FailpathSpanProcessor(project_key=KEY)
    processor._reporter.close(0)
    assert KEY not in repr(options) + str(options) + repr(processor) + repr(vars(processor))


def test_options_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Options.resolve(project_key=KEY).endpoint = "http://127.0.0.1"  # type: ignore[misc]
