"""OTLP as it comes in: bodies by HTTP, protobuf and JSON, and the spans in them."""
