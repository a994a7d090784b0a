"""What MkDocs calls while it builds the site: addresses, links out of ``docs/``, pictures, the records of decisions."""

import logging
import posixpath
import re
import shutil
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, Final

_TOML: Final[Any] = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
ROOT: Final = Path(__file__).resolve().parents[2]
_LOG: Final = logging.getLogger("mkdocs.hooks.site")

_FENCED: Final = re.compile(r"^(```.*?^```$)", re.MULTILINE | re.DOTALL)
_LINK: Final = re.compile(r"\]\((\.\./[^()\s#]*)(#[^()\s]*)?\)")
_PICTURE: Final = re.compile(
    r'<picture>\s*<source media="\(prefers-color-scheme: dark\)" srcset="([^"]+)">\s*'
    r'<img alt="([^"]+)" src="([^"]+)">\s*</picture>'
)
_DRAWING: Final = re.compile(r"!\[[^\]]*\]\((\S+/drawings/\S+\.svg)\)")
_TITLE: Final = re.compile(r'<label class="md-nav__title" for="(__nav_\d[\d_]*)"')
_LABELLED: Final = re.compile(r'aria-labelledby="(__nav_\d[\d_]*)_label"')
_BLOCK: Final = re.compile(r"^\| (\d{4}) to (\d{4}) \| (.+?) \|$", re.MULTILINE)


def on_config(config: Any) -> Any:
    """Take the addresses from pyproject.toml, and put the records of decisions into the navigation."""
    urls = _TOML.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]
    config.repo_url = urls["Repository"]
    config.site_url = urls["Documentation"]
    config.repo_name = urls["Repository"].partition("://")[2].partition("/")[2]
    config.nav[-1] = {"Decisions": ["decisions/README.md", *_decisions()]}
    return config


def on_page_markdown(markdown: str, page: Any, config: Any, **_: Any) -> str:
    """Repair what means something else on the site than in the repository."""
    parts = _FENCED.split(markdown)
    parts[::2] = [_in_site(part, page.file.src_uri, config) for part in parts[::2]]
    return "".join(parts)


def on_post_page(output: str, **_: Any) -> str:
    """Name the dialog of the search and each list of pages, for screen readers; the theme does not, or by an icon."""
    output = _TITLE.sub(r'\g<0> id="\1_title"', output)
    output = _LABELLED.sub(r'aria-labelledby="\1_title"', output)
    return output.replace(' role="dialog"', ' role="dialog" aria-label="Search"', 1)


def on_post_build(config: Any) -> None:
    """Put the pages beside the site as they were written, where llms.txt links them."""
    source = Path(config.docs_dir)
    for path in source.rglob("*.md"):
        target = Path(config.site_dir) / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def _in_site(text: str, source: str, config: Any) -> str:
    text = _PICTURE.sub(r"![\2](\3#only-light)\n![\2](\1#only-dark)", text)
    text = _DRAWING.sub(r"[\g<0>](\1)", text)
    return _LINK.sub(lambda link: _link(link[0], link[1], link[2] or "", source, config), text)


def _link(whole: str, target: str, anchor: str, source: str, config: Any) -> str:
    """Return the link to a file outside of ``docs/`` as one to the repository."""
    path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(source), target))
    if path.startswith("docs/"):
        return whole
    if not (ROOT / path).exists():
        _LOG.warning("%s links %s, which is not in the repository", source, path)
    kind = "tree" if (ROOT / path).is_dir() else "blob"
    return f"]({config.repo_url}/{kind}/main/{path}{anchor})"


def _decisions() -> list[dict[str, list[str]]]:
    """Return the records under the headings of the blocks that their index names."""
    folder = ROOT / "docs" / "decisions"
    index = (folder / "README.md").read_text(encoding="utf-8")
    numbers = {path.name[:4]: f"decisions/{path.name}" for path in sorted(folder.glob("[0-9]*.md"))}
    return [
        {f"{about[0].upper()}{about[1:]}": [path for number, path in numbers.items() if first <= number <= last]}
        for first, last, about in _BLOCK.findall(index)
    ]
