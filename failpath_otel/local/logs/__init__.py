"""The logs of steps: taken within a budget, cleaned, held until their run is known, and attached to steps."""
