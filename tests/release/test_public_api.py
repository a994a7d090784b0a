"""The description of the public names, and what is found to break code that uses them."""

import re
from pathlib import Path

import griffe
import pytest

from tools.public_api import FILE, ROOT, breakages, described, load, unannounced

pytestmark = pytest.mark.process  # griffe asks git about what it reads

OLD = """
from failpath_otel._private import Base
__all__ = ["Run", "configure"]

class Run(Base):
    def __init__(self, tracer): ...
    def step(self, key, *, metadata=None): ...
    def _inside(self): ...

def configure(project_key=None): ...
"""
OTHER_MODULES = {
    "_private.py": "class Base:\n    def skip(self, key: str) -> None: ...\n",
    "testing.py": "class ErrorInfo: ...\nclass MockFailpath: ...\nclass Record: ...\n",
    "integrations/__init__.py": "",
    "integrations/django.py": "def run_middleware(get_response): ...\n",
    "options/__init__.py": "",
    "options/arguments.py": "class DeliveryOptions:\n    project_key: str\n",
}


def _package(root: Path, text: str) -> griffe.Module:
    for name, content in {"__init__.py": text, **OTHER_MODULES}.items():
        file = root / "failpath_otel" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    return load(root)


def test_the_description_of_the_public_names_is_up_to_date() -> None:
    written = FILE.read_text(encoding="utf-8").splitlines()
    current = described(load(ROOT)).splitlines()
    gone = [line for line in written if line not in current]
    new = [line for line in current if line not in written]
    assert not gone, "breaks what users wrote; announce it in CHANGELOG.md, then python -m tools.public_api"
    assert not new, "new for users; if that is meant, python -m tools.public_api"
    assert written == current, "python -m tools.public_api"


def test_the_description_has_inherited_methods_and_no_private_ones(tmp_path: Path) -> None:
    text = described(_package(tmp_path, OLD))
    assert "failpath_otel.Run.skip(key: str) -> None\n" in text
    assert "failpath_otel.Run.step(key, *, metadata=None)\n" in text
    assert "_inside" not in text
    assert "Run.__init__" not in text
    assert "DeliveryOptions: project_key: str\n" in text


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        ("def step(self, key, *, metadata=None)", "def step(self, key)", "failpath_otel.Run"),
        ("def step(self, key, *, metadata=None)", "def record(self, key)", "failpath_otel.Run"),
        ("def configure(project_key=None)", "def configure(project_key)", "failpath_otel.configure"),
        ('["Run", "configure"]', '["configure"]', "failpath_otel.Run"),
    ],
)
def test_a_break_is_found_and_passes_if_the_changelog_announces_it(
    old: str, new: str, name: str, tmp_path: Path
) -> None:
    broken = breakages(_package(tmp_path / "old", OLD), _package(tmp_path / "new", OLD.replace(old, new)))
    assert list(broken) == [name]
    [line] = unannounced(broken, "- Something else.\n- Breaking: `other`.\n")
    assert re.fullmatch(rf"{re.escape(name)}: [ -~]+", line)
    assert unannounced(broken, f"- **Breaking**: `{name.rpartition('.')[2]}` is another.\n") == []


def test_what_is_added_or_private_breaks_nothing(tmp_path: Path) -> None:
    new = OLD.replace("metadata=None", "metadata=None, more=0").replace(
        "def __init__(self, tracer)", "def __init__(self)"
    )
    new = (
        new.replace("def _inside(self): ...", "").replace('"configure"]', '"configure", "more"]')
        + "\ndef more(): ...\n"
    )
    assert breakages(_package(tmp_path / "old", OLD), _package(tmp_path / "new", new)) == {}
