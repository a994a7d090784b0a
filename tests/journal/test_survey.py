"""What a journal directory holds, looked at beside the processes that write it."""

from pathlib import Path

import pytest

from failpath_otel.journal.journal import Journal
from failpath_otel.journal.survey import survey_journals
from tests.delivery.pipelines import a_record

BINDING = "0123456789abcdef"


def write(path: Path, count: int) -> Journal:
    made = Journal(str(path), BINDING, lambda _: None)
    for _ in range(count):
        assert made.append(a_record())
    return made


def test_journals_of_living_processes_and_of_those_that_have_ended_are_counted(tmp_path: Path) -> None:
    living, gone = write(tmp_path, 2), write(tmp_path, 700)
    gone.reset_in_child()
    try:
        found = {each.lives: each for each in survey_journals(str(tmp_path))}
        assert {lives: each.records for lives, each in found.items()} == {True: 2, False: 700}
        assert {each.binding for each in found.values()} == {BINDING}
        assert found[False].written_at > found[True].written_at == 0
        # Looking has locked nothing for good.
        assert {each.lives: each.records for each in survey_journals(str(tmp_path))} == {True: 2, False: 700}
    finally:
        living.reset_in_child()


def test_what_a_living_process_has_delivered_is_not_counted(tmp_path: Path) -> None:
    living = write(tmp_path, 3)
    try:
        read = living.read(2, 0)
        living.take(read)
        living.confirm(2)
        [found] = survey_journals(str(tmp_path))
        assert found.records == 1
    finally:
        living.reset_in_child()


def test_records_around_damage_are_counted(tmp_path: Path) -> None:
    write(tmp_path, 50).reset_in_child()
    [file] = tmp_path.glob("*/*.records")
    content = bytearray(file.read_bytes())
    content[len(content.rstrip(b"\0")) // 2] ^= 1
    file.write_bytes(content)
    assert [each.records for each in survey_journals(str(tmp_path))] == [49]


def test_a_foreign_name_is_left_alone_and_a_process_id_that_is_none_is_zero(tmp_path: Path) -> None:
    write(tmp_path, 1).reset_in_child()
    [journal] = tmp_path.iterdir()
    journal.rename(tmp_path / f"v3.{BINDING}.x.0")
    (tmp_path / "notes").mkdir()
    assert [(each.pid, each.records) for each in survey_journals(str(tmp_path))] == [(0, 1)]


def test_a_file_of_a_living_process_that_is_no_file_is_an_obstacle(tmp_path: Path) -> None:
    living = write(tmp_path, 1)
    try:
        [file] = tmp_path.glob("*/*.records")
        file.rename(file.with_name("elsewhere"))
        file.symlink_to("nowhere")
        [found] = survey_journals(str(tmp_path))
        assert (found.lives, found.records) == (True, 0)
        assert found.obstacle
    finally:
        living.reset_in_child()


def test_a_directory_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        survey_journals(str(tmp_path / "none"))
