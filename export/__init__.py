"""Any supported model -> a model directory (README, "The model directory"), without PyTorch.

Knows nothing of the engine: the two meet only in that directory.
"""
