"""``docs/llms.txt``: in the form of llmstxt.org, with links to pages that exist."""

import re
from typing import Final

from tests.docs.pages import DOCS, PAGES, ROOT, page_name

TEXT: Final = (DOCS / "llms.txt").read_text(encoding="utf-8")
SITE: Final = re.findall(r'^Documentation = "(\S+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)[0]
LEFT_OUT: Final = {"production/scale.md", "production/senders.md", "reference/options/delivery.md"}
"""Parts of long pages, and pages that another one of the list leads to."""


def test_it_has_a_title_a_summary_and_lists_of_links_with_descriptions() -> None:
    head, *sections = re.split(r"^## ", TEXT, flags=re.MULTILINE)
    assert re.fullmatch(r"# failpath-otel\n\n> [^\n]+\n\n[^\n]+\n\n", head)
    for section in sections:
        name, _, links = section.partition("\n\n")
        assert re.fullmatch(r"[A-Z]\w+", name)
        assert re.fullmatch(rf"(?:- \[[^]]+\]\({re.escape(SITE)}[\w/-]+\.md\): [^\n]+\n)+\n?", links), name
    assert sections[-1].startswith("Optional\n")


def test_it_links_each_page_that_exists_once_and_nothing_else() -> None:
    addresses = re.findall(r"\]\(([^)]+)\)", TEXT)
    assert len(addresses) == len(set(addresses))
    links = [address.removeprefix(SITE) for address in addresses]
    assert [link for link in links if not (DOCS / link).exists()] == []
    parts = ("guides/local/", "reference/api/", "reference/options/")
    pages = {page_name(page) for page in PAGES if page.is_relative_to(DOCS)} - LEFT_OUT - {"index.md"}
    assert {page for page in pages if not page.startswith(parts)} <= set(links)
