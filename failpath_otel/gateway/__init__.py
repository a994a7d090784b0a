"""The gateway: takes spans of any OpenTelemetry SDK or Collector by OTLP, and delivers the steps to Failpath."""
