"""What is sent again: the batches that wait, halves, and what was refused."""
