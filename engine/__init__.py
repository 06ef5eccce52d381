"""The engine: conversations that keep their KV cache on OpenVINO."""
