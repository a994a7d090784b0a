"""Delivery: the queue, the thread that sends, retries, waiters, orphans, the end of the process."""
