"""OTLP over gRPC, beside OTLP over HTTP: the same requests, and the same bounds."""
