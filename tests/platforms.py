"""Which tests run on Windows: folders that need nothing of POSIX, without what is named here. A plugin of pytest.

A folder is added when its tests were seen to run with what ``tests/without_posix.py`` leaves, or on Windows itself.
"""

import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[1]

WINDOWS: Final = (
    "tests/checking",
    "tests/flows",
    "tests/integrations",
    "tests/journal/test_on_windows.py",
    "tests/options",
    "tests/otlp",
    "tests/records",
    "tests/scrubbing",
    "tests/steps",
)

POSIX: Final = {
    "test_a_pipe_among_the_files_is_named_and_not_waited_for": "makes a pipe with a name",
    "test_a_pipe_is_refused_and_not_waited_for": "makes a pipe with a name",
    "test_bad_input_a_file_that_this_user_may_not_read_is_an_error": "becomes another user",
    "tests/steps/test_interrupted_steps.py": "is interrupted by alarms",
}
"""Tests and modules in these folders that are left out, and why."""


def is_for_windows(path: Path) -> bool:
    """Return whether a module or a folder has tests for Windows."""
    listed = [ROOT / each for each in WINDOWS]
    return any(path == each or each in path.parents or path in each.parents for each in listed)


def why_not(item: pytest.Item) -> str:
    """Return why a test cannot run on Windows; empty if it can."""
    fork = item.get_closest_marker("forks")
    name: str = getattr(item, "originalname", item.name)
    module = item.path.relative_to(ROOT).as_posix()
    return "forks" if fork else POSIX.get(name, "") or POSIX.get(module, "")


class OnWindows:
    """Registered there alone."""

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        is_test = collection_path.is_dir() or collection_path.name.startswith("test_")
        return True if is_test and not is_for_windows(collection_path) else None

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            if reason := why_not(item):
                item.add_marker(pytest.mark.skip(reason=f"on Windows: {reason}"))


def register(config: pytest.Config) -> None:
    """Do it on Windows."""
    if sys.platform == "win32":
        config.pluginmanager.register(OnWindows())
