"""The files that GitHub reads: their addresses and what they name is there."""

import re
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from bench import figures
from tools.floors import project

ROOT: Final = Path(__file__).parents[1]
FILES: Final = sorted(
    path
    for pattern in (".github/**/*", "SECURITY.md", "CODE_OF_CONDUCT.md", ".pre-commit-config.yaml")
    for path in ROOT.glob(pattern)
    if path.is_file()
)
URLS: Final[dict[str, Any]] = project()["urls"]
ADDRESS: Final = re.compile(r"https://[\w.-]*(?:github\.com/failpath|failpath[\w-]*\.github\.io)[^\s)\"'`]*")


def names(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


@pytest.mark.parametrize("path", FILES, ids=names(FILES))
def test_addresses_of_the_project_are_those_of_pyproject_and_pages_exist(path: Path) -> None:
    for address in ADDRESS.findall(path.read_text(encoding="utf-8")):
        assert address.startswith((URLS["Repository"], URLS["Documentation"])), address
        page, _found, _anchor = address.removeprefix(URLS["Documentation"]).partition("#")
        if address.startswith(URLS["Documentation"]) and page.strip("/"):
            here = ROOT / "docs" / page.strip("/")
            assert here.with_suffix(".md").is_file() or (here / "index.md").is_file(), address


def test_make_has_the_targets_that_workflows_and_hooks_name() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    text = "".join(path.read_text(encoding="utf-8") for path in FILES if path.suffix in {".yml", ".yaml"})
    named = set(re.findall(r"(?:run|entry): make ([a-z-]+)|target: (test-[a-z]+)", text))
    lists = re.findall(r"target: \[([^\]]*)\]", text)
    targets = {target for pair in named for target in pair if target} | {
        target.strip() for each in lists for target in each.split(",")
    }
    assert targets >= {"test", "coverage", "check", "docs", "bench", "venv-release", "test-floor", "test-neighbours"}
    assert [target for target in targets if not re.search(rf"^{target}:", makefile, re.MULTILINE)] == []


@pytest.mark.parametrize(("workflow", "jobs"), [("release.yml", ["ci", "build"]), ("docs.yml", ["deploy"])])
def test_nothing_is_published_by_a_fork(workflow: str, jobs: list[str]) -> None:
    text = (ROOT / ".github/workflows" / workflow).read_text(encoding="utf-8")
    found = msgspec.yaml.decode(text)["jobs"]
    project_itself = f"github.repository == '{URLS['Repository'].removeprefix('https://github.com/')}'"
    assert [name for name, job in found.items() if project_itself in job.get("if", "")] == jobs
    # The others come after these, and are left out with them.
    assert {name for name, job in found.items() if "needs" not in job} <= {*jobs, "build"}


def test_the_job_that_compares_instructions_has_a_python_with_stored_figures() -> None:
    job = (ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8").partition("  instructions:\n")[2]
    assert "container: debian:12-slim@" in job
    # Debian 12 has this one.
    assert "3.11.2" in {kept.python for kept in figures.stored().values()}
