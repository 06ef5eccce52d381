"""The program that the storm of kills ends with `--app`: the server of `python app.py`, over the talker's engine.

    python -m tests.storm.served FOLDER PORT

Signals, storage, pages and endpoints are the program's own; only the model is the fake one.
"""

import sys
from functools import partial
from pathlib import Path

from engine.config import EngineConfig
from engine.engine import Engine
from export.progress import Progress
from tests.engine.rig import make_disk, make_loader
from tests.storm.talker import OPTIONS
from web import serve
from web.options import Options, parse_options
from web.startup import Startup


def main() -> int:
    """Serve until something ends it."""
    folder, port = Path(sys.argv[1]), sys.argv[2]
    vars(serve)["Startup"] = partial(Startup, factory=_build)
    return serve.serve(parse_options(["--data-dir", str(folder), "--port", port], environ={}))


def _build(options: Options, _progress: Progress) -> Engine:
    config = EngineConfig(model_dir=Path("nowhere"), data_dir=options.data_dir)
    loader = make_loader([], disk=make_disk(options.data_dir / "kv"), **OPTIONS)
    return Engine(config, loader).start()


if __name__ == "__main__":
    sys.exit(main())
