"""The versions that matter to what the package does: what ``failpath-otel --version`` prints."""

import argparse
import platform
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from failpath_otel._version import __version__

EXTRAS: Final = ("local", "gateway", "grpc", "otlp", "otlp-grpc", "completions")
"""The extras that are part of the package."""

_CORE: Final = ("opentelemetry-api", "opentelemetry-sdk", "msgspec", "requests", "urllib3")
_OF_EXTRA: Final = re.compile(r"([A-Za-z0-9._-]+).*;.*\bextra == ['\"]([a-z-]+)['\"]")

Find = Callable[[str], "str | None"]
"""Returns the version of a package; ``None`` where it is not installed."""


class VersionAction(argparse.Action):
    """Prints the versions and ends the command. They are looked up here, because no other command needs them."""

    def __init__(self, option_strings: Sequence[str], **_: object) -> None:
        help_text = "print the versions that matter, for a bug report"
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, help=help_text)

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:  # noqa: ANN401 - that of argparse
        """Print the versions."""
        sys.stdout.write("".join(f"{line}\n" for line in versions(_version_of, _requirements())))
        parser.exit()


def versions(find: Find, requirements: Iterable[str]) -> list[str]:
    """Return a line for this package, Python, each library of the core, and each extra with its libraries.

    Args:
        find: returns the version of an installed package.
        requirements: those of this package, as its metadata has them.
    """
    system = f"{platform.python_implementation()}, {platform.system()} {platform.machine()}"
    lines = [
        f"failpath-otel {__version__}",
        f"Python {platform.python_version()} ({system})",
        *(f"{name} {find(name) or 'is missing'}" for name in _CORE),
    ]
    of_extra: dict[str, list[str]] = {}
    for requirement in requirements:
        if found := _OF_EXTRA.match(requirement):
            of_extra.setdefault(found[2], []).append(found[1])
    return [*lines, *(_extra_line(name, of_extra[name], find) for name in EXTRAS if name in of_extra)]


def _extra_line(extra: str, names: Sequence[str], find: Find) -> str:
    found = {name: find(name) for name in names}
    installed = [f"{name} {version}" for name, version in found.items() if version is not None]
    missing = [name for name, version in found.items() if version is None]
    state = ", ".join(installed) if not missing else f"not installed ({', '.join(missing)} missing)"
    return f"extra {extra}: {state}"


def _version_of(name: str) -> str | None:
    # Imported here, as below, because it takes as long as the parser itself.
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415

    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _requirements() -> list[str]:
    from importlib.metadata import PackageNotFoundError, requires  # noqa: PLC0415

    try:
        return requires("failpath-otel") or []
    except PackageNotFoundError:  # from a source tree
        return []
