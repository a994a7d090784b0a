import json
from importlib import resources
from typing import Any

import jsonschema_rs
import pytest

from tests.docs.pages import ROOT
from tools.release.sbom import VENDORED, sbom

METADATA = """\
Metadata-Version: 2.4
Name: failpath-otel
Version: 0.2.0
Summary: A bridge.
License-Expression: Apache-2.0 AND MIT
Project-URL: Repository, https://example.org/repository
Requires-Dist: requests>=2.32.4
Requires-Dist: tomli>=2; python_version < '3.11'
Provides-Extra: local
Requires-Dist: uvicorn>=0.30; extra == 'local'
Provides-Extra: dev
Requires-Dist: mypy==2.4.1; extra == 'dev'

A README.
"""


@pytest.fixture(scope="module")
def written() -> str:
    return sbom(METADATA, (ROOT / VENDORED).read_bytes(), 1796083200)


@pytest.fixture(scope="module")
def document(written: str) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(written)
    return parsed


def test_the_bill_of_materials_has_what_is_required_what_extras_bring_and_the_javascript(
    document: dict[str, Any],
) -> None:
    vendored = json.loads((ROOT / VENDORED).read_bytes())["packages"]
    assert {part["purl"]: part["scope"] for part in document["components"]} == {
        "pkg:pypi/requests": "required",
        "pkg:pypi/tomli": "required",
        "pkg:pypi/uvicorn": "optional",
        **{f"pkg:npm/{package['name']}@{package['version']}": "required" for package in vendored},
    }
    [tomli] = [part for part in document["components"] if part["name"] == "tomli"]
    assert tomli["properties"] == [{"name": "failpath-otel:requires", "value": "tomli>=2; python_version < '3.11'"}]
    package = document["metadata"]["component"]
    assert (package["purl"], package["licenses"]) == (
        "pkg:pypi/failpath-otel@0.2.0",
        [{"expression": "Apache-2.0 AND MIT"}],
    )
    assert package["externalReferences"] == [{"type": "vcs", "url": "https://example.org/repository"}]


def test_the_bill_of_materials_is_the_same_each_time_and_of_the_time_of_the_files(written: str) -> None:
    assert sbom(METADATA, (ROOT / VENDORED).read_bytes(), 1796083200) == written
    assert json.loads(written)["metadata"]["timestamp"] == "2026-12-01T00:00:00+00:00"


def test_the_bill_of_materials_follows_the_schema_of_cyclonedx(document: dict[str, Any]) -> None:
    folder = resources.files("cyclonedx.schema") / "_res"
    names = [f"{name}.SNAPSHOT.schema.json" for name in ("bom-1.6", "spdx", "jsf-0.82")]
    schemas = {f"http://cyclonedx.org/schema/{name}": json.loads((folder / name).read_text()) for name in names}
    registry = jsonschema_rs.Registry(list(schemas.items()))
    schema = jsonschema_rs.validator_for(next(iter(schemas.values())), registry=registry)
    schema.validate(document)
    assert not schema.is_valid(document | {"components": [{"name": "without a type"}]})
