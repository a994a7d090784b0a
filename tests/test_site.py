"""The site of ``docs/``: every page is in its navigation, and the check of what was built sees what is wrong."""

import logging
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Final

import pytest

from tests.docs.pages import DECISIONS, DOCS, ROOT
from tools.site.built import mistakes_in
from tools.site.hooks import on_page_markdown, on_post_page

ADDRESS: Final = "https://example.org/docs/"


def test_every_page_is_in_the_navigation_once() -> None:
    _, _, navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")
    pages = {path.relative_to(DOCS).as_posix() for path in set(DOCS.rglob("*.md")) - set(DECISIONS)}
    named = re.findall(r"[\w/-]+\.md$", navigation, re.MULTILINE)
    assert sorted(named) == sorted(pages | {"decisions/README.md"})


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("[one](other.md#here)", "[one](other.md#here)"),
        ("[one](../../CHANGELOG.md#a)", "[one](https://a.b/c/blob/main/CHANGELOG.md#a)"),
        ("[many](../../examples)", "[many](https://a.b/c/tree/main/examples)"),
        ("```text\n[code](../../gone.py)\n```", "```text\n[code](../../gone.py)\n```"),
        ("![A](../images/drawings/a.svg)", "[![A](../images/drawings/a.svg)](../images/drawings/a.svg)"),
        (
            (
                '<picture>\n  <source media="(prefers-color-scheme: dark)" srcset="d.png">\n'
                '  <img alt="A" src="l.png">\n</picture>'
            ),
            "![A](l.png#only-light)\n![A](d.png#only-dark)",
        ),
    ],
)
def test_what_means_something_else_on_the_site_is_repaired(
    written: str, shown: str, caplog: pytest.LogCaptureFixture
) -> None:
    page = SimpleNamespace(file=SimpleNamespace(src_uri="guides/page.md"))
    assert on_page_markdown(written, page, SimpleNamespace(repo_url="https://a.b/c")) == shown
    assert caplog.messages == []


def test_screen_readers_get_the_names_of_the_search_and_of_lists_of_pages() -> None:
    html = '<div role="dialog"><nav aria-labelledby="__nav_7_1_label"><label class="md-nav__title" for="__nav_7_1">'
    assert on_post_page(html) == (
        '<div role="dialog" aria-label="Search"><nav aria-labelledby="__nav_7_1_title">'
        '<label class="md-nav__title" for="__nav_7_1" id="__nav_7_1_title">'
    )


def test_a_link_out_of_the_documentation_to_nothing_fails_the_site(caplog: pytest.LogCaptureFixture) -> None:
    page = SimpleNamespace(file=SimpleNamespace(src_uri="guides/page.md"))
    on_page_markdown("[one](../../gone.py)", page, SimpleNamespace(repo_url="https://a.b/c"))
    assert [(each.levelno, each.name.partition(".")[0]) for each in caplog.records] == [(logging.WARNING, "mkdocs")]


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
