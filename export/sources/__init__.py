"""Where checkpoints come from: files on disk, the hub, ModelScope; each yields a `Checkpoint`.

Its modules are offered one by one, since some are slow to import. Does not know graphs.
"""

__all__ = ["checkpoint", "directory", "gguf", "gguf_parts", "hub", "proxies"]
