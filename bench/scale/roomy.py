"""The model with a context far longer than what is measured.

Near the end of a model's context the engine leaves old turns out, ahead of time; what is measured
then is another conversation. What the model says out there is worth little, but takes as long.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

CONTEXT_LENGTH = 16384


@contextmanager
def roomy(model_dir: Path) -> Iterator[Path]:
    """A directory with links to the model's files, and a config.json of its own."""
    with TemporaryDirectory() as folder:
        linked = Path(folder) / model_dir.name
        linked.mkdir()
        for file in model_dir.resolve().iterdir():
            if file.name != "config.json":
                (linked / file.name).symlink_to(file)
        config = json.loads((model_dir / "config.json").read_text("utf-8"))
        config["max_position_embeddings"] = CONTEXT_LENGTH
        (linked / "config.json").write_text(json.dumps(config), "utf-8")
        yield linked
