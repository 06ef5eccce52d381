"""What needs Chromium: the page over a scripted engine, and at most ten tests with the real model."""
