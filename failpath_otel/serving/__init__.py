"""Shared by the gateway and the local receiver: the server process, request bodies, checks."""
