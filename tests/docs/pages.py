"""README.md and the pages of docs/, taken apart: code blocks, programs, tables, headings, links.

What a block is, its text and its place say:

- A ```python block that imports ``failpath_otel`` begins a program; the blocks after it that do not are its
  continuation. A program begins with the names of ``prelude.py``.
- A ```python block whose first line is a comment with a file name, ``# test_shop.py``, is that file. The test files of
  a page are run by pytest, in one folder with its other files.
- A ```text block after blocks of a program is what they print, with the endpoint written as Failpath's own.
- A ```json block with declared flows is ``.failpath/flows.json``. The commands ``failpath-otel types`` in ```console
  blocks are run before the programs, and print what stands below them.
- A ```python block whose first line names a library, ``# With sentry-sdk 2.75``, needs that, and is not run.
- A ```http and a ```json block with events are the one request of the programs of a page.
- A ```log block is what the programs of the page log, whatever numbers are in it.
- Blocks of other languages are not run.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
DOCS: Final = ROOT / "docs"
DECISIONS: Final = sorted(DOCS.glob("decisions/*.md"))
PAGES: Final = [ROOT / "README.md", *sorted(set(DOCS.rglob("*.md")) - set(DECISIONS))]

_FENCE: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_BEGINS: Final = re.compile(r"^(import|from) failpath_otel\b", re.MULTILINE)
_FILE: Final = re.compile(r"# (\w+\.py)\n")
_BESIDE: Final = re.compile(r"# With [\w-]+ [\d.]+\n")
_HEADING: Final = re.compile(r"^#+ (.+)$", re.MULTILINE)
_LINK: Final = re.compile(r"\]\(([^()\s]+)\)")
_COMMAND: Final = re.compile(r"^\$ (failpath-otel types .*)\n((?:[^$\n].*\n)*)", re.MULTILINE)
_PATH: Final = re.compile(r"`([\w.-]+(?:/[\w.-]+)*(?:/|\.py|\.md|\.toml))`")


@dataclass
class Program:
    """Blocks that belong together, each on the lines on which it stands in its page; and what they print."""

    code: str = ""
    printed: str | None = None


@dataclass
class Page:
    """One page."""

    text: str
    languages: set[str] = field(default_factory=set)
    programs: list[Program] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    beside: list[str] = field(default_factory=list)
    logged: list[str] = field(default_factory=list)
    headers: str | None = None
    sent: str | None = None
    flows: str | None = None
    commands: list[tuple[str, str]] = field(default_factory=list)

    @property
    def prose(self) -> str:
        """The page without its blocks."""
        return _FENCE.sub("", self.text)

    @property
    def anchors(self) -> set[str]:
        """What GitHub calls the headings of the page."""
        titles = [re.sub(r"[^\w\- ]", "", title.lower()) for title in _HEADING.findall(self.prose)]
        return {title.replace(" ", "-") for title in titles}

    @property
    def links(self) -> list[str]:
        """Where the links of the page lead to, those to other sites left out."""
        return [target for target in _LINK.findall(self.prose) if "://" not in target]

    @property
    def paths(self) -> list[str]:
        """The files and folders that the page names."""
        return _PATH.findall(self.prose)

    def rows(self, heading: str) -> Iterator[list[str]]:
        """The cells of the table whose first heading is ``heading``."""
        _, _, table = self.prose.partition(f"| {heading} |")
        for line in table.splitlines()[2:]:
            if not line.startswith("|"):
                return
            yield [cell.strip() for cell in line.strip("|").split("|")]


def page_name(path: Path) -> str:
    """Return the path of a page as tests name it: below ``docs/``, or in the root."""
    return path.relative_to(DOCS if path.is_relative_to(DOCS) else ROOT).as_posix()


def read_page(path: Path) -> Page:
    """Takes a page apart."""
    page = Page(path.read_text())
    for found in _FENCE.finditer(page.text):
        language, code = found.groups()
        page.languages.add(language)
        if language == "python":
            line = page.text.count("\n", 0, found.start(2))
            _add(page, code, line)
        elif language == "text":
            page.programs[-1].printed = (page.programs[-1].printed or "") + code
        elif language == "json" and code.startswith('{"flows"'):
            page.flows = code
        elif language == "json" and code.startswith('{"events"'):
            page.sent = code
        elif language == "http":
            page.headers = code
        elif language == "console":
            page.commands += _COMMAND.findall(code)
        elif language == "log":
            page.logged += code.splitlines()
    return page


def _add(page: Page, code: str, line: int) -> None:
    name = _FILE.match(code)
    if name:
        page.files[name[1]] = code
        return
    if _BESIDE.match(code):
        page.beside.append(code)
        return
    if _BEGINS.search(code):
        page.programs.append(Program())
    program = page.programs[-1]
    program.code += "\n" * (line - program.code.count("\n")) + code
