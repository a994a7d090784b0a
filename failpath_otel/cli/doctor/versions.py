"""The versions that matter: of this package, Python, the platform, and all of OpenTelemetry."""

import platform
import sys
from typing import Final

from failpath_otel._version import __version__
from failpath_otel.cli.doctor.finding import Finding
from failpath_otel.cli.doctor.installed import PREFIX, Installed

_CHECK: Final = "versions"
_API: Final = "opentelemetry-api"
_SDK: Final = "opentelemetry-sdk"


def check_versions(installed: Installed) -> list[Finding]:
    """Show the versions, and check that those of OpenTelemetry fit together."""
    packages = installed.packages
    python = f"{platform.python_implementation()} {platform.python_version()}"
    facts = {
        "failpathOtel": __version__,
        "python": python,
        "executable": sys.executable,
        # Not `platform.platform()`, which starts a process.
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
        "packages": dict(packages),
    }
    others = [f"{name} {version}" for name, version in packages.items() if not name.startswith(PREFIX)]
    listed = [f"{name[len(PREFIX) :]} {version}" for name, version in packages.items() if name.startswith(PREFIX)]
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
