"""How much a store keeps by default."""

from typing import Final

DEFAULT_DAYS: Final = 7
DEFAULT_MEBIBYTES: Final = 512
