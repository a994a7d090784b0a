"""The page of deployment: its tables have what is in ``deploy/``."""

import re

from failpath_otel import limits
from tests.deploy.manifests import DEPLOY, ENDS_WITHIN, ROOT, only
from tests.docs.pages import DOCS, read_page

PAGE = read_page(DOCS / "production" / "deployment.md")


def test_it_says_what_to_do_for_each_alert() -> None:
    [group] = only(DEPLOY / "prometheus" / "alerts.yaml")["groups"]
    assert [cells[0].strip("`") for cells in PAGE.rows("alert")] == [rule["alert"] for rule in group["rules"]]


def test_the_files_that_its_commands_name_are_there() -> None:
    named = set(re.findall(r"\bdeploy/[\w./-]+\w", PAGE.text)) - {"deploy/compose/project-key"}
    assert len(named) > 8
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_its_figures_are_those_of_the_code() -> None:
    assert f"| ends within | {ENDS_WITHIN:.0f} s of SIGTERM" in PAGE.text
    journal = limits.JOURNAL_SEGMENTS * limits.JOURNAL_SEGMENT_BYTES
    assert f"two full journals of {journal >> 20} MiB" in PAGE.text
    for gibibytes, journals in re.findall(r"(\d+) GiB (?:have room )?for (\d+)\b", PAGE.text):
        room = min((int(gibibytes) << 30) * limits.MAX_JOURNALS_SHARE, limits.MAX_JOURNALS_BYTES)
        assert int(room / journal) == int(journals)
