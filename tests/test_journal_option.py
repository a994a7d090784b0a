"""``journal=`` and ``FAILPATH_JOURNAL``: where the journal is, whose it is, and what is not in it."""

import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import platformdirs
import pytest

from failpath_otel import ConfigurationError, report
from failpath_otel.options.options import Options, default_journal
from tests.delivery.programs import KEY, run_program, succeed
from tests.fault_server import FaultServer, status

STEP = """
    import logging, os, sys, failpath_otel
    from pathlib import Path
    logging.basicConfig(level="ERROR")
    failpath = failpath_otel.configure({options})
    failpath.run("checkout", run_id="r").step("pack", lambda: print(*sorted(
        str(path) for path in Path({base!r}).rglob("*") if path.is_file())))
    print("end", flush=True)
    os._exit(0)
"""


def resolved(**given: Any) -> str | None:
    return Options.resolve(project_key=KEY, **given).journal


class Somewhere:
    """A path as an object of another library."""

    def __init__(self, path: object) -> None:
        self._path = path

    def __fspath__(self) -> Any:
        return self._path


@pytest.mark.parametrize("make", [str, Path, Somewhere])
def test_a_directory_may_be_any_path(tmp_path: Path, make: Callable[[str], object]) -> None:
    assert resolved(journal=make(str(tmp_path / "x"))) == str(tmp_path / "x")


def test_a_relative_directory_is_made_absolute_then_and_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert resolved(journal="./here/../there") == str(tmp_path / "there")
    monkeypatch.setenv("FAILPATH_JOURNAL", "of-the-environment")
    assert resolved() == str(tmp_path / "of-the-environment")


def test_a_tilde_is_the_users_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolved(journal="~/journal") == str(tmp_path / "journal")


@pytest.mark.parametrize("off", [None, "off", "OFF", " Off "])
def test_it_can_be_turned_off_by_keyword(off: str | None) -> None:
    assert resolved(journal=off) is None


@pytest.mark.parametrize("off", ["off", "OFF", " off "])
def test_it_can_be_turned_off_by_the_environment_and_on_again_by_keyword(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, off: str
) -> None:
    monkeypatch.setenv("FAILPATH_JOURNAL", off)
    assert resolved() is None
    assert resolved(journal="default") is None, "the default is what the environment says"
    assert resolved(journal=tmp_path) == str(tmp_path)


def test_a_path_object_of_that_name_is_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert resolved(journal=Path("off")) == str(tmp_path / "off")


@pytest.mark.parametrize("wrong", ["", "  ", 5, b"bytes", True, "a\0b", Somewhere(b"x"), Somewhere(3), object()])
def test_what_is_no_directory_is_refused(wrong: object) -> None:
    with pytest.raises(ConfigurationError, match="journal"):
        resolved(journal=wrong)


def test_a_client_that_is_turned_off_has_none() -> None:
    assert resolved(enabled=False) is None


@pytest.mark.skipif(sys.platform != "linux", reason="the directory is chosen by a variable on Linux only")
def test_the_default_is_in_the_users_state_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FAILPATH_JOURNAL")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolved() == str(tmp_path / ".local" / "state" / "failpath-otel" / "journal")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert resolved() == str(tmp_path / "state" / "failpath-otel" / "journal")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="the directory is chosen by a variable on Linux only")
def test_a_state_directory_that_is_relative_is_never_below_the_working_directory_of_the_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FAILPATH_JOURNAL")
    monkeypatch.setenv("XDG_STATE_HOME", "state")
    found = resolved()
    assert found is None or Path(found).is_absolute()


def test_on_windows_only_a_directory_that_is_named_turns_it_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("FAILPATH_JOURNAL", raising=False)
    monkeypatch.setattr(report, "_logged", set())
    monkeypatch.setattr(sys, "platform", "win32")
    assert [resolved(), resolved(journal="default"), resolved(journal="off")] == [None] * 3
    [said] = caplog.messages
    assert "in memory only" in said
    assert "FAILPATH_JOURNAL" in said
    assert resolved(journal=tmp_path / "x") == str(tmp_path / "x")
    monkeypatch.setenv("FAILPATH_JOURNAL", str(tmp_path / "y"))
    assert resolved() == str(tmp_path / "y")


