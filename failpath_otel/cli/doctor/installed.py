"""What is installed: packages that matter here, and OpenTelemetry's components by their entry points."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import distributions
from typing import Final

PREFIX: Final = "opentelemetry-"
_GROUP: Final = "opentelemetry_"
_OTHERS: Final = ("certifi", "grpcio", "msgspec", "protobuf", "requests", "starlette", "urllib3", "uvicorn")


@dataclass(frozen=True, slots=True)
class Installed:
    """What was found, without importing any of it."""

    packages: Mapping[str, str]
    """Versions by name, in alphabetical order."""

    components: Mapping[str, Sequence[str]]
    """The names of entry points by their groups, as ``distro``, in the order in which a loader finds them."""

    def names_of(self, group: str) -> Sequence[str]:
        """Return the names in a group."""
        return self.components.get(group, ())


def read_installed() -> Installed:
    """Read it from the metadata of the environment."""
    packages: dict[str, str] = {}
    components: dict[str, list[str]] = {}
    seen: set[str] = set()
    for each in distributions():
        name = (each.metadata["Name"] or "").lower().replace("_", "-")
        if name in seen:  # further back in the path, where nothing is imported from
            continue
        seen.add(name)
        if name.startswith(PREFIX) or name in _OTHERS:
            packages[name] = each.version
        for point in each.entry_points:
            if point.group.startswith(_GROUP):
                components.setdefault(point.group.removeprefix(_GROUP), []).append(point.name)
    return Installed(dict(sorted(packages.items())), components)
