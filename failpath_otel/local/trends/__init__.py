"""How flows do over time: charts, changes for better or worse, and what the failing runs have in common."""
