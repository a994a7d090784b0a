from pathlib import Path

import pytest
from packaging.version import Version

from tools.release import versions
from tools.release.problems import ReleaseError


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("next", "is not a version as PEP 440"),
        ("1.0.0-rc1", "write 1.0.0rc1"),
        ("v1.0.0", "write 1.0.0"),
        ("1.0.0.dev3", "for development only"),
        ("1.0.0+local", "for development only"),
    ],
)
def test_what_is_no_version_to_publish_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ReleaseError, match=problem):
        versions.parse(text)


def test_tags_of_other_things_are_passed_over_and_the_newest_version_is_first() -> None:
    assert versions.released(["v0.9.0", "v0.10.0", "docs", "vendor", "v0.10.0rc1", "0.11.0"]) == [
        Version("0.10.0"),
        Version("0.10.0rc1"),
        Version("0.9.0"),
    ]


@pytest.mark.parametrize("text", ["0.10.0", "0.9.9", "0.10.0rc2"])
def test_a_version_that_does_not_come_after_the_newest_tag_is_refused(text: str) -> None:
    with pytest.raises(ReleaseError, match=r"does not come after 0\.10\.0"):
        versions.require_next(Version(text), ["v0.10.0", "v0.9.0"])


def test_the_first_version_may_be_any() -> None:
    versions.require_next(Version("0.1.0"), ["docs"])


def test_the_version_that_is_written_is_the_one_that_is_read_and_all_else_stays(tmp_path: Path) -> None:
    file = tmp_path / versions.FILE
    file.parent.mkdir()
    file.write_text('"""Words."""\n\n__version__ = "0.1.0"\nOTHER = 1\n')
    versions.write(tmp_path, Version("0.2.0rc1"))
    assert file.read_text() == '"""Words."""\n\n__version__ = "0.2.0rc1"\nOTHER = 1\n'
    assert versions.read(tmp_path) == Version("0.2.0rc1")


def test_a_file_without_a_version_is_reported(tmp_path: Path) -> None:
    (tmp_path / "failpath_otel").mkdir()
    (tmp_path / versions.FILE).write_text("")
    with pytest.raises(ReleaseError, match="has no line"):
        versions.read(tmp_path)
