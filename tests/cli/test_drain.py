"""What ``failpath-otel drain`` prints for programs and on a terminal, in this process."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from failpath_otel import report
from failpath_otel.cli.main import main
from failpath_otel.options.options import Options
from tests.fault_server import FaultServer, accepted, rejecting, status
from tests.ports import unused_url
from tests.test_drain import KEY, leave


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: FaultServer) -> Path:
    monkeypatch.setenv("FAILPATH_PROJECT_KEY", KEY)
    monkeypatch.setenv("FAILPATH_DEV_ENDPOINT", server.url)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(report, "_logged", set())
    made = tmp_path / "journal"
    made.mkdir()
    return made


def drain(journal: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any, str]:
    code = main(["drain", "--json", "--journal", str(journal), *arguments])
    out, err = capsys.readouterr()
    assert out.count("\n") == 1
    return code, json.loads(out), err


def test_what_became_of_the_records_is_one_object(
    server: FaultServer, journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    leave(journal, server.url, "a", "b", "c")
    leave(journal, elsewhere := unused_url(), "d")
    server.answer_with(rejecting(1))
    code, said, err = drain(journal, capsys)
    assert code == 0
    assert said == {
        "journal": str(journal),
        "delivered": 2,
        "lost": {"rejected": 1},
        "damagedFiles": 0,
        "left": 0,
        "failure": None,
        "boundElsewhere": {Options(KEY, elsewhere).binding: 1},
    }
    assert "for another project key" not in err


def test_nothing_to_do_is_an_object_too(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said, err = drain(journal, capsys)
    assert (code, said["delivered"], said["left"], said["failure"], err) == (0, 0, 0, None, "")


def test_what_is_left_is_counted_with_the_reason_and_exits_with_1(
    server: FaultServer, journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    leave(journal, server.url, "a", "b")
    server.answer_with(status(401))
    code, said, _ = drain(journal, capsys)
    assert (code, said["delivered"], said["left"]) == (1, 0, 2)
    assert "refused the project key (401)" in said["failure"]


def test_the_key_may_be_in_a_file(
    server: FaultServer, journal: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    leave(journal, server.url, "a")
    monkeypatch.delenv("FAILPATH_PROJECT_KEY")
    (file := journal.with_name("key")).write_text(f"{KEY}\n")
    assert drain(journal, capsys, "--project-key-file", str(file))[1]["delivered"] == 1


def test_a_journal_that_cannot_be_looked_at_is_a_failure(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    journal.rmdir()
    journal.touch()
    code, said, _ = drain(journal, capsys)
    assert code == 1
    assert str(journal) in said["failure"]
    assert main(["drain", "--journal", str(journal)]) == 1
    assert str(journal) in capsys.readouterr().err


@pytest.mark.parametrize("in_json", [False, True])
def test_a_terminal_shows_progress_on_stderr_and_nothing_of_it_stays(
    server: FaultServer, journal: Path, monkeypatch: pytest.MonkeyPatch, in_json: bool
) -> None:
    leave(journal, server.url, *(f"step-{number}" for number in range(600)))
    monkeypatch.setattr(sys, "stderr", err := Terminal())
    monkeypatch.setattr(sys, "stdout", out := io.StringIO())
    assert main(["drain", "--journal", str(journal), *(["--json"] if in_json else [])]) == 0
    drawn = err.getvalue().split("\r\x1b[K")
    assert drawn[0] == drawn[-1] == ""
    assert f"[{' ' * 24}] 0 of 600 records\r" in drawn
    assert f"[{'=' * 20}    ] 512 of 600 records\r" in drawn
    assert "\x1b" not in out.getvalue()
    said = out.getvalue()
    assert (str(json.loads(said)["delivered"]) if in_json else said.split()[1]) == "600"


def test_progress_says_what_it_waits_for_within_the_width_of_the_terminal(
    server: FaultServer, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(journal, server.url, "a")
    server.answer_with(status(503), accepted)
    monkeypatch.setattr(sys, "stderr", err := Terminal())
    monkeypatch.setenv("COLUMNS", "70")
    assert main(["drain", "--journal", str(journal)]) == 0
    drawn = [each.removesuffix("\r") for each in err.getvalue().split("\r\x1b[K")]
    assert any(f"0 of 1 records; {server.url}" in each for each in drawn)
    assert max(map(len, drawn)) == 69


@pytest.mark.parametrize("why", ["no terminal", "a terminal that cannot", "nothing to do"])
def test_elsewhere_no_progress_is_shown(
    server: FaultServer, journal: Path, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    if why != "nothing to do":
        leave(journal, server.url, "a")
    monkeypatch.setattr(sys, "stderr", err := io.StringIO() if why == "no terminal" else Terminal())
    monkeypatch.setenv("TERM", "dumb" if why == "a terminal that cannot" else "xterm")
    assert main(["drain", "--journal", str(journal)]) == 0
    assert err.getvalue() == ""
