"""``docs/troubleshooting.md``: every line that the package logs is explained, and each that is explained is logged."""

import re
from collections.abc import Iterator
from typing import Final

from tests.docs.pages import DOCS, read_page
from tools.imports import PACKAGE

PAGE: Final = DOCS / "troubleshooting.md"
SAID: Final = re.compile(r'"Failpath: ((?:[^"\\]|\\.)*)"')
VARYING: Final = re.compile(r"%(?:\.\d+)?[a-z]|\{[^}]*\}")


def sources() -> str:
    """The package's source, with texts of several lines in one, and an ellipsis for what varies in them."""
    code = "\n".join(path.read_text() for path in PACKAGE.rglob("*.py"))
    return VARYING.sub("…", re.sub(r'"\n\s*f?"', "", code))


def explained() -> Iterator[str]:
    for cells in read_page(PAGE).rows("`Failpath: ` and"):
        yield cells[0].strip("`")


def test_every_line_that_is_logged_is_explained() -> None:
    patterns = [re.compile(".*".join(map(re.escape, line.rstrip(".…").split("…")))) for line in explained()]
    logged = {line for line in SAID.findall(sources()) if re.search(r"\w{3}", line.replace("…", ""))}
    assert len(logged) > 40
    assert sorted(line for line in logged if not any(pattern.match(line) for pattern in patterns)) == []


def test_every_line_that_is_explained_is_logged() -> None:
    code = sources()
    parts = [(line, part.strip(" .,;:()")) for line in explained() for part in line.split("…")]
    assert [line for line, part in parts if part not in code] == []
