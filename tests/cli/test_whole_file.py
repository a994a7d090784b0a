"""What commands write is there as a whole, or is as it was."""

import os
import stat
from pathlib import Path

import pytest

from failpath_otel.cli.writing.whole_file import write_whole


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_file_has_the_mode_that_the_umask_leaves_it(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_whole(tmp_path / "keys.py", "a = 1\n")
    finally:
        os.umask(before)
    assert (tmp_path / "keys.py").read_bytes() == b"a = 1\n"
    assert _mode(tmp_path / "keys.py") == 0o640


def test_the_mode_of_a_file_and_a_link_to_it_stay(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    file, link = tmp_path / "there" / "keys.py", tmp_path / "link.py"
    file.write_text("old")
    file.chmod(0o604)
    link.symlink_to(file)
    write_whole(link, "new")
    assert link.is_symlink()
    assert (file.read_text(), _mode(file)) == ("new", 0o604)
    assert [each.name for each in file.parent.iterdir()] == ["keys.py"]


def test_a_link_to_a_file_that_is_not_there_makes_it(tmp_path: Path) -> None:
    (tmp_path / "link.py").symlink_to("keys.py")
    write_whole(tmp_path / "link.py", "new")
    assert (tmp_path / "keys.py").read_text() == "new"
    assert (tmp_path / "link.py").is_symlink()


@pytest.mark.parametrize("error", [OSError("full"), KeyboardInterrupt()])
def test_a_file_is_as_it_was_where_it_cannot_be_written_to_the_end(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise error

    file = tmp_path / "keys.py"
    file.write_text("old")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(type(error)):
        write_whole(file, "new")
    assert file.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["keys.py"]


def test_a_device_is_written_and_not_replaced() -> None:
    write_whole(Path(os.devnull), "new")
    assert stat.S_ISCHR(Path(os.devnull).stat().st_mode)
