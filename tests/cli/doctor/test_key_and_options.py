"""The key, the options, and where they are from."""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.fault_server import (
    FaultServer,
)
from tests.keys import KEY


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ('"fp_project_quoted"', ("problem", "quotation mark")),
        ("with a space", ("problem", "without spaces")),
        ("any", ("warning", "begin with fp_project_")),
        ("fp_project_", ("warning", "and this one does not")),
    ],
)
def test_the_form_of_a_key_is_judged(
    server: FaultServer, ask: Any, monkeypatch: pytest.MonkeyPatch, key: str, found: tuple[str, str]
) -> None:
    level, words = found
    monkeypatch.setenv("FAILPATH_PROJECT_KEY", key)
    monkeypatch.setenv("http_proxy", server.url)
    said = ask("--endpoint", "http://shop.invalid")
    assert said.worst("key")["level"] == level
    assert words in said.worst("key")["text"]
    assert said.worst("key")["advice"]
    assert said.code == (level == "problem")


def test_a_receiver_on_this_machine_takes_keys_of_any_form(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAILPATH_PROJECT_KEY", "any")
    said = ask()
    assert (said.code, said.levels("key")) == (0, ["note"])


def test_beside_an_option_that_cannot_work_the_others_are_said_to_have_their_defaults(
    ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FAILPATH_JOURNAL")
    monkeypatch.setenv("XDG_STATE_HOME", os.devnull)  # no journal of the user's is looked at
    said = ask("--endpoint", "127.0.0.1:3001")
    assert said.worst("options")["level"] == "problem"
    assert "all others have their defaults" in [each["text"] for each in said.checks]


def test_delivery_that_is_turned_off_is_a_problem_and_all_else_is_looked_at(
    server: FaultServer, ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAILPATH_ENABLED", "false")
    said = ask()
    assert "FAILPATH_ENABLED" in said.worst("key")["text"]
    assert (said.code, said.levels("endpoint"), len(server.requests)) == (1, ["ok"], 1)


def test_options_are_shown_with_their_sources_and_all_that_cannot_work_are_named(
    ask: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text('[[rules]]\nflow = "checkout"\nstep = "charge"\nspan_name = "charge"\n')
    for name, value in {
        "RULES": str(rules),
        "COMPRESSION": "gzip",
        "SEND_TIMEOUT": "soon",
        "DELIVERY": "later",
    }.items():
        monkeypatch.setenv(f"FAILPATH_{name}", value)
    said = ask()
    options = said.facts("options")["options"]
    assert options["compression"] == {"value": "gzip", "source": "FAILPATH_COMPRESSION"}
    assert options["rules"] == {"value": f"1 rules of {rules}", "source": "FAILPATH_RULES"}
    assert options["project_key"]["value"] == "[redacted]"
    assert options["route"]["source"] == "default"
    problems = [each["text"] for each in said.checks if each["level"] == "problem"]
    assert [text.split()[0] for text in problems] == ["FAILPATH_DELIVERY", "FAILPATH_SEND_TIMEOUT"]
    assert said.levels("endpoint") == ["ok"]


def test_a_misspelt_variable_is_a_warning_that_names_the_right_one(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FAILPATH_PROJECT_KEY")
    monkeypatch.setenv("FAILPATH_PROJEKT_KEY", KEY)
    assert "did you mean FAILPATH_PROJECT_KEY?" in ask().worst("options")["text"]


@pytest.mark.parametrize(
    "content",
    [
        "instrumentation/development: {python: {failpath: {project_key: '${THEIR_KEY}', journal: null}}}",
        "tracer_provider: {processors: [{batch: {exporter: {failpath: {project_key: '${THEIR_KEY}', journal: ~}}}}]}",
    ],
    ids=["processor", "exporter"],
)
def test_options_of_opentelemetrys_configuration_file_are_found(
    server: FaultServer, ask: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str
) -> None:
    file = tmp_path / "otel.yaml"
    file.write_text(content)
    monkeypatch.delenv("FAILPATH_PROJECT_KEY")
    monkeypatch.setenv("THEIR_KEY", "fp_project_in_a_file")
    monkeypatch.setenv("OTEL_CONFIG_FILE", str(file))
    said = ask()
    assert said.code == 0, said.text
    assert said.facts("key")["source"] == "OTEL_CONFIG_FILE"
    assert said.facts("options")["options"]["journal"] == {"value": None, "source": "OTEL_CONFIG_FILE"}
    assert server.requests[0].headers["authorization"] == "Bearer fp_project_in_a_file"
    assert f"the provider: as in {file}" in said.text


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        ("instrumentation/development: {python: {failpath: {retries: 3}}}", ("options", "there is no option retries")),
        ("instrumentation/development: {python: {failpath: 3}}", ("options", "must be a mapping")),
        ("a: [", ("opentelemetry", "cannot be read")),
        (None, ("opentelemetry", "is no file")),
    ],
    ids=["unknown option", "no mapping", "no YAML", "missing"],
)
def test_a_configuration_file_that_cannot_work_is_a_problem(
    ask: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str | None, shown: tuple[str, str]
) -> None:
    check, words = shown
    file = tmp_path / "otel.yaml"
    if content is not None:
        file.write_text(content)
    monkeypatch.setenv("OTEL_CONFIG_FILE", str(file))
    found = ask().worst(check)
    assert found["level"] == "problem"
    assert words in found["text"]
