"""What Griffe does with docstrings before they are read: Sphinx' roles become links, ``Example`` becomes a section."""

import re
from pathlib import Path
from typing import Any, Final

import griffe

_ROOT: Final = Path(__file__).resolve().parents[2]
_ROLE: Final = re.compile(r":(?:class|func|meth|attr):`([\w.]+)`")
_LIMITS: Final = {
    f"limits.{name}": value
    for name, value in re.findall(
        r"^([A-Z_]+)(?:: Final)? = ([\d._]+)$",
        (_ROOT / "failpath_otel" / "limits.py").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
}
"""Values of defaults that have a name."""

_EXAMPLE: Final = re.compile(r"^Example:$", re.MULTILINE)


class Docstrings(griffe.Extension):
    """Rewrite docstrings."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite one docstring; its names are those of the package, or of the class around it."""
        if obj.docstring is not None:
            text = _EXAMPLE.sub("Examples:", obj.docstring.value)
            obj.docstring.value = _ROLE.sub(lambda role: f"[`{_short(role[1])}`][{_full(role[1], obj)}]", text)
        if isinstance(obj, griffe.Function):
            for parameter in obj.parameters:
                parameter.default = _LIMITS.get(str(parameter.default), parameter.default)


def _short(name: str) -> str:
    """Return what a reader sees of a name."""
    return name.removeprefix("failpath_otel.").removeprefix("testing.")


def _full(name: str, obj: griffe.Object) -> str:
    """Return a name with the package, or with the class that the object is, or belongs to."""
    if name.removeprefix("failpath_otel.") == "configure":
        return "failpath_otel.configure.configure"  # a function, in a module of the same name
    if name.startswith("failpath_otel"):
        return name
    if "." in name or name[0].isupper():
        return f"failpath_otel.{name}"
    owner = obj if obj.is_class else obj.parent
    return f"{owner.path}.{name}" if owner is not None else name
