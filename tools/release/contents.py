"""What is in a wheel and in an sdist, and what must not be."""

import re
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

PLUGIN: Final = "failpath_otel_pytest.py"
_GENERATED: Final = re.compile(r"(^|/)(__pycache__|\.venv[^/]*|\.\w+_cache|build|dist|[^/]+\.egg-info)(/|$)|\.pyc$")
_LICENCE: Final = re.compile(r"(^|/)licen[cs]e[^/]*$", re.IGNORECASE)


def of_wheel(path: Path) -> dict[str, bytes]:
    """Return the files of a wheel."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def of_sdist(path: Path) -> dict[str, bytes]:
    """Return the files of an sdist, without the folder that holds them all."""
    with tarfile.open(path) as archive:
        members = [(member, archive.extractfile(member)) for member in archive.getmembers() if member.isfile()]
        return {member.name.partition("/")[2]: file.read() for member, file in members if file is not None}


def metadata(wheel: dict[str, bytes]) -> str:
    """Return the metadata of a wheel."""
    (found,) = (content for name, content in wheel.items() if name.endswith(".dist-info/METADATA"))
    return found.decode()


def problems_of_wheel(wheel: dict[str, bytes], files: Iterable[str], places: Iterable[Path]) -> list[str]:
    """Return what is wrong with a wheel of the files of a tree, in which no folder of ``places`` may be named."""
    kept = [name for name in wheel if ".dist-info/licenses/" in name]
    wanted = {name for name in files if name.startswith(("failpath_otel/", PLUGIN)) and not _LICENCE.search(name)}
    there = {name for name in wheel if ".dist-info/" not in name}
    found = [f"{name} is missing" for name in sorted(wanted - there)]
    found += [f"{name} is not of the package" for name in sorted(there - wanted)]
    found += [
        f"{name} is missing" for name in files if _LICENCE.search(name) and not any(k.endswith(name) for k in kept)
    ]
    found += [f"{name} is generated" for name in wheel if _GENERATED.search(name)]
    licences: dict[bytes, str] = {}
    for name, content in wheel.items():
        if _LICENCE.search(name) and licences.setdefault(content, name) != name:
            found.append(f"{name} is the same licence as {licences[content]}")
    return found + _places_in(wheel, places)


def problems_of_sdist(sdist: dict[str, bytes], files: Iterable[str], places: Iterable[Path]) -> list[str]:
    """Return what is wrong with an sdist, which has the files of the tree and its own metadata."""
    wanted = {*files, "PKG-INFO"}
    found = [f"{name} is missing" for name in sorted(wanted - sdist.keys())]
    found += [f"{name} is not in the tree" for name in sorted(sdist.keys() - wanted)]
    found += [f"{name} is generated" for name in sdist if _GENERATED.search(name)]
    return found + _places_in(sdist, places)


def _places_in(files: dict[str, bytes], places: Iterable[Path]) -> list[str]:
    names = [str(place).encode() for place in places if len(place.parts) > 2]  # noqa: PLR2004 - "/" and "/root" are words
    return [
        f"{name} names a folder of this machine" for name, content in files.items() if any(n in content for n in names)
    ]
