"""What the servers of this package share: bodies within bounds, sockets, and an end that is a success."""
