"""Whether a tag is one of a release: its name, the version of its tree and the changelog agree."""

from pathlib import Path

from tools.release import changelog, versions
from tools.release.git import git, is_clone
from tools.release.problems import ReleaseError


def check_tag(root: Path, tag: str) -> None:
    """Raise if the tree is not what the tag promises."""
    if not tag.startswith("v"):
        raise ReleaseError(f"the tag of a release is a version after a v, not {tag!r}")
    version = versions.parse(tag.removeprefix("v"))
    if (there := versions.read(root)) != version:
        raise ReleaseError(f"the tag is {tag}, but {versions.FILE} has {there}")
    newest = changelog.sections((root / changelog.FILE).read_text(encoding="utf-8"))[0]
    if newest.version != version or newest.date is None:
        state = newest.date or "unreleased"
        raise ReleaseError(
            f"the tag is {tag}, but the newest section of {changelog.FILE} is {newest.version} ({state})"
        )
    if is_clone(root):
        tagged, head = git(root, "rev-parse", f"{tag}^{{commit}}"), git(root, "rev-parse", "HEAD")
        if tagged != head:
            raise ReleaseError(f"{tag} is {tagged[:12]}, but what is checked out is {head[:12]}")
