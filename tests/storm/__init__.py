"""Storms: many random inputs from one seed, each run bounded, with an oracle. `python -m tests.storm NAME`."""
