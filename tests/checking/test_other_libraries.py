"""Code bases that have methods ``run``, ``step`` and ``skip`` of their own: nothing in them is taken for ours."""

import re
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

from failpath_otel.flows.known_keys import KnownKeys
from tests.checking.planted import check, places

CALLS = re.compile(rb"\.(?:run|step|skip)\(")
OURS = b"\n\nimport failpath_otel\nfailpath_otel.configure().run('planted').skip('planted')\n"


@pytest.mark.parametrize("package", ["hypothesis", "anyio", "uvicorn"])
def test_in_a_code_base_with_methods_of_the_same_names_only_what_is_planted_is_found(
    package: str, tmp_path: Path
) -> None:
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    shutil.copytree(Path(spec.origin).parent, tmp_path / package, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    files = sorted((tmp_path / package).rglob("*.py"))
    contents = [path.read_bytes() for path in files]
    assert sum(len(CALLS.findall(content)) for content in contents) > 8
    keys = KnownKeys({"checkout": ["charge-card"]})
    assert check(tmp_path, keys=keys).keys == 0

    # As above, no file is looked at closely, because none has anything of this package.
    for path, content in zip(files, contents, strict=True):
        path.write_bytes(content + OURS)
    checked = check(tmp_path, keys=keys)

    assert checked.errors == []
    assert (checked.keys, checked.computed) == (2 * len(files), 0)
    last = {(str(path), (content + OURS).count(b"\n")) for path, content in zip(files, contents, strict=True)}
    assert {place[:2] for place in places(checked)} == last
