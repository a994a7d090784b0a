"""Reads OTLP/HTTP for traces: bodies in protobuf and JSON, the spans in them, and their records."""
