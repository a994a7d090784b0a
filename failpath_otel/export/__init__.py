"""Spans to Failpath: records, translation, delivery. Never imports ``failpath_otel.steps``."""
