"""Opening spans: the client, runs, steps. Imports ``opentelemetry-api`` only, never ``failpath_otel.export``."""
