"""The rest of a path as a parameter of a route, whatever characters it holds."""

from typing import Final

from starlette.convertors import Convertor, register_url_convertor

ANYTHING: Final = "anything"
"""The name of the convertor, as in ``"/runs/{run_id:anything}"``."""


class _Anything(Convertor[str]):
    """Starlette's own ``path`` stops at a line break, and an id may hold one."""

    regex = r"[\s\S]*"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor(ANYTHING, _Anything())
