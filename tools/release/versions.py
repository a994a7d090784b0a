"""Which version may come next, and the file that has it."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from packaging.version import InvalidVersion, Version

from tools.release.problems import ReleaseError

FILE: Final = "failpath_otel/_version.py"
_LINE: Final = re.compile(r'^__version__ = "([^"]+)"$', re.MULTILINE)


def parse(text: str) -> Version:
    """Return the version; raise if it is not one of PEP 440 in its normal form, or not one to be published."""
    try:
        version = Version(text)
    except InvalidVersion:
        raise ReleaseError(f"{text!r} is not a version as PEP 440 has them, such as 0.2.0 or 0.2.0rc1") from None
    if str(version) != text:
        raise ReleaseError(f"write {version} instead of {text}")
    if version.is_devrelease or version.local is not None:
        raise ReleaseError(f"{text} is for development only: PyPI and tags have releases and pre-releases")
    return version


def tag_of(version: Version) -> str:
    """Return the name of its tag."""
    return f"v{version}"


def released(tags: Iterable[str]) -> list[Version]:
    """Return the versions of the tags, the newest first; other tags are passed over."""
    found = []
    for tag in tags:
        try:
            found.append(parse(tag.removeprefix("v")) if tag.startswith("v") else None)
        except ReleaseError:
            continue
    return sorted((version for version in found if version is not None), reverse=True)


def require_next(version: Version, tags: Iterable[str]) -> None:
    """Raise if the version does not come after those that are tagged."""
    newest = next(iter(released(tags)), None)
    if newest is not None and version <= newest:
        raise ReleaseError(f"{version} does not come after {newest}, the newest tag")


def read(root: Path) -> Version:
    """Return the version of a tree."""
    return parse(_found((root / FILE).read_text(encoding="utf-8"))[1])


def write(root: Path, version: Version) -> None:
    """Set the version of a tree."""
    text = (root / FILE).read_text(encoding="utf-8")
    start, end = _found(text).span(1)
    (root / FILE).write_text(f"{text[:start]}{version}{text[end:]}", encoding="utf-8")


def _found(text: str) -> re.Match[str]:
    found = _LINE.search(text)
    if found is None:
        raise ReleaseError(f"{FILE} has no line __version__ = ...")
    return found
