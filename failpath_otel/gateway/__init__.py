"""OTLP in, Failpath out: spans of any OpenTelemetry SDK or Collector to the records of this package."""
