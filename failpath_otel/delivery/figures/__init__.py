"""Figures about the delivery itself: counts, ages, and OpenTelemetry metrics of both."""
