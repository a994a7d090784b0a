"""``docs/recipes/``: the programs are complete, and their own tests pass; ``tests/integration`` kills such programs."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.docs.pages import DOCS

RECIPES: Final = sorted(DOCS.glob("recipes/*.md"))
BLOCK: Final = re.compile(r"^```python\n# (\S+\.py)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SETTINGS: Final = """
SECRET_KEY = "of the test"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "shop.urls"
MIDDLEWARE = [{middleware!r}]
"""
ARQ: Final = """
class RedisSettings: ...
def create_pool(settings): ...
"""


@pytest.mark.process
def test_the_tests_of_all_recipes_pass_in_a_folder_with_their_files_and_without_a_key(tmp_path: Path) -> None:
    pages = [page.read_text() for page in RECIPES]
    files = {name: code for page in pages for name, code in BLOCK.findall(page)}
    [middleware] = re.findall(r'^\+ +"(\S+)",$', "".join(pages), re.MULTILINE)
    files["shop/settings.py"] = SETTINGS.format(middleware=middleware)
    # What of arq the tests of its recipe need; it was run with arq itself, and Redis, when it was written.
    files |= {"arq/__init__.py": ARQ, "arq/connections.py": ARQ}
    for name, code in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(code)
    tests = sorted(name for name in files if name.startswith("test_"))
    assert len(tests) == len(RECIPES)
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("FAILPATH", "PYTEST"))}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "failpath_otel", *tests]
    variables["PYTHONPATH"] = os.pathsep.join([str(tmp_path), str(DOCS.parent)])
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={**variables, "FAILPATH_ENABLED": "false"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


@pytest.mark.parametrize("page", RECIPES, ids=lambda page: page.stem)
def test_a_recipe_shows_what_is_left_of_a_killed_process(page: Path) -> None:
    text = page.read_text()
    assert re.search(r"^\$ kill -9 .*\n\$ failpath-otel runs .*\n(?:.*\n){1,6}.* gone ", text, re.MULTILINE)
    assert "# With" not in text
