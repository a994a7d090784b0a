"""Programs with planted mistakes: « and » stand around each expression that has to be found."""

from pathlib import Path
from typing import Final

from failpath_otel.checking.checker import Checked, Checker
from failpath_otel.flows.known_keys import KnownKeys

KEYS: Final = KnownKeys(
    {
        "checkout": ["validate-cart", "charge-card", "send-receipt-email", "charge-paypal"],
        "delivery": ["pack", "ship"],
        "refund": ["pay-back"],
    }
)
FLOWS_FILE: Final = Path(".failpath", "flows.json")


def write(folder: Path, **files: str) -> set[tuple[str, int, int]]:
    """Write files without their marks, and return where the marks were.

    ``shop__pay`` is ``shop/pay.py``, and ``shop__init`` is ``shop/__init__.py``.
    """
    places: set[tuple[str, int, int]] = set()
    for key, text in files.items():
        name = key.replace("__", "/")
        name = f"{name.removesuffix('init')}__init__" if name.endswith("/init") else name
        path = folder / (name if "." in name else f"{name}.py")
        path.parent.mkdir(parents=True, exist_ok=True)
        for number, line in enumerate(text.split("\n"), 1):
            before = ""
            for part in line.split("«")[:-1]:
                before += part.replace("»", "")
                places.add((str(path), number, len(before) + 1))
        path.write_text(text.replace("«", "").replace("»", ""), encoding="utf-8")
    return places


def check(*paths: Path, keys: KnownKeys = KEYS) -> Checked:
    return Checker(keys, FLOWS_FILE).check(paths)


def places(checked: Checked) -> set[tuple[str, int | None, int | None]]:
    """Return where the errors are."""
    return {(*finding.place,) for finding in checked.findings if finding.severity == "error"}
