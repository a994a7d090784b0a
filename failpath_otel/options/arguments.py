"""Types of the arguments that everything that delivers has in common. Imports nothing of the delivery."""

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from failpath_otel.errors import DeliveryError
from failpath_otel.records.rules import StepRule
from failpath_otel.scrubbing.values import Json

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from requests import Session

Enabled = bool | Literal["if-key-present"]
DeliveryMode = Literal["background", "await"]
Compression = Literal["none", "gzip"]
OnError = Callable[[DeliveryError], object]
Redact = Callable[[str, Json], object]
Payload = Callable[[Sequence[dict[str, Any]]], object]
RulesOption = Sequence[StepRule | str | PathLike[str]] | str | PathLike[str]


class DeliveryOptions(TypedDict, total=False):
    """The keyword arguments that everything that delivers has in common; see :func:`failpath_otel.configure`."""

    project_key: str | None
    endpoint: str | None
    enabled: Enabled | None
    default_metadata: Mapping[str, object] | None
    capture_stack: bool | None
    send_error_messages: bool | None
    send_process: bool | None
    send_timeout: float | None
    max_queue_size: int | None
    journal: str | PathLike[str] | None
    compression: Compression | None
    on_error: OnError | None
    redact: Redact | None
    session: "Session | None"
    route: str | None
    headers: Mapping[str, str] | None
    payload: Payload | None
    rules: RulesOption | None
    flows: str | PathLike[str] | None
    metrics: "MeterProvider | bool | None"
