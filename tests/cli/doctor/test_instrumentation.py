"""What is installed of OpenTelemetry, and what its loader would load."""

import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from failpath_otel.cli.doctor import examination
from failpath_otel.cli.doctor.installed import Installed, read_installed


def test_what_opentelemetrys_loader_would_load_is_shown(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console, failpath")
    said = ask()
    loaded = said.facts("opentelemetry")["instrument"]
    assert (loaded["distro"], loaded["configurator"], loaded["joins"]) == ("distro", "configurator", True)
    assert loaded["exporters"] == ["console", "failpath"]
    assert "a batch processor for console, a batch processor for failpath, that of failpath" in said.text
    assert said.facts("opentelemetry")["variables"] == {"OTEL_TRACES_EXPORTER": "console, failpath"}
    assert said.levels("opentelemetry") == ["ok", "ok"]


@pytest.mark.parametrize(
    ("variables", "level", "words"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "problem", "the exporter zipkin is not installed"),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "carrier"}, "problem", "otlp over 'carrier'"),
        ({"OTEL_PYTHON_CONFIGURATOR": "theirs"}, "problem", "OTEL_PYTHON_CONFIGURATOR names theirs"),
        ({"OTEL_SDK_DISABLED": "true"}, "problem", "no step is recorded"),
        ({"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "flask, failpath"}, "warning", "turns failpath off"),
        ({"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "*"}, "warning", "turns failpath off"),
    ],
)
def test_variables_by_which_the_loader_would_not_report_are_named(
    ask: Any, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], level: str, words: str
) -> None:
    for name, value in {"OTEL_TRACES_EXPORTER": "none", **variables}.items():
        monkeypatch.setenv(name, value)
    said = ask()
    found = said.worst("opentelemetry")
    assert (found["level"], said.code) == (level, int(level == "problem"))
    assert words in found["text"]
    assert found["advice"]


def install(folder: Path, name: str, version: str, entry_points: str = "") -> None:
    """Install a distribution that is nothing but its metadata."""
    made = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    made.mkdir(parents=True)
    (made / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (made / "entry_points.txt").write_text(entry_points)


@pytest.mark.parametrize("with_loader", [False, True])
def test_in_an_environment_without_opentelemetrys_distro_what_is_missing_is_named(
    ask: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, with_loader: bool
) -> None:
    install(tmp_path, "opentelemetry-api", "1.45.1")
    install(tmp_path, "opentelemetry_sdk", "1.44.0")
    if with_loader:
        install(tmp_path, "opentelemetry-instrumentation", "0.66b1")
    # What is imported already stays; the metadata of nothing else is found.
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.setattr(examination, "read_installed", read_installed)
    said = ask()
    texts = [each["text"] for each in said.checks if each["level"] != "ok"]
    assert "opentelemetry-api 1.45.1 and opentelemetry-sdk 1.44.0 are of different releases" in texts
    expected = [
        "no configurator is installed: opentelemetry-instrument makes no tracer provider",
        "the entry point `failpath` is not installed: opentelemetry-instrument reports no steps",
    ]
    assert [text in texts for text in expected] == [with_loader, with_loader]
    assert any("a program that calls configure() does not need it" in text for text in texts) is not with_loader
    assert said.code == 0


def test_an_sdk_that_is_not_installed_is_a_problem(ask: Any) -> None:
    with patch.object(examination, "read_installed", return_value=Installed({"opentelemetry-api": "1.45.1"}, {})):
        assert ask().worst("versions")["text"] == "opentelemetry-sdk is not installed"


def test_a_configuration_file_that_nothing_reads_is_a_problem(
    ask: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "otel.yaml"
    file.write_text("file_format: '1.0'")
    monkeypatch.setenv("OTEL_CONFIG_FILE", str(file))
    packages = {"opentelemetry-sdk": "1.44.0"}
    with patch.object(examination, "read_installed", return_value=Installed(packages, {})):
        assert "opentelemetry-configuration" in ask().worst("opentelemetry")["advice"]
    packages["opentelemetry-sdk"] = "1.43.0"
    with patch.object(examination, "read_installed", return_value=Installed(packages, {})):
        assert set(ask().levels("opentelemetry")) == {"ok", "note"}
