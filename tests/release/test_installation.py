import re
from pathlib import Path

import pytest

from tests.docs.pages import ROOT
from tools.release import changelog
from tools.release.installation import NAME, doubtful, pages, publish, published


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("pip install .", "pip install failpath-otel"),
        ("`pip install .`, or", "`pip install failpath-otel`, or"),
        ("$ pip install '.[gateway,grpc]' flask", "$ pip install 'failpath-otel[gateway,grpc]' flask"),
        ("pip install './failpath-otel[local]'  # here", "pip install 'failpath-otel[local]'  # here"),
        ("pip install --quiet '../failpath-otel[local]'", "pip install --quiet 'failpath-otel[local]'"),
        ('uv pip install "./failpath-otel[local]"', 'uv pip install "failpath-otel[local]"'),
        ("uv add ./failpath-otel", "uv add failpath-otel"),
        ("pip install dist/failpath_otel-0.1.0-py3-none-any.whl", "pip install failpath-otel"),
        ("pip install 'dist/failpath_otel-0.1.0-py3-none-any.whl[local]'", "pip install 'failpath-otel[local]'"),
        ("pip install path/to/this/clone opentelemetry-distro", "pip install failpath-otel opentelemetry-distro"),
        ("pip install .  # in a clone of this repository", "pip install failpath-otel"),
        ("pip install .  # in a clone of this repository; more", "pip install failpath-otel  # more"),
        (
            "git clone --quiet https://github.com/failpath-otel/failpath-otel\npip install ./failpath-otel",
            "pip install failpath-otel",
        ),
        ("a\n<!-- unpublished -->\nNot on PyPI yet.\n<!-- /unpublished -->\n\nb", "a\nb"),
        ("pip install -e .", "pip install -e ."),
        ("pip install flask. Then more.", "pip install flask. Then more."),
        ("cp '.[local]' .", "cp '.[local]' ."),
    ],
)
def test_an_installation_from_a_clone_or_a_wheel_becomes_one_from_pypi(before: str, after: str) -> None:
    assert published(before) == after
    assert published(after) == after


def test_pages_for_users_are_rewritten_and_those_for_maintainers_are_not(tmp_path: Path) -> None:
    for name in ("README.md", "CONTRIBUTING.md", "docs/guides/local.md", "docs/llms.txt", "docs/decisions/0001.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("pip install .\n")
    changed = publish(tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in changed] == [
        "README.md",
        "docs/guides/local.md",
        "docs/llms.txt",
    ]
    assert (tmp_path / "docs/guides/local.md").read_text() == "pip install failpath-otel\n"
    assert (tmp_path / "CONTRIBUTING.md").read_text() == "pip install .\n"
    assert publish(tmp_path) == []


def test_once_published_no_page_says_that_it_is_not_or_installs_what_is_in_a_folder() -> None:
    assert ROOT / "docs" / "llms.txt" in pages(ROOT)
    folder = re.compile(
        rf"\b(?:install|add)\b[^\n`]*[ '\"](?:[^ '\"\n]*/{NAME}\b|\.(?=[\s\['\"`]|$))|failpath_otel-[\d.]+-py3"
    )
    for path in pages(ROOT):
        text = published(path.read_text(encoding="utf-8"))
        assert [
            line for line in text.splitlines() if folder.search(line) or re.search("not on PyPI|from a clone:", line)
        ] == [], path


def test_what_is_rewritten_and_still_has_a_word_of_a_clone_is_shown(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("In a clone:\npip install .  # of a clone\npip install flask\n")
    publish(tmp_path)
    assert list(doubtful(tmp_path)) == ["README.md:2: pip install failpath-otel  # of a clone"]


def test_no_page_installs_from_pypi_what_is_not_there_yet_and_none_from_a_clone_what_is() -> None:
    sections = changelog.sections((ROOT / changelog.FILE).read_text(encoding="utf-8"))
    texts = {path: path.read_text(encoding="utf-8") for path in pages(ROOT)}
    if any(section.date is not None for section in sections):
        wrong = [path for path, text in texts.items() if published(text) != text]
    else:
        by_name = re.compile(rf"\b(?:(?:pip|pipx|tool) install|uv add|uvx)\b[^\n`]*[ \t]['\"]?{NAME}(?=[\s\['\"`]|$)")
        # Who reads that page has it already, and pip adds what an extra brings to what is installed.
        wrong = [path for path, text in texts.items() if path.name != "command-line.md" and by_name.search(text)]
    assert wrong == []
