"""A convertor for the rest of a path, with any characters."""

from typing import Final

from starlette.convertors import Convertor, register_url_convertor

ANYTHING: Final = "anything"
"""The name of the convertor, as in ``"/runs/{run_id:anything}"``."""


class _Anything(Convertor[str]):
    """Like Starlette's ``path``, which stops at a line break; an id may hold one."""

    regex = r"[\s\S]*"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor(ANYTHING, _Anything())
