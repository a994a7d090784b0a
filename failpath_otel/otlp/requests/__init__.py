"""Requests of OTLP by any protocol: what their bodies may be, and how these are read."""
