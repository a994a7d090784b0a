"""Waiting for records: until they are delivered, or until an attempt to send them has failed."""
