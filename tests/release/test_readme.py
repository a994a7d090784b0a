"""README.md as it goes to PyPI, by the rules in pyproject.toml; `make check` looks at what a build makes of them."""

import re
from pathlib import Path

import pytest
from packaging.version import Version

from tests.docs.pages import ROOT
from tools.floors import pyproject
from tools.release.readme import RAW, REPOSITORY, problems

VERSION = Version("0.1.0")
FILES = f"{REPOSITORY}/blob/v{VERSION}"


def _absolute(text: str) -> str:
    hook = pyproject()["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]
    for rule in hook["substitutions"]:
        text = re.sub(rule["pattern"], rule["replacement"], text)
    return text.replace("$HFPR_VERSION", str(VERSION))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("[a](docs/a.md#b)", f"[a]({FILES}/docs/a.md#b)"),
        ("[a](#b)", f"[a]({FILES}/README.md#b)"),
        ("[a](https://example.org/docs)", "[a](https://example.org/docs)"),
        ("[a](mailto:a@example.org)", "[a](mailto:a@example.org)"),
        ("![a](docs/a.png)", f"![a]({RAW}/v{VERSION}/docs/a.png)"),
        ("[![a](docs/a.png)](docs/a.md)", f"[![a]({RAW}/v{VERSION}/docs/a.png)]({FILES}/docs/a.md)"),
        ('<img alt="a" src="docs/a.png">', f'<img alt="a" src="{RAW}/v{VERSION}/docs/a.png">'),
        ('<source srcset="docs/a.png">', f'<source srcset="{RAW}/v{VERSION}/docs/a.png">'),
        ('<a href="docs/a.md">', f'<a href="{FILES}/docs/a.md">'),
        ("assert [(event.key, event.status)] == [(1, 2)]", "assert [(event.key, event.status)] == [(1, 2)]"),
    ],
)
def test_links_lead_to_the_tag_of_the_version_and_pictures_are_taken_from_there(before: str, after: str) -> None:
    assert _absolute(before) == after


def test_the_rules_change_no_code_of_the_readme() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
    assert block.findall(_absolute(text)) == block.findall(text)
    assert block.findall(text)


def test_the_rules_and_the_release_script_have_the_repository_of_the_project() -> None:
    settings = pyproject()
    assert settings["project"]["urls"]["Repository"] == REPOSITORY
    rules = settings["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]["substitutions"]
    found = [re.match(r"\\1(https://.*)/v\$", rule["replacement"]) for rule in rules]
    addresses = {each[1] for each in found if each is not None}
    assert addresses == {f"{REPOSITORY}/blob", RAW}


def test_what_leads_nowhere_on_pypi_is_found(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text("# One `two`, [three](x.md)\n\n```\n# Four\n```\n")
    (tmp_path / "a.png").write_text("")
    html = f"""
        <a href="{FILES}/page.md"></a> <a href="{FILES}/page.md#one-two-three"></a> <a href="#user-content-x"></a>
        <img src="{RAW}/v{VERSION}/a.png"> <a href="{REPOSITORY}/blob/main/CHANGELOG.md"></a>
        <a href="page.md"></a> <a href="{FILES}/other.md"></a> <a href="{FILES}/page.md#four"></a>
        <a href="{REPOSITORY}/blob/v0.0.9/page.md"></a>
        <img src="a.png"> <img src="{FILES}/a.png"> <img src="{RAW}/v{VERSION}/b.png">
    """
    assert problems(html, tmp_path, VERSION) == [
        "not absolute: page.md",
        "not absolute: a.png",
        f"a picture that is not raw: {FILES}/a.png",
        "no such file: other.md",
        "no such heading in page.md: four",
        f"not of this version: {REPOSITORY}/blob/v0.0.9/page.md",
        "no such picture: b.png",
    ]
