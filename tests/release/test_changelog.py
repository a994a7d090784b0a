from datetime import date

import pytest
from packaging.version import Version

from tests.docs.pages import ROOT
from tests.release.clones import CHANGELOG
from tools.release import changelog
from tools.release.problems import ReleaseError

TODAY = date(2026, 12, 1)


@pytest.mark.parametrize("heading", ["## 0.2.0 (unreleased)", "## Unreleased", "## 0.1.1 (unreleased)"])
def test_what_is_unreleased_becomes_the_version_of_that_day_and_nothing_else_changes(heading: str) -> None:
    text = CHANGELOG.replace("## 0.2.0 (unreleased)", heading)
    assert changelog.release(text, Version("0.2.0"), TODAY) == CHANGELOG.replace("unreleased", "2026-12-01")


def test_the_notes_are_the_section_with_links_that_lead_to_the_tag() -> None:
    text = changelog.release(CHANGELOG, Version("0.2.0"), TODAY)
    notes = changelog.notes(text, Version("0.2.0"), "https://example.org/v0.2.0")
    assert notes == "- More, [as documented](https://example.org/v0.2.0/docs/start.md).\n"
    assert changelog.notes(text, Version("0.1.0"), "https://example.org") == "- The first version.\n"
    with pytest.raises(ReleaseError, match=r"no section of 0\.3\.0"):
        changelog.notes(text, Version("0.3.0"), "https://example.org")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (CHANGELOG.replace("unreleased", "2026-12-01"), r"no section that is unreleased: its newest is 0\.2\.0"),
        (CHANGELOG.replace("- More, [as documented](docs/start.md).", ""), "is empty"),
        (CHANGELOG.replace("0.1.0 (2026-11-30)", "0.2.0 (2026-11-30)"), "a section of 0.2.0 already"),
        (CHANGELOG.replace("2026-11-30", "30 November"), "not a day: '30 November'"),
        (CHANGELOG.replace("## 0.1.0 (2026-11-30)", "## 0.1.0"), "not '## 0.1.0'"),
        ("# Changelog\n", "a section begins with"),
    ],
)
def test_a_changelog_that_cannot_be_released_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ReleaseError, match=problem):
        changelog.release(text, Version("0.2.0"), TODAY)


def test_the_newest_section_is_a_release_only_if_it_has_a_day() -> None:
    assert changelog.newest_release(CHANGELOG) is None
    newest = changelog.newest_release(CHANGELOG.replace("unreleased", "2026-12-01"))
    assert newest is not None
    assert (newest.version, newest.date) == (Version("0.2.0"), TODAY)


def test_the_changelog_of_this_package_can_be_read() -> None:
    assert changelog.sections((ROOT / changelog.FILE).read_text(encoding="utf-8"))
