"""Opening spans: the client, runs, steps. Imports ``opentelemetry-api`` only, and none of the rooms below."""
