"""What waits in the journal, and whether there can be one."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from failpath_otel.journal.journal import Journal
from failpath_otel.limits import MAX_AGE_SECONDS
from failpath_otel.options.options import Options
from tests.delivery.pipelines import a_record
from tests.fault_server import (
    FaultServer,
)
from tests.keys import KEY
from tests.ports import unused_url


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FAILPATH_JOURNAL", str(tmp_path / "journal"))
    return tmp_path / "journal"


@pytest.fixture
def living(journal: Path, server: FaultServer) -> Iterator[Journal]:
    """The journal of a process that lives: this one."""
    made = Journal(str(journal), Options(KEY, server.url).binding, lambda _: None)
    assert made.append(a_record(step_key="living"))
    yield made
    made.reset_in_child()


def leave(journal: Path, endpoint: str, count: int, key: str = KEY) -> str:
    """What a process leaves that is gone; return its binding."""
    binding = Options(key, endpoint).binding
    made = Journal(str(journal), binding, lambda _: None)
    for _ in range(count):
        assert made.append(a_record())
    made.reset_in_child()
    return binding


def contents(journal: Path) -> dict[str, bytes]:
    return {str(path.relative_to(journal)): path.read_bytes() for path in sorted(journal.rglob("*")) if path.is_file()}


def test_what_waits_in_the_journal_is_counted_by_whose_it_is_and_stays(
    server: FaultServer, ask: Any, journal: Path, living: Journal
) -> None:
    leave(journal, server.url, 3)
    other = leave(journal, unused_url(), 2)
    before = contents(journal)
    said = ask()
    texts = [each["text"] for each in said.checks if each["check"] == "journal"]
    assert texts[0] == f"{journal} (FAILPATH_JOURNAL): 1 record of a living process ({os.getpid()})"
    [ours] = [each for each in said.checks if each["facts"].get("isOurs")]
    assert ours["text"].startswith(f"3 records wait of processes that have ended ({os.getpid()})")
    assert "`failpath-otel drain`" in ours["advice"]
    [theirs] = [each for each in said.checks if each["facts"].get("isOurs") is False]
    assert theirs["text"].startswith("2 records wait")
    assert f"--rebind {other}" in theirs["advice"]
    assert sorted(said.levels("journal")) == ["ok", "warning", "warning"]
    assert said.code == 0
    assert sorted(each["records"] for each in said.facts("journal")["journals"]) == [1, 2, 3]
    assert contents(journal) == before


def test_where_there_is_no_key_what_waits_is_counted_too(
    server: FaultServer, ask: Any, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(journal, server.url, 2)
    monkeypatch.delenv("FAILPATH_PROJECT_KEY")
    found = ask().worst("journal")
    assert found["text"].startswith("2 records wait")
    assert "once there is a project key" in found["advice"]


def test_a_journal_that_cannot_be_read_is_named(server: FaultServer, ask: Any, journal: Path) -> None:
    leave(journal, server.url, 1)
    [lock] = journal.glob("*/lock")
    lock.unlink()
    lock.mkdir()
    found = ask().worst("journal")
    assert (found["level"], found["text"]) == (
        "warning",
        f"{lock.parent.name} cannot be read: its lock is no regular file",
    )


def test_a_place_that_can_be_no_journal_is_a_problem(ask: Any, journal: Path) -> None:
    journal.touch()
    said = ask()
    assert (said.code, said.levels("journal")) == (1, ["problem"])
    assert "FAILPATH_JOURNAL" in said.worst("journal")["advice"]
    assert ask("--journal", str(journal / "below")).levels("journal") == ["problem"]


def test_a_directory_is_looked_at_before_there_is_one_and_none_is_made(ask: Any, journal: Path) -> None:
    assert "made by the first program" in ask().worst("journal")["text"]
    assert not journal.exists()


def test_a_directory_that_cannot_be_written_is_a_problem(ask: Any, journal: Path) -> None:
    journal.mkdir()
    with patch("failpath_otel.cli.doctor.journal.os.access", return_value=False):  # root may write everywhere
        assert "cannot be written" in ask().worst("journal")["text"]


def test_a_full_disk_is_a_problem(ask: Any, journal: Path) -> None:
    journal.mkdir()
    full = os.statvfs_result((4096, 4096, 1000, 10, 10, 10, 10, 10, 0, 255))
    with patch("failpath_otel.cli.doctor.journal.os.statvfs", return_value=full):
        found = ask().worst("journal")
    assert (found["level"], found["facts"]) == ("problem", {"freeBytes": 40_960})


def test_without_a_journal_that_is_said(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAILPATH_JOURNAL", "off")
    said = ask()
    assert (said.code, said.levels("journal")) == (0, ["note"])


def test_what_has_waited_for_days_says_for_how_long(server: FaultServer, ask: Any, journal: Path) -> None:
    leave(journal, server.url, 1)
    [file] = journal.glob("*/*.records")
    os.utime(file, (long_ago := time.time() - MAX_AGE_SECONDS - 3600, long_ago))
    assert "the last one for 49.0 h" in ask().worst("journal")["text"]


def test_where_none_is_named_it_is_in_the_users_state_directory(
    ask: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("FAILPATH_JOURNAL")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert "(default): made by the first program" in ask().worst("journal")["text"]
    assert str(tmp_path) in ask().facts("journal")["directory"]
