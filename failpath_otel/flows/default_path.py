"""Where a project keeps its declared flows. Apart, because ``--help`` names it and reads no file."""

from pathlib import Path
from typing import Final

DEFAULT_PATH: Final = Path(".failpath", "flows.json")
"""Where Failpath's own command writes them, from the project's root."""
