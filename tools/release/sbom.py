"""The bill of materials of a release, in CycloneDX's JSON: what is declared, what is contained.

Nothing in it depends on when or where it is made: its time is that of the files in the wheel, its serial number follows
from the version.
"""

import base64
import json
import re
import uuid
from collections.abc import Iterable
from datetime import datetime, timezone
from email.message import Message
from email.parser import Parser
from typing import Any, Final

from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.model.license import DisjunctiveLicense, LicenseExpression
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL
from packaging.requirements import Requirement

from tools.floors import EXTRAS

VENDORED: Final = "failpath_otel/local/page/vendor/vendored.json"
_EXTRA: Final = re.compile(r"\bextra == ['\"]([\w-]+)['\"]")
_REFERENCES: Final = {
    "Homepage": ExternalReferenceType.WEBSITE,
    "Documentation": ExternalReferenceType.DOCUMENTATION,
    "Repository": ExternalReferenceType.VCS,
    "Changelog": ExternalReferenceType.RELEASE_NOTES,
    "Issues": ExternalReferenceType.ISSUE_TRACKER,
}


def sbom(metadata: str, vendored: bytes, when: int) -> str:
    """Return the document, of the metadata of a wheel and of the list of JavaScript in it."""
    of = Parser().parsestr(metadata)
    package = _package(of)
    parts = [*_declared(of.get_all("Requires-Dist", [])), *_contained(json.loads(vendored)["packages"])]
    bom = Bom(
        components=parts,
        serial_number=uuid.uuid5(uuid.NAMESPACE_URL, str(package.purl)),
        metadata=BomMetaData(
            component=package,
            timestamp=datetime.fromtimestamp(when, timezone.utc),
            properties=[Property(name="cdx:reproducible", value="true")],
        ),
    )
    bom.register_dependency(package, parts)
    written = make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(indent=2)
    return f"{json.dumps(json.loads(written), indent=2, sort_keys=True)}\n"


def _package(of: Message) -> Component:
    addresses = dict(each.split(", ", 1) for each in of.get_all("Project-URL", []))
    purl = PackageURL("pypi", name=of["Name"], version=of["Version"])
    return Component(
        bom_ref=str(purl),
        name=of["Name"],
        version=of["Version"],
        description=of["Summary"],
        licenses=[LicenseExpression(of["License-Expression"])],
        purl=purl,
        external_references=[
            ExternalReference(type=_REFERENCES[name], url=XsUri(address))
            for name, address in addresses.items()
            if name in _REFERENCES
        ],
    )


def _declared(requirements: Iterable[str]) -> list[Component]:
    """Return what pip installs beside the package: always, or with an extra that users ask for."""
    found: dict[str, list[tuple[str | None, str]]] = {}
    for text in requirements:
        extra = _EXTRA.search(text)
        name = extra[1] if extra is not None else None
        if name is None or name in EXTRAS:
            found.setdefault(Requirement(text).name, []).append((name, text))
    return [_requirement(name, of) for name, of in sorted(found.items())]


def _requirement(name: str, of: list[tuple[str | None, str]]) -> Component:
    always = any(extra is None for extra, _ in of)
    purl = PackageURL("pypi", name=name)
    return Component(
        bom_ref=str(purl),
        name=name,
        scope=ComponentScope.REQUIRED if always else ComponentScope.OPTIONAL,
        purl=purl,
        properties=[Property(name="failpath-otel:requires", value=text) for _, text in of],
    )


def _contained(packages: Iterable[dict[str, Any]]) -> list[Component]:
    """Return the JavaScript in the wheel, with the hash of the archive that it is from."""
    found = []
    for package in packages:
        name, version = package["name"], package["version"]
        purl = PackageURL("npm", name=name, version=version)
        algorithm, _, value = package["integrity"].partition("-")
        archive = ExternalReference(
            type=ExternalReferenceType.DISTRIBUTION,
            url=XsUri(f"https://registry.npmjs.org/{name}/-/{name}-{version}.tgz"),
            hashes=[HashType(alg=_ALGORITHMS[algorithm], content=base64.b64decode(value).hex())],
        )
        found.append(
            Component(
                bom_ref=str(purl),
                name=name,
                version=version,
                type=ComponentType.LIBRARY,
                scope=ComponentScope.REQUIRED,
                purl=purl,
                licenses=[DisjunctiveLicense(id=package["licence"])],
                external_references=[archive],
            )
        )
    return found


_ALGORITHMS: Final = {"sha512": HashAlgorithm.SHA_512, "sha256": HashAlgorithm.SHA_256}
