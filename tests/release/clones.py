"""A clone in small: what the release script reads and writes, in a repository of git."""

import os
import subprocess
from pathlib import Path

CHANGELOG = """# Changelog

## 0.2.0 (unreleased)

- More, [as documented](docs/start.md).

## 0.1.0 (2026-11-30)

- The first version.
"""
README = "Install it by `pip install '.[local]'`.\n"


def new_clone(root: Path) -> Path:
    """Make one with version 0.1.0 committed and tagged on `main`."""
    for name, text in (
        ("CHANGELOG.md", CHANGELOG),
        ("README.md", README),
        ("failpath_otel/_version.py", '"""The version."""\n\n__version__ = "0.1.0"\n'),
        (".gitignore", "dist/\n__pycache__/\n.venv*/\n"),
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    git(root, "init", "--quiet", "--initial-branch", "main")
    commit(root, "Begin")
    git(root, "tag", "v0.1.0")
    return root


def commit(root: Path, message: str) -> None:
    """Commit all that is there."""
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", message)


def git(root: Path, *arguments: str) -> str:
    """Run git without any settings of the machine."""
    nobody = {"GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.org"}
    nobody |= {"GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@example.org"}
    # Without those of a hook that the tests run in: a commit would be one of the repository that they name.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment |= nobody | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout.strip()