@pytest.mark.process
@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="only root can become another user")
def test_a_user_without_a_home_has_none_and_that_is_said_once(tmp_path: Path, server: FaultServer) -> None:
    tmp_path.chmod(0o777)
    program = f"""
        import os
        os.chdir({str(tmp_path)!r})
        import failpath_otel, opentelemetry.sdk.trace, requests, platformdirs
        warm = failpath_otel.configure(journal=None)
        warm.run("checkout").step("warm", lambda: None)
        warm.flush()
        os.setuid(54_321)
        for name in ("HOME", "XDG_STATE_HOME", "FAILPATH_JOURNAL"):
            os.environ.pop(name, None)
        failpath = failpath_otel.configure()
        failpath.run("checkout").step("pack", lambda: None)
        print(failpath.flush(), os.listdir("."), flush=True)
    """
    ended = run_program(program, server.url)
    assert ended.lines == ["True []"], ended
    assert ended.errors.count("\n") <= 1
    assert "set FAILPATH_JOURNAL to a directory" in ended.errors


def test_the_binding_changes_with_the_key_the_endpoint_and_the_route_and_tells_none_of_them() -> None:
    base = Options(KEY, "http://127.0.0.1:1")
    others = [
        Options(KEY + "x", "http://127.0.0.1:1"),
        Options(KEY, "http://127.0.0.1:2"),
        Options(KEY, "http://127.0.0.1:1", route="/other"),
    ]
    assert len({base.binding, *(each.binding for each in others)}) == 4
    assert base.binding == Options(KEY, "http://127.0.0.1:1", send_timeout=7).binding
    assert KEY not in base.binding
    assert len(base.binding) == 16


@pytest.mark.process
def test_records_are_on_disk_before_the_function_is_entered_and_the_key_is_not(
    tmp_path: Path, server: FaultServer
) -> None:
    server.answer_with(status(503))
    base = tmp_path / "journal"
    program = STEP.format(options="", base=str(base))
    assert "00000001.records" in succeed(program, server.url, FAILPATH_JOURNAL=str(base)).lines[0]
    files = [path for path in base.rglob("*") if path.is_file()]
    content = b"".join(path.read_bytes() for path in files)
    assert content.count(b'"stepKey":"pack"') == 2
    names = "".join(str(path) for path in base.rglob("*"))
    assert KEY.encode() not in content + names.encode()
    assert server.url.encode() not in content + names.encode()


@pytest.mark.process
def test_modes_are_the_owners_alone_under_any_umask(tmp_path: Path, server: FaultServer) -> None:
    server.answer_with(status(503))
    base = tmp_path / "a" / "b" / "journal"
    program = "\n    import os; os.umask(0)\n" + STEP.format(options=f"journal={str(base)!r}", base=str(base))
    succeed(program, server.url)
    for path in (tmp_path / "a", *(tmp_path / "a").rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


@pytest.mark.process
@pytest.mark.parametrize("trouble", ["file", "symlink", "read-only", "of another user", "limit of size"])
def test_a_place_that_cannot_be_written_costs_no_record_and_is_said_once(
    tmp_path: Path, server: FaultServer, trouble: str
) -> None:
    base = tmp_path / "journal"
    tmp_path.chmod(0o777)
    preparation = ""
    if trouble == "file":
        base.touch()
    elif trouble == "symlink":
        (tmp_path / "elsewhere").mkdir()
        base.symlink_to("elsewhere")
    elif trouble == "limit of size":
        preparation = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))"
    elif os.geteuid() != 0:
        pytest.skip("only root can become another user")
    else:
        base.mkdir(mode=0o777)
        base.chmod(0o755 if trouble == "read-only" else 0o777)
        os.chown(base, *((0, 0) if trouble == "read-only" else (12_345, 12_345)))
        preparation = "os.setuid(54_321)"
    program = f"""
        import os, failpath_otel
        warm = failpath_otel.configure(journal=None)
        warm.run("checkout").step("warm", lambda: None)
        warm.flush()
        {preparation}
        failpath = failpath_otel.configure(journal={str(base)!r})
        run = failpath.run("checkout")
        for number in range(100):
            run.step("pack", lambda: None)
        stats = failpath.stats
        print(failpath.flush(), stats().waiting, stats().dropped, flush=True)
    """
    ended = run_program(program, server.url)
    assert ended.lines == ["True 0 {}"], ended
    assert ended.errors.count("\n") == 1, ended.errors
    assert str(base) in ended.errors


def test_a_user_without_a_home_has_no_journal_and_no_directory_that_is_named_like_one(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(report, "_logged", set())
    # As in the older ones of its versions that are supported.
    monkeypatch.setattr(platformdirs, "user_state_path", lambda *_, **__: Path("~/.local/state/failpath-otel"))
    assert default_journal() is None
    assert "the user has no home directory" in caplog.text
