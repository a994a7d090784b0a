"""What OpenTelemetry calls: the span processor, the span exporter, and what they make of spans."""
