"""What is installed of OpenTelemetry's components, by the groups of their entry points."""

from importlib.metadata import entry_points


def names_of(group: str) -> list[str]:
    """Return the names in ``opentelemetry_`` *group*, in the order in which they are found."""
    return list(dict.fromkeys(each.name for each in entry_points(group=f"opentelemetry_{group}")))
