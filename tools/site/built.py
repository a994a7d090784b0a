"""A second look at the site, as it was built: no request to other hosts, and every link leads to something.

MkDocs looks at links in Markdown alone. This looks at the HTML, with what the theme and the reference add.
"""

import logging
import posixpath
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

_LOG: Final = logging.getLogger("mkdocs.hooks.built")
_RESOURCES: Final = {"script", "img", "source", "iframe", "link", "use", "object", "embed", "video", "audio"}
_NOT_LOADED: Final = {"canonical", "prev", "next", "edit", "alternate"}
_URL: Final = re.compile(r"""(?:url\(\s*|@import\s+)["']?([^"')\s]+)""")


class Html(HTMLParser):
    """What one file has: what a browser loads for it, where its links lead to, and its anchors."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take what a tag refers to."""
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        targets = [given[name] for name in ("src", "href", "data", "poster") if given.get(name)]
        targets += [each.split()[0] for each in given.get("srcset", "").split(",") if each.strip()]
        self.loaded += _URL.findall(given.get("style", ""))
        if tag in _RESOURCES and not _NOT_LOADED & set(given.get("rel", "").split()):
            self.loaded += targets
        elif tag == "a":
            self.links += targets


def on_post_build(config: Any) -> None:
    """Warn of each mistake in the built site; a strict build then fails."""
    for mistake in mistakes_in(Path(config.site_dir), config.site_url):
        _LOG.warning(mistake)


def mistakes_in(folder: Path, address: str) -> list[str]:
    """Return what is wrong in the site in a folder that is to be served at an address."""
    pages: dict[str, Html] = {}
    loaded: list[tuple[str, str]] = []
    for path in sorted(folder.rglob("*.html")):
        name = path.relative_to(folder).as_posix()
        pages[name] = Html()
        pages[name].feed(path.read_text(encoding="utf-8"))
        loaded += [(name, target) for target in pages[name].loaded]
    for path in sorted(folder.rglob("*.css")):
        name = path.relative_to(folder).as_posix()
        loaded += [(name, target) for target in _URL.findall(path.read_text(encoding="utf-8"))]
    found = [
        f"{name} loads {target} from another host"
        for name, target in loaded
        if urlsplit(target).netloc and not target.startswith(address)
    ]
    links = [(name, target) for name, page in pages.items() for target in page.links]
    return found + [
        f"{name} links {target}, which is not there"
        for name, target in links + loaded
        if not _is_there(folder, pages, name, target, address)
    ]


def _is_there(folder: Path, pages: dict[str, Html], name: str, target: str, address: str) -> bool:
    base = urlsplit(address)
    url = urlsplit(target.removeprefix(f"{base.scheme}://{base.netloc}"))
    if url.scheme or url.netloc:
        return True  # of others
    path = unquote(url.path)
    if path.startswith(base.path):
        path = path[len(base.path) :] or "."
    elif path.startswith("/"):
        return False
    else:
        path = posixpath.join(posixpath.dirname(name), path) if path else name
    path = posixpath.normpath(path)
    if (folder / path).is_dir():
        path = posixpath.normpath(posixpath.join(path, "index.html"))
    if not (folder / path).is_file():
        return False
    anchor = unquote(url.fragment)
    return not anchor or path not in pages or anchor in pages[path].anchors
