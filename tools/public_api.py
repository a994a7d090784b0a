"""The public names, with their signatures: what a release must not break without notice.

`python -m tools.public_api` writes `docs/reference/public-api.txt`, which a test compares: a line that changes there is
a change for users. `python -m tools.public_api --against v0.1.0` reports what breaks code that was written for that
tag, and fails if CHANGELOG.md does not announce it: in an entry of its newest section that says "Breaking" and has the
name.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import griffe

ROOT: Final = Path(__file__).parent.parent
FILE: Final = ROOT / "docs" / "reference" / "public-api.txt"
MODULES: Final = {
    "failpath_otel": None,
    "failpath_otel.testing": ("ErrorInfo", "MockFailpath", "Record"),
    "failpath_otel.integrations.django": ("run_middleware",),
}
"""The public modules and their public names; None stands for ``__all__``. This is the one place that has them."""

_MADE_BY_OTHERS: Final = {"FailpathClient", "Run", "Step"}
"""Classes that users get from `configure()` and from methods, and do not call."""
_OPTIONS: Final = "options.arguments.DeliveryOptions"
_SPECIAL: Final = {
    f"__{name}__"
    for name in ("init", "call", "enter", "exit", "aenter", "aexit", "iter", "await", "eq", "hash", "len", "getattr")
}
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")
_HEAD: Final = "# Written by `python -m tools.public_api`. A line that goes or changes breaks what users wrote.\n"


def public_names(package: griffe.Module) -> dict[str, list[str]]:
    """Return the names of each public module."""
    found = {}
    for path, names in MODULES.items():
        exports = package[_inside(path)].exports if path != package.path else package.exports
        found[path] = sorted(map(str, exports or ()) if names is None else names)
    return found


def load(root: Path) -> griffe.Module:
    """Read the package of a tree, without importing it."""
    loader = griffe.GriffeLoader(search_paths=[root], allow_inspection=False)
    package = loader.load("failpath_otel", try_relative_path=False)
    loader.resolve_aliases(implicit=True, external=False)
    if not isinstance(package, griffe.Module):
        raise TypeError(package)
    return package


def described(package: griffe.Module) -> str:
    """Return the public names with their signatures, a line each."""
    lines = [
        line
        for module, names in public_names(package).items()
        for name in names
        for line in _lines(_named(package, module, name), f"{module}.{name}")
    ]
    options = package[_OPTIONS]
    lines += [f"{options.name}: {name}: {option.annotation}" for name, option in options.attributes.items()]
    return _HEAD + "".join(f"{line}\n" for line in lines)


def breakages(old: griffe.Module, new: griffe.Module) -> dict[str, list[str]]:
    """Return what code for the old package finds broken in the new one, by the public name."""
    found: dict[str, list[str]] = {}
    for module, names in public_names(old).items():
        there = public_names(new).get(module, [])
        for name in names:
            if name not in there:
                found[f"{module}.{name}"] = ["it is not public any more"]
                continue
            was, now = _named(old, module, name), _named(new, module, name)
            changes = [
                each for each in griffe.find_breaking_changes(_holder(was), _holder(now)) if _concerns_users(each, was)
            ]
            if changes:
                found[f"{module}.{name}"] = [_explained(each) for each in changes]
    return found


def unannounced(broken: dict[str, list[str]], changes: str) -> list[str]:
    """Return those that no entry of a list of changes announces; one line each."""
    entries = [entry for entry in re.split(r"^- ", changes, flags=re.MULTILINE) if "breaking" in entry.lower()]
    return [
        f"{name}: {explanation}"
        for name, explanations in broken.items()
        if not any(re.search(rf"\b{re.escape(name.rpartition('.')[2])}\b", entry) for entry in entries)
        for explanation in explanations
    ]


def against(root: Path, tag: str) -> list[str]:
    """Return what breaks code for a tag without an announcement; one line each."""
    with tempfile.TemporaryDirectory() as temporary:
        archive = subprocess.run(
            ["git", "-C", str(root), "archive", tag, "failpath_otel"], capture_output=True, check=True
        )
        subprocess.run(["tar", "-x", "-C", temporary], input=archive.stdout, check=True)
        broken = breakages(load(Path(temporary)), load(root))
    _, _, changes = (root / "CHANGELOG.md").read_text(encoding="utf-8").partition("\n## ")
    return unannounced(broken, changes.partition("\n## ")[0])


def main() -> int:
    """Write the file, or compare with a tag; return the exit code."""
    parser = argparse.ArgumentParser(description="Describes the public names, and finds what breaks them.")
    parser.add_argument("--against", metavar="TAG", help="report what breaks code for that tag, and write nothing")
    arguments = parser.parse_args()
    if arguments.against is None:
        FILE.parent.mkdir(parents=True, exist_ok=True)
        FILE.write_text(described(load(ROOT)), encoding="utf-8")
        return 0
    found = against(ROOT, arguments.against)
    sys.stdout.write("".join(f"{each}\n" for each in found))
    return 1 if found else 0


def _inside(path: str) -> str:
    return path.partition(".")[2]


def _named(package: griffe.Module, module: str, name: str) -> griffe.Object:
    found = package[f"{_inside(module)}.{name}" if _inside(module) else name]
    return found.final_target if isinstance(found, griffe.Alias) else found


def _lines(found: griffe.Object, name: str) -> Iterator[str]:
    if isinstance(found, griffe.Function):
        prefix = "async " if "async" in found.labels else ""
        yield from (f"{prefix}{_signature(each, name)}" for each in (found.overloads or [found]))
    elif isinstance(found, griffe.Class):
        yield f"class {name}({', '.join(str(base) for base in found.bases)})"
        members = {**found.inherited_members, **found.members}
        for member_name, member in sorted(members.items()):
            made = member_name == "__init__" and found.name in _MADE_BY_OTHERS
            if not made and (not member_name.startswith("_") or member_name in _SPECIAL):
                target = _of_this_package(member)
                if target is not None:
                    yield from _lines(target, f"{name}.{member_name}")
    elif isinstance(found, griffe.Attribute):
        yield f"{name}: {found.annotation}" if found.annotation is not None else name


def _of_this_package(member: griffe.Object | griffe.Alias) -> griffe.Object | None:
    try:
        target = member.final_target if isinstance(member, griffe.Alias) else member
    except griffe.AliasResolutionError:
        return None
    return target if target.path.startswith("failpath_otel.") else None


def _signature(function: griffe.Function, name: str) -> str:
    return f"{function.signature(name=name)}".replace("\n", " ")


def _holder(public: griffe.Object) -> griffe.Module:
    """Return a module with nothing else in it: griffe compares what two objects have inside."""
    public.public = True
    holder = griffe.Module("public")
    holder.members["public"] = public
    return holder


def _explained(change: griffe.Breakage) -> str:
    return _COLOUR.sub("", change.explain(griffe.ExplanationStyle("oneline")))


def _concerns_users(change: griffe.Breakage, public: griffe.Object) -> bool:
    inside = change.obj.path.removeprefix(public.path).strip(".").partition("(")[0].split(".")
    if public.name in _MADE_BY_OTHERS and "__init__" in inside:
        return False
    return not any(part.startswith("_") and part not in _SPECIAL for part in inside)


if __name__ == "__main__":
    sys.exit(main())
