"""The commands of ``failpath-otel``: of each its arguments, and what it does."""
