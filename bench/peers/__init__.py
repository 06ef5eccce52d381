"""Our engine beside what people would use instead: same machine, same weights, same conversations.

Each peer is a process of its own, in its own environment, that answers JSON lines (`line`). `compare`
is the benchmark; the drivers are `ours`, `genai`, `optimum` and `llamacpp`. Importing this is free.
"""
