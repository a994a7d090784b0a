"""The versions that matter: of this package, Python, the platform, and all of OpenTelemetry."""

import platform
import sys
from collections.abc import Iterator
from importlib.metadata import distributions
from typing import Final

from failpath_otel._version import __version__
from failpath_otel.cli.doctor.finding import Finding

_CHECK: Final = "versions"
_OTHERS: Final = ("certifi", "grpcio", "msgspec", "protobuf", "requests", "starlette", "urllib3", "uvicorn")
_PREFIX: Final = "opentelemetry-"
_API: Final = "opentelemetry-api"
_SDK: Final = "opentelemetry-sdk"


def installed_packages() -> dict[str, str]:
    """Return the versions of installed packages that matter here, by their names, in alphabetical order."""
    return dict(sorted(_each()))


def _each() -> Iterator[tuple[str, str]]:
    for each in distributions():
        name = (each.metadata["Name"] or "").lower().replace("_", "-")
        if name.startswith(_PREFIX) or name in _OTHERS:
            yield name, each.version


def check_versions() -> list[Finding]:
    """Show the versions, and check that those of OpenTelemetry fit together."""
    packages = installed_packages()
    python = f"{platform.python_implementation()} {platform.python_version()}"
    facts = {
        "failpathOtel": __version__,
        "python": python,
        "executable": sys.executable,
        "platform": platform.platform(),
        "packages": packages,
    }
    others = [f"{name} {version}" for name, version in packages.items() if not name.startswith(_PREFIX)]
    listed = [f"{name[len(_PREFIX) :]} {version}" for name, version in packages.items() if name.startswith(_PREFIX)]
    text = f"failpath-otel {__version__}, {python}, {facts['platform']}, {', '.join(others)}"
    found = [Finding(_CHECK, "ok", text, "", facts), Finding(_CHECK, "ok", f"OpenTelemetry: {', '.join(listed)}")]
    api, sdk = packages.get(_API), packages.get(_SDK)
    if api is None or sdk is None:
        text = f"{_SDK if sdk is None else _API} is not installed"
        found.append(Finding(_CHECK, "problem", text, "pip install --force-reinstall failpath-otel"))
    elif api != sdk:  # of one release each
        text = f"{_API} {api} and {_SDK} {sdk} are of different releases"
        found.append(Finding(_CHECK, "warning", text, f"pip install {_API}=={sdk} {_SDK}=={sdk}"))
    return found
