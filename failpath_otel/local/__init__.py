"""A Failpath on your own machine: receiver and store."""
