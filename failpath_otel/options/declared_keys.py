"""The keys that the options have a program watch for."""

from typing import TYPE_CHECKING

from failpath_otel.options.options import Options

if TYPE_CHECKING:
    from failpath_otel.flows.key_watch import KeyWatch


def key_watch_of(options: Options) -> "KeyWatch | None":
    """Return what warns of keys that are not declared; ``None`` where no file declares them, or nothing is sent."""
    if options.flows is None or not options.enabled:
        return None
    # Imported on use: most programs do not have the option (decision 0005).
    from failpath_otel.flows.key_watch import watch_keys  # noqa: PLC0415

    return watch_keys(options.flows)
