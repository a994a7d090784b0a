"""A release of a small clone. What builds is not installed where tests run, so a stand-in makes the wheel."""

from datetime import date
from pathlib import Path

import pytest
from packaging.version import Version

from tests.release.clones import CHANGELOG, commit, git, new_clone
from tools.release import plan
from tools.release.git import files, require_on_branch, require_ready
from tools.release.plan import Plan
from tools.release.problems import ReleaseError
from tools.release.tag import check_tag

pytestmark = pytest.mark.process

VERSION = Version("0.2.0")


def _made(root: Path, to: Path) -> list[Path]:
    to.mkdir(parents=True, exist_ok=True)
    (to / "version").write_bytes((root / "failpath_otel/_version.py").read_bytes())
    return [to / "version"]


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(plan, "make", _made)
    for name, value in (("AUTHOR", "A"), ("COMMITTER", "A")):
        monkeypatch.setenv(f"GIT_{name}_NAME", value)
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "a@example.org")
    return new_clone(tmp_path / "clone")


def test_a_dry_run_leaves_the_clone_as_it_is_and_a_release_commits_and_tags_it(
    clone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = git(clone, "rev-parse", "HEAD")
    release = Plan(clone, VERSION, date(2026, 12, 1), tmp_path / "dist")
    release.run(dry=True, checked=False)
    assert '__version__ = "0.2.0"' in (tmp_path / "dist" / "version").read_text()
    assert (git(clone, "rev-parse", "HEAD"), git(clone, "status", "--porcelain")) == (before, "")
    assert (git(clone, "tag"), git(clone, "worktree", "list").count("\n")) == ("v0.1.0", 0)

    with pytest.raises(ReleaseError, match="dist is not empty"):
        release.run(dry=False, checked=False)
    (tmp_path / "dist" / "version").unlink()
    hook = clone / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\n.venv/bin/python -m ruff check\n")
    hook.chmod(0o755)
    release.run(dry=False, checked=False)
    hook.unlink()
    assert "git push --atomic origin main v0.2.0" in capsys.readouterr().out
    assert git(clone, "status", "--porcelain") == ""
    assert git(clone, "log", "-1", "--format=%s %D") == "Release 0.2.0 HEAD -> main, tag: v0.2.0"
    assert (clone / "CHANGELOG.md").read_text() == CHANGELOG.replace("unreleased", "2026-12-01")
    assert (clone / "README.md").read_text() == "Install it by `pip install 'failpath-otel[local]'`.\n"
    check_tag(clone, "v0.2.0")
    for tag, problem in (("0.2.0", "after a v"), ("v0.1.0", r"_version\.py has 0\.2\.0")):
        with pytest.raises(ReleaseError, match=problem):
            check_tag(clone, tag)

    (tmp_path / "dist" / "version").unlink()
    (clone / "more").write_text("")
    commit(clone, "More")
    with pytest.raises(ReleaseError, match=r"v0\.2\.0 is .* but what is checked out is"):
        check_tag(clone, "v0.2.0")
    with pytest.raises(ReleaseError, match=r"0\.2\.0 does not come after 0\.2\.0"):
        release.run(dry=True, checked=False)


@pytest.mark.parametrize("what", ["a tag", "a commit"])
def test_what_came_in_between_leaves_neither_a_commit_nor_a_tag_of_the_release(
    clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    def in_between(root: Path, to: Path) -> list[Path]:
        if what == "a tag":
            git(clone, "tag", "v0.2.0")
        else:
            (clone / "more").write_text("")
            commit(clone, "More")
        return _made(root, to)

    monkeypatch.setattr(plan, "make", in_between)
    with pytest.raises(ReleaseError, match="already exists" if what == "a tag" else "fast-forward"):
        Plan(clone, VERSION, date(2026, 12, 1), tmp_path / "dist").run(dry=False, checked=False)
    assert "Release" not in git(clone, "log", "-1", "--format=%s")
    assert git(clone, "tag", "--list", "--format=%(refname:short) %(objecttype)").splitlines()[1:] == (
        ["v0.2.0 commit"] if what == "a tag" else []
    )


def test_a_tree_is_released_only_if_it_is_clean_on_main_and_up_to_date(
    clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "of-a-hook"))
    git(clone, "clone", "--quiet", str(clone), str(tmp_path / "other"))
    other = tmp_path / "other"
    require_ready(other)
    (clone / "more").write_text("")
    commit(clone, "More")
    with pytest.raises(ReleaseError, match="1 commits behind origin"):
        require_ready(other)
    (clone / "README.md").write_text("changed")
    with pytest.raises(ReleaseError, match=r"not clean:\n\s*M README.md"):
        require_ready(clone)
    git(clone, "checkout", "--quiet", "README.md")
    git(clone, "checkout", "--quiet", "-b", "topic")
    with pytest.raises(ReleaseError, match="made on main; this is topic"):
        require_ready(clone)
    with pytest.raises(ReleaseError, match=r"the newest section of CHANGELOG\.md is 0\.1\.0"):
        _tagged_without_a_changelog(clone)


def test_a_commit_that_is_not_on_main_of_the_remote_is_not_released(clone: Path, tmp_path: Path) -> None:
    require_on_branch(clone)  # there is no remote
    other = tmp_path / "other"
    git(clone, "clone", "--quiet", str(clone), str(other))
    require_on_branch(other)
    (other / "more").write_text("")
    commit(other, "More")
    with pytest.raises(ReleaseError, match="is not on origin/main"):
        require_on_branch(other)
    git(other, "push", "--quiet", "origin", "HEAD:topic")
    with pytest.raises(ReleaseError, match="is not on origin/main"):
        require_on_branch(other)
    git(other, "checkout", "--quiet", "--detach", "HEAD~1")
    require_on_branch(other)


def test_what_is_built_is_what_git_knows_and_without_git_what_it_does_not_ignore(clone: Path) -> None:
    for name in ("dist/x", ".venv-3.13/x", "failpath_otel/__pycache__/x.pyc", "new.md"):
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        (clone / name).write_text("")
    known = [".gitignore", "CHANGELOG.md", "README.md", "failpath_otel/_version.py", "new.md"]
    assert files(clone) == [name for name in known if name != "new.md"]
    git(clone, "add", "new.md")
    assert files(clone) == known
    (clone / ".git").rename(clone.parent / "put-aside")
    assert files(clone) == known


def _tagged_without_a_changelog(clone: Path) -> None:
    (clone / "failpath_otel/_version.py").write_text('__version__ = "0.3.0"\n')
    (clone / "CHANGELOG.md").write_text("## 0.1.0 (2026-11-30)\n\n- The first.\n")
    check_tag(clone, "v0.3.0")
