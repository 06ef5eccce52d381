"""What many do at once, or for long, or against the rules; bounded, and not part of `make test`."""
