"""The site of ``docs/``: every page is in its navigation, and the check of what was built sees what is wrong."""

import re
from pathlib import Path
from typing import Final

import pytest

from tests.docs.pages import DECISIONS, DOCS, ROOT
from tools.site.built import mistakes_in

ADDRESS: Final = "https://example.org/docs/"


def test_every_page_is_in_the_navigation_once() -> None:
    _, _, navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")
    pages = {path.relative_to(DOCS).as_posix() for path in set(DOCS.rglob("*.md")) - set(DECISIONS)}
    named = re.findall(r"[\w/-]+\.md$", navigation, re.MULTILINE)
    assert sorted(set(named)) == sorted(named)
    assert pages | {"decisions/README.md"} <= set(named)


@pytest.mark.parametrize(
    ("html", "mistake"),
    [
        ('<a href="../there/#here">', None),
        ('<a href="/docs/there/">', None),
        ('<a href="https://example.org/docs/there/#here">', None),
        ('<a href="https://pypi.org/">', None),
        ('<link rel="canonical" href="https://example.org/docs/"><img src="data:image/png;base64,AA==">', None),
        ('<a href="../gone/">', "page/index.html links ../gone/, which is not there"),
        ('<a href="../there/#gone">', "page/index.html links ../there/#gone, which is not there"),
        ('<a href="#gone">', "page/index.html links #gone, which is not there"),
        ('<a href="/there/">', "page/index.html links /there/, which is not there"),
        ('<img src="gone.png">', "page/index.html links gone.png, which is not there"),
        ('<script src="//unpkg.com/x.js">', "page/index.html loads //unpkg.com/x.js from another host"),
        ('<img srcset="https://a.b/c.png 2x">', "page/index.html loads https://a.b/c.png from another host"),
        ('<i style="background: url(http://a.b/c)">', "page/index.html loads http://a.b/c from another host"),
    ],
)
def test_the_check_of_the_site_finds_requests_to_other_hosts_and_links_to_nothing(
    tmp_path: Path, html: str, mistake: str | None
) -> None:
    for name, text in (("page", html), ("there", '<p id="here">')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "index.html").write_text(text)
    assert mistakes_in(tmp_path, ADDRESS) == ([] if mistake is None else [mistake])


def test_the_check_of_the_site_reads_its_styles(tmp_path: Path) -> None:
    (tmp_path / "site.css").write_text('@import "https://a.b/c.css"; i { background: url("gone.svg") }')
    assert mistakes_in(tmp_path, ADDRESS) == [
        "site.css loads https://a.b/c.css from another host",
        "site.css links gone.svg, which is not there",
    ]
