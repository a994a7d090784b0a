"""What is public: the names of ``tools/public_api.py``, as a page for users states; every other module is private."""

import ast
import re
from importlib import import_module
from pathlib import Path
from typing import Final

import pytest

import failpath_otel
from tests.docs.pages import PAGES, ROOT, page_name, read_page
from tools.public_api import MODULES

PUBLIC: Final = {module: set(failpath_otel.__all__ if names is None else names) for module, names in MODULES.items()}
"""The public modules, and their public names."""

STATEMENTS: Final = [ROOT / "README.md", ROOT / "docs" / "production" / "upgrading.md"]
"""The pages that may state them; one of them has to."""


def test_the_public_names_are_exactly_these() -> None:
    assert sorted(failpath_otel.__all__) == [
        "ConfigurationError",
        "DeliveryError",
        "Failpath",
        "FailpathClient",
        "FailpathError",
        "FailpathSpanExporter",
        "FailpathSpanProcessor",
        "InvalidRecordError",
        "JournalError",
        "QueueFullError",
        "RecordsRejectedError",
        "RejectedRecord",
        "Run",
        "SendError",
        "ShutdownError",
        "Stats",
        "Step",
        "StepRule",
        "__version__",
        "configure",
    ]


def test_every_public_name_is_there() -> None:
    for name in failpath_otel.__all__:
        assert getattr(failpath_otel, name) is not None


def test_the_package_shows_no_name_beyond_those_but_its_modules() -> None:
    for name in failpath_otel.__all__:
        getattr(failpath_otel, name)  # some are loaded when they are named
    shown = {name for name in vars(failpath_otel) if not name.startswith("_")}
    modules = {name for name in shown if type(getattr(failpath_otel, name)).__name__ == "module"}
    assert shown - modules == set(failpath_otel.__all__) - {"__version__"}


@pytest.mark.parametrize("name", [name for name in failpath_otel.__all__ if name != "__version__"])
def test_every_public_object_names_the_package_as_its_module(name: str) -> None:
    assert getattr(failpath_otel, name).__module__ == "failpath_otel"


def test_a_page_for_users_states_which_modules_and_names_are_public() -> None:
    texts = [page.read_text(encoding="utf-8") for page in STATEMENTS if page.is_file()]
    found = [re.search(r"^Public is .*?^Everything else is private", text, re.MULTILINE | re.DOTALL) for text in texts]
    statements = [each[0] for each in found if each is not None]
    assert statements
    for statement in statements:
        assert set(re.findall(r"`(failpath_otel(?:\.\w+)*)`", statement)) == set(PUBLIC)
        assert PUBLIC["failpath_otel.testing"] <= set(re.findall(r"`(\w+)`", statement))
        assert PUBLIC["failpath_otel.integrations.django"] <= set(re.findall(r"`(\w+)`", statement))


@pytest.mark.parametrize("module", PUBLIC)
def test_every_public_module_has_its_public_names(module: str) -> None:
    assert [name for name in PUBLIC[module] if not hasattr(import_module(module), name)] == []


def test_no_private_module_says_what_it_exports() -> None:
    package = Path(failpath_otel.__file__).parent
    saying = {path for path in package.rglob("*.py") if re.search(r"^__all__\b", path.read_text(), re.MULTILINE)}
    assert saying == {package / "__init__.py"}


@pytest.mark.parametrize("path", PAGES, ids=page_name)
def test_the_pages_for_users_import_public_names_alone(path: Path) -> None:
    page = read_page(path)
    private = [
        f"{node.module}.{alias.name}"
        for code in [*page.files.values(), *(program.code for program in page.programs)]
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "failpath_otel"
        for alias in node.names
        if alias.name not in PUBLIC.get(node.module or "", ())
    ]
    assert private == []
