"""Requests: connections of which one whole request has one deadline."""
