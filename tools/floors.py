"""Print the lowest versions that pyproject.toml claims, as pip takes them: ``requests==2.32.4`` for ``>=2.32.4``.

These are the core's and those of the extras that are part of the package, without what only the tests need.
"""

import re
import sys
from pathlib import Path
from typing import Any, Final

if sys.version_info >= (3, 11):
    import tomllib
else:  # before anything is installed, there is no other
    from pip._vendor import tomli as tomllib

EXTRAS: Final = ("otlp", "otlp-grpc", "local", "gateway", "grpc", "completions")
_PYPROJECT: Final = Path(__file__).parents[1] / "pyproject.toml"
_REQUIREMENT: Final = re.compile(r"([A-Za-z0-9._-]+)>=([0-9.]+)(; .+)?")


def floors(project: dict[str, Any]) -> list[str]:
    """Return the pins by name; raise ``ValueError`` for a requirement that is no lower bound, or has two."""
    extras = project["optional-dependencies"]
    found: dict[str, str] = {}
    for requirement in [*project["dependencies"], *(each for name in EXTRAS for each in extras[name])]:
        parts = _REQUIREMENT.fullmatch(requirement)
        if parts is None:
            msg = f"expected 'name>=version', and no upper bound, got {requirement!r}"
            raise ValueError(msg)
        name, version, marker = parts.groups()
        pin = f"{name}=={version}{marker or ''}"
        if found.setdefault(name, pin) != pin:
            msg = f"{name} has two floors: {found[name]} and {pin}"
            raise ValueError(msg)
    return [found[name] for name in sorted(found)]


def project() -> dict[str, Any]:
    """Return the project table of pyproject.toml."""
    named: dict[str, Any] = pyproject()["project"]
    return named


def pyproject() -> dict[str, Any]:
    """Return pyproject.toml."""
    return tomllib.loads(_PYPROJECT.read_text(encoding="utf-8"))


if __name__ == "__main__":
    sys.stdout.write("".join(f"{pin}\n" for pin in floors(project())))
