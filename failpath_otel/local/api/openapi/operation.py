"""One operation of the HTTP interface: what it takes, and what it answers."""

from dataclasses import KW_ONLY, dataclass
from typing import Any, Final, Literal

Schema = dict[str, Any]
"""A JSON Schema."""

TEXT: Final[Schema] = {"type": "string"}
TIME: Final[Schema] = {"type": "string", "format": "date-time"}


@dataclass(frozen=True)
class Parameter:
    """A parameter of a query or of a path, or a header; one of a path is required."""

    name: str
    description: str
    schema: Schema
    _: KW_ONLY
    where: Literal["query", "path", "header"] = "query"
    repeated: bool = False


@dataclass(frozen=True)
class Content:
    """A body: its media type, and its schema or the type that has it; ``None`` for bytes of another standard."""

    media_type: str = "application/json"
    form: object = None


@dataclass(frozen=True)
class Operation:
    """An operation. ``refusals`` are the statuses beside the good one, each with the reason."""

    method: Literal["GET", "POST", "DELETE", "PUT"]
    path: str
    summary: str
    answer: Content
    parameters: tuple[Parameter, ...] = ()
    _: KW_ONLY
    status: int = 200
    body: tuple[Content, ...] = ()
    refusals: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """A name that no other operation has."""
        words = "".join(letter if letter.isalnum() else " " for letter in self.path).split()
        return "_".join([self.method.lower(), *(word for word in words if word not in {"api", "anything"})])
