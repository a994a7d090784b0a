"""Opening spans: the client, runs, steps. Imports ``opentelemetry-api`` only, and nothing of the rooms below it."""
