"""``docs/llms.txt``: in the form of llmstxt.org, with links to pages that exist."""

import re
from typing import Final

from tests.docs.pages import DOCS, PAGES, page_name

TEXT: Final = (DOCS / "llms.txt").read_text(encoding="utf-8")
LEFT_OUT: Final = {"production/scale.md", "production/senders.md", "reference/options/delivery.md"}
"""Parts of long pages, and pages that another one of the list leads to."""


def test_it_has_a_title_a_summary_and_lists_of_links_with_descriptions() -> None:
    head, *sections = re.split(r"^## ", TEXT, flags=re.MULTILINE)
    assert re.fullmatch(r"# failpath-otel\n\n> [^\n]+\n\n[^\n]+\n\n", head)
    for section in sections:
        name, _, links = section.partition("\n\n")
        assert re.fullmatch(r"[A-Z]\w+", name)
        assert re.fullmatch(r"(?:- \[[^]]+\]\([\w/-]+\.md\): [^\n]+\n)+\n?", links), name
    assert sections[-1].startswith("Optional\n")


def test_it_links_each_page_that_exists_once_and_nothing_else() -> None:
    links = re.findall(r"\]\(([^)]+)\)", TEXT)
    assert len(links) == len(set(links))
    missing = {link for link in links if not (DOCS / link).exists()}
    assert missing == set()
    parts = ("guides/local/", "reference/api/", "reference/options/")
    pages = {page_name(page) for page in PAGES if page.is_relative_to(DOCS)} - LEFT_OUT - {"index.md"}
    assert {page for page in pages if not page.startswith(parts)} <= set(links)
