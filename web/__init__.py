"""The page and the terminal in front of the engine."""
