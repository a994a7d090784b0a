"""The local receiver: a Failpath on your own machine."""
