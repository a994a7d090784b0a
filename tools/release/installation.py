"""How pages say that the package is installed: from a clone or a wheel, until it is published.

With the first release ``pip install '.[local]'`` becomes ``pip install 'failpath-otel[local]'``; the ``git clone``
before it goes, and so does what stands between ``<!-- unpublished -->`` and ``<!-- /unpublished -->``.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

NAME: Final = "failpath-otel"
_COMMAND: Final = re.compile(r"\b(?:pip|pipx|uv pip|uv tool) install\b|\buv add\b")
_PLACE: Final = re.compile(
    r"""(?<=\s)(?<!-e\s)(?<!--editable\s)
    (?P<quote>['"]?)
    (?:path/to/this/clone|path/to/failpath-otel|\.|\.\.?/failpath-otel|[\w./-]*failpath_otel-[\w.]+-py3-none-any\.whl)
    (?P<extras>\[[\w,\ -]+\])?
    (?P=quote)(?=[\s`,;.)]|$)""",
    re.VERBOSE,
)
_PASSAGE: Final = re.compile(r"<!-- unpublished -->.*?<!-- /unpublished -->\n*", re.DOTALL)
_CLONE: Final = re.compile(r"^(?:\$ )?git clone\b.*\bfailpath-otel/failpath-otel\b.*\n", re.MULTILINE)
_WHERE: Final = re.compile(r"# +in a clone of this repository(?:[;,] *|$)", re.MULTILINE)
_PAGES: Final = ("*.md", "docs/**/*.md", "docs/llms.txt", "examples/**/*.md")
_OF_MAINTAINERS: Final = ("CONTRIBUTING.md", "CHANGELOG.md", "docs/decisions/")


def pages(root: Path) -> Iterator[Path]:
    """Return the pages for users."""
    for path in sorted(path for pattern in _PAGES for path in root.glob(pattern)):
        if not path.relative_to(root).as_posix().startswith(_OF_MAINTAINERS):
            yield path


def published(text: str) -> str:
    """Return a page as it reads when the package is on PyPI."""
    lines = _CLONE.sub("", _PASSAGE.sub("", text)).split("\n")
    return "\n".join(_installed(line) if _COMMAND.search(line) else line for line in lines)


def publish(root: Path) -> list[Path]:
    """Rewrite the pages of a tree; return those that changed."""
    changed = []
    for path in pages(root):
        text = path.read_text(encoding="utf-8")
        if (new := published(text)) != text:
            path.write_text(new, encoding="utf-8")
            changed.append(path)
    return changed


def doubtful(root: Path) -> Iterator[str]:
    """Yield the lines that install the package from PyPI and still have a word of a clone or a wheel."""
    for path in pages(root):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if NAME in line and _COMMAND.search(line) and re.search(r"\b(?:clone|checkout|wheel)\b", line):
                yield f"{path.relative_to(root)}:{number}: {line.strip()}"


def _installed(line: str) -> str:
    return _WHERE.sub("# ", _PLACE.sub(_by_name, line)).removesuffix("# ").rstrip()


def _by_name(found: re.Match[str]) -> str:
    extras = found["extras"] or ""
    quote = found["quote"] or ("'" if extras else "")
    return f"{quote}{NAME}{extras}{quote}"
