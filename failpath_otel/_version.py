"""The version of this package, read by the build and by the ``User-Agent`` header."""

VERSION = "0.1.0"
