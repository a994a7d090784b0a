"""Writes `docs/reference/openapi.json`: what the local receiver serves under `/api/openapi.json`.

`python -m tools.openapi`
"""

import json
from pathlib import Path
from typing import Final

from failpath_otel.local.api.openapi.document import document
from failpath_otel.local.api.openapi.operations import OPERATIONS

FILE: Final = Path(__file__).parent.parent / "docs" / "reference" / "openapi.json"


def main() -> None:
    """Write the file."""
    FILE.write_text(json.dumps(document(OPERATIONS), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
