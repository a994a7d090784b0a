"""The exceptions that this package raises on purpose."""


class ConfigurationError(ValueError):
    """An option that cannot work. The text names the option, what was given and what is allowed, never a secret."""
