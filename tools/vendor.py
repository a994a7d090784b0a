"""Fetches the JavaScript that the page uses, as `failpath_otel/local/page/vendor/vendored.json` pins it.

`tools/vendor.py` asks npm for each package, holds its archive against the pinned hash and copies the named files out
of it. They are unchanged, but for `rename`: the address of a module that another one imports by its package's name,
which a browser does not know. `--newest` pins the newest releases first. `--check` only looks whether the files that
are there are those, without a network.
"""

import argparse
import base64
import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any, Final

VENDOR: Final = Path(__file__).parent.parent / "failpath_otel" / "local" / "page" / "vendor"
PINS: Final = "vendored.json"


def main() -> int:
    """Fetch the packages, or only compare, and print what differs from the pins; return the exit code."""
    parser = argparse.ArgumentParser(description="Fetches the JavaScript that the page uses, at pinned versions.")
    parser.add_argument("--check", action="store_true", help="only compare the files with their hashes")
    parser.add_argument("--newest", action="store_true", help="pin the newest releases, and fetch those")
    arguments = parser.parse_args()
    if arguments.newest:
        pin_newest(VENDOR)
    if not arguments.check:
        for package in pins(VENDOR):
            fetch(package, VENDOR)
    found = differences(VENDOR)
    for difference in found:
        sys.stderr.write(f"tools/vendor.py: {difference}\n")
    return 1 if found else 0


def pins(vendor: Path) -> list[dict[str, Any]]:
    """Return the pinned packages."""
    packages: list[dict[str, Any]] = json.loads((vendor / PINS).read_text(encoding="utf-8"))["packages"]
    return packages


def differences(vendor: Path) -> list[str]:
    """Return what is missing, changed, or there without a pin; one sentence each."""
    wanted = {name: file["integrity"] for package in pins(vendor) for name, file in package["files"].items()}
    there = {path.name for path in vendor.iterdir()} - {PINS}
    found = [f"{name} is not pinned" for name in sorted(there - wanted.keys())]
    for name, expected in wanted.items():
        if name not in there:
            found.append(f"{name} is missing")
        elif integrity((vendor / name).read_bytes()) != expected:
            found.append(f"{name} is not what was pinned")
    return found


def fetch(package: dict[str, Any], vendor: Path) -> None:
    """Copy the files of one package; exit if npm returns another archive than the pinned one."""
    found, files = download(package)
    if found != package["integrity"]:
        sys.exit(f"tools/vendor.py: the archive of {package['name']}@{package['version']} is not what was pinned")
    for target, content in files.items():
        (vendor / target).write_bytes(content)


def pin_newest(vendor: Path) -> None:
    """Pin the newest release of each package, with the hashes of its archive and of its files."""
    packages = pins(vendor)
    for package in packages:
        asked = ["npm", "view", package["name"], "version"]
        package["version"] = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
        package["integrity"], files = download(package)
        for target, content in files.items():
            package["files"][target]["integrity"] = integrity(content)
    (vendor / PINS).write_text(json.dumps({"packages": packages}, indent=2) + "\n", encoding="utf-8")


def download(package: dict[str, Any]) -> tuple[str, dict[str, bytes]]:
    """Return the hash of the archive of one package, and the contents of its named files."""
    name = f"{package['name']}@{package['version']}"
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(["npm", "pack", "--silent", name], cwd=directory, stdout=subprocess.DEVNULL, check=True)
        (archive,) = Path(directory).glob("*.tgz")
        files: dict[str, bytes] = {}
        with tarfile.open(archive) as tar:
            for target, file in package["files"].items():
                member = tar.extractfile(f"package/{file['from']}")
                assert member is not None
                files[target] = renamed(member.read(), file.get("rename", {}))
        return integrity(archive.read_bytes()), files


def renamed(content: bytes, names: dict[str, str]) -> bytes:
    """Return a module that imports others by their addresses; exit if it does not import one of them."""
    for name, address in names.items():
        before = f'from"{name}"'.encode()
        if before not in content:
            sys.exit(f"tools/vendor.py: {name} is not imported any more")
        content = content.replace(before, f'from"{address}"'.encode())
    return content


def integrity(content: bytes) -> str:
    """Return the hash in npm's format."""
    return "sha512-" + base64.b64encode(hashlib.sha512(content).digest()).decode()


if __name__ == "__main__":
    sys.exit(main())
