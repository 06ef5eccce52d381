"""The server of `python app.py` in this process, over a scripted engine: the same launch, the same page."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from export.progress import Progress
from tests.scripted.engine import ScriptedEngine
from tests.scripted.script import Script
from web.listening import listen
from web.options import Options, parse_options
from web.serve import launch
from web.server import Server
from web.startup import Startup

PATIENCE_S = 60.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class ScriptedApp:
    """A run of the server, which can be ended and begun again at the same address.

    sockets: where it listens the first time, so that nobody else takes the port before. may_load: the
    model takes turns once this is set; until then it is being exported.
    """

    options: Options
    sockets: list[socket.socket]
    info: dict[str, Any] = field(default_factory=dict)
    may_load: threading.Event = field(default_factory=threading.Event)
    engine: ScriptedEngine = field(init=False)
    startup: Startup = field(init=False)
    server: Server = field(init=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.options.port}"

    @property
    def script(self) -> Script:
        return self.engine.script

    @property
    def gradio(self) -> Any:
        """Gradio's own application, with `blocks`."""
        return cast(Any, self.server.app).routes[-1].app

    def start(self) -> None:
        """Serve; returns once turns are taken, if the model may load."""
        self.startup = Startup(self.options, self._build).start()
        sockets, self.sockets = self.sockets, []
        self.server = launch(self.options, self.startup, sockets)
        if self.may_load.is_set():
            self._wait_ready()

    def let_load(self) -> None:
        """The model is there now."""
        self.may_load.set()
        self._wait_ready()

    def _wait_ready(self) -> None:
        self.startup._thread.join(PATIENCE_S)
        assert self.startup.phase == "ready", self.startup.failure

    def stop(self) -> None:
        """End as a server ends, all of it in this process."""
        self.startup.close(PATIENCE_S)
        self.server.end()
        self.server.wait(PATIENCE_S)

    def _build(self, options: Options, progress: Progress) -> ScriptedEngine:
        progress("Converting weights", 3, 10)
        assert self.may_load.wait(PATIENCE_S)
        settings = {"max_queue": options.max_queue, **self.info}
        self.engine = ScriptedEngine(options.data_dir, **settings)
        self.engine.start()
        return self.engine


@contextmanager
def serving(
    folder: Path, *arguments: str, may_load: bool = True, **info: Any
) -> Iterator[ScriptedApp]:
    """A run of the server with these options. info: what differs in the ModelInfo or the engine."""
    options = parse_options(["--data-dir", str(folder), *arguments], environ={})
    sockets = listen(options.host, 0)
    port = sockets[0].getsockname()[1]
    app = ScriptedApp(replace(options, port=port), sockets, info)
    if may_load:
        app.may_load.set()
    app.start()
    try:
        yield app
    finally:
        app.stop()
