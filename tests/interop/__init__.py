"""Exported models in other runtimes; not part of `make test`. Start it with run.sh."""
