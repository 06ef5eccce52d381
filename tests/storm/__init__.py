"""Storms: many random accidents, each with an oracle. `python -m tests.storm NAME` runs one of them."""
