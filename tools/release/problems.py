"""What stops a release."""


class ReleaseError(Exception):
    """A release cannot be made, or would be wrong; the message is for who makes it."""
