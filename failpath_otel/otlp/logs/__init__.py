"""Logs of OTLP: their records as they come, by any protocol, and the responses."""
