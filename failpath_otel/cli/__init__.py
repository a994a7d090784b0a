"""The command failpath-otel."""
