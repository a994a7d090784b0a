"""The checks of ``failpath-otel doctor``: what keeps steps from arriving, and what a bug report begins with."""
