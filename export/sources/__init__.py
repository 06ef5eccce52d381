"""Where checkpoints come from: files on disk, the hub, ModelScope; each yields a `Checkpoint`."""
