"""README.md as PyPI shows it: whether each link and each picture of it leads somewhere."""

import re
from email.parser import Parser
from html.parser import HTMLParser
from pathlib import Path
from typing import Final

from packaging.version import Version

REPOSITORY: Final = "https://github.com/failpath-otel/failpath-otel"
RAW: Final = "https://raw.githubusercontent.com/failpath-otel/failpath-otel"
# The last are those that PyPI puts on headings itself.
_ABSOLUTE: Final = re.compile(r"https?:|mailto:|#user-content-")


class _Addresses(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.pictures: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        of = {name: value or "" for name, value in attrs}
        if tag == "a" and "href" in of:
            self.links.append(of["href"])
        self.pictures += [address for name in ("src", "srcset") if (address := of.get(name))]


def description(metadata: str) -> str:
    """Return the description in the metadata of a package, as Markdown."""
    return str(Parser().parsestr(metadata).get_payload())


def rendered(markdown: str) -> str:
    """Return the HTML that PyPI makes of it."""
    from readme_renderer.markdown import render  # noqa: PLC0415 - is not installed where only the rest is tested

    return str(render(markdown))


def problems(html: str, root: Path, version: Version) -> list[str]:
    """Return the links and pictures of a rendered README that are relative, or lead to what the tree does not have."""
    found = _Addresses()
    found.feed(html)
    files, raw = f"{REPOSITORY}/blob/v{version}/", f"{RAW}/v{version}/"
    addresses = [*found.links, *found.pictures]
    wrong = [f"not absolute: {address}" for address in addresses if not _ABSOLUTE.match(address)]
    wrong += [f"a picture that is not raw: {link}" for link in found.pictures if link.startswith(REPOSITORY)]
    for link in found.links:
        if link.startswith(files):
            path, _, anchor = link.removeprefix(files).partition("#")
            if not (root / path).exists():
                wrong.append(f"no such file: {path}")
            elif anchor and anchor not in _anchors(root / path):
                wrong.append(f"no such heading in {path}: {anchor}")
        elif link.startswith(f"{REPOSITORY}/") and re.search(r"/(blob|tree|raw)/(?!main/)", link):
            wrong.append(f"not of this version: {link}")
    pictures = [link.removeprefix(raw) for link in found.pictures if link.startswith(raw)]
    return wrong + [f"no such picture: {path}" for path in pictures if not (root / path).is_file()]


def _anchors(page: Path) -> set[str]:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ +(.+?) *$", text, re.MULTILINE)
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)|[`*]", r"\1", heading) for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in plain}
