"""The checks of the package: what is built is the same twice, whole, and what PyPI takes."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tools import public_api
from tools.release import contents, git, readme, versions
from tools.release.build import build_twice, digest
from tools.release.problems import ReleaseError


def check(root: Path) -> None:
    """Build the package of a tree, and raise if anything is wrong with it."""
    with tempfile.TemporaryDirectory(prefix="failpath-otel-check-") as temporary:
        built = build_twice(root, Path(temporary))
        require_sound(root, built)
        for path in built:
            sys.stdout.write(f"{path.name}: {path.stat().st_size:,} bytes, {digest(path)}\n")


def require_sound(root: Path, built: list[Path]) -> None:
    """Raise if anything is wrong with what was built of a tree."""
    found = [*_said(root, built), *problems(root, built), *_broken(root)]
    if found:
        raise ReleaseError("the package is not sound:\n" + "\n".join(found))


def problems(root: Path, built: list[Path]) -> Iterator[str]:
    """Yield what is wrong with the contents of what was built."""
    places = (root, Path.home(), Path(tempfile.gettempdir()) / "failpath-otel-build-")
    (wheel,) = (contents.of_wheel(path) for path in built if path.suffix == ".whl")
    (sdist,) = (contents.of_sdist(path) for path in built if path.suffix == ".gz")
    files = git.files(root)
    yield from (f"wheel: {problem}" for problem in contents.problems_of_wheel(wheel, files, places))
    yield from (f"sdist: {problem}" for problem in contents.problems_of_sdist(sdist, files, places))
    html = readme.rendered(readme.description(contents.metadata(wheel)))
    yield from (f"README.md: {problem}" for problem in readme.problems(html, root, versions.read(root)))


def _broken(root: Path) -> Iterator[str]:
    """Yield what breaks code for the newest release, beyond what the changelog announces."""
    if git.is_clone(root):
        for version in versions.released(git.tags(root))[:1]:
            tag = versions.tag_of(version)
            yield from (f"since {tag}: {change}" for change in public_api.against(root, tag))


def _said(root: Path, built: list[Path]) -> Iterator[str]:
    wheels = [str(path) for path in built if path.suffix == ".whl"]
    for module, *arguments in (
        ("validate_pyproject", "pyproject.toml"),
        ("check_wheel_contents", *wheels),
        ("twine", "--no-color", "check", "--strict", *map(str, built)),
    ):
        command = [sys.executable, "-m", module, *arguments]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
        if done.returncode:
            yield f"{module}: {done.stdout.strip()} {done.stderr.strip()}"
