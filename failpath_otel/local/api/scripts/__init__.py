"""Runs as JSON, for scripts and for ``failpath-otel runs``."""
