"""A server of gRPC in the event loop of a server of HTTP: its port, its calls, its health."""
