"""The flows that a project declares in ``.failpath/flows.json``, the file of Failpath's own command."""
