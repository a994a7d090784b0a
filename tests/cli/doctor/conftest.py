"""``failpath-otel doctor`` in this process, in an environment in which nothing is wrong until a test changes it."""

import json
import os
from dataclasses import dataclass
from typing import Any

import pytest

from failpath_otel import report
from failpath_otel.cli.doctor import examination
from failpath_otel.cli.doctor.installed import Installed, read_installed
from failpath_otel.cli.main import main
from failpath_otel.journal.clock import machine_clock
from tests.fault_server import (
    FaultServer,
)
from tests.keys import KEY

OF_NETWORK = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "requests_ca_bundle", "curl_ca_bundle")


@pytest.fixture(scope="module")
def installed() -> Installed:
    """What is installed, read once: a tenth of a second."""
    return read_installed()


@pytest.fixture(autouse=True)
def _healthy(monkeypatch: pytest.MonkeyPatch, server: FaultServer, installed: Installed) -> None:
    """A program in this environment reports to the server."""
    for name in os.environ:
        if name.startswith(("OTEL_", "SSL")) or name.lower() in OF_NETWORK:
            monkeypatch.delenv(name)
    monkeypatch.setenv("FAILPATH_PROJECT_KEY", KEY)
    monkeypatch.setenv("FAILPATH_DEV_ENDPOINT", server.url)
    monkeypatch.setattr(examination, "read_installed", lambda: installed)
    monkeypatch.setattr(report, "_logged", set())
    monkeypatch.setattr(machine_clock, "_epoch", None)


@dataclass
class Said:
    code: int
    text: str
    checks: list[dict[str, Any]]

    def levels(self, check: str) -> list[str]:
        return [each["level"] for each in self.checks if each["check"] == check]

    def worst(self, check: str) -> dict[str, Any]:
        order = ["ok", "note", "warning", "problem"]
        return max(
            (each for each in self.checks if each["check"] == check), key=lambda each: order.index(each["level"])
        )

    def facts(self, check: str) -> dict[str, Any]:
        return {name: value for each in self.checks if each["check"] == check for name, value in each["facts"].items()}


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Any:
    def ask(*arguments: str) -> Said:
        code = main(["doctor", "--json", *arguments])
        out, _ = capsys.readouterr()
        assert out.count("\n") == 1
        found = json.loads(out)
        assert found["ok"] is (code == 0)
        assert found["problems"] == sum(each["level"] == "problem" for each in found["checks"])
        return Said(code, out, found["checks"])

    return ask
