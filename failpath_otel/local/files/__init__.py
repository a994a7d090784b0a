"""A run as a file: written from a store, and read into another one."""
