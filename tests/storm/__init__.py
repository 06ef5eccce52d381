"""Storms: what nobody would do on purpose, thousands of times. Not part of `make test`; `make storm`."""
