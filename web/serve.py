"""One run of the program: serve the page, wait for a signal, end within seconds.

Owns: the process's signals and the order of the end. Gradio is imported here, late, while the
engine already loads.
"""

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from engine.conversations import open_storage
from engine.errors import EngineError
from export import ExportError
from export.sources.proxies import check as check_proxies
from web import lean, proxies, temporary, watchdog
from web.bare import Bare
from web.connections import patient_protocol
from web.listening import address, authority, listen
from web.options import Options
from web.server import Server, ServerFailed
from web.startup import Startup

log = logging.getLogger(__name__)

_ENGINE_CLOSE_S = 4.2  # the engine writes conversations to disk meanwhile, for 3 s at most
_SERVER_CLOSE_S = 0.4
_EXIT_S = 4.7  # then the program ends, whatever still hangs


def serve(options: Options) -> int:
    """Serve the page until SIGTERM or Ctrl-C; returns the exit status."""
    try:
        check_proxies()
        check_storage(options)
        sockets = listen(options.host, options.port)
    except ExportError as error:
        return _refuse(str(error))
    except EngineError as error:
        return _refuse(f"{options.data_dir}: {error}")
    except OSError as error:
        where = authority(options.host, options.port)
        return _refuse(f"{where}: {error.strerror}; choose another --host or --port.")
    return _serve_at(sockets, options)


def _serve_at(sockets: list[socket.socket], options: Options) -> int:
    over, status = threading.Event(), 0
    startup, server = Startup(options, restarts=watchdog.restarts(os.environ)), None
    try:
        _on_signal(signal.default_int_handler)
        startup.start()
        server = launch(options, startup, sockets)
        _on_signal(lambda *_: over.set())
        if not watchdog.wait(over, startup):
            watchdog.start_again(startup)
            status = 1
    except KeyboardInterrupt:
        pass
    except ServerFailed as error:
        status = _refuse(str(error))
    log.info("Closing")
    _exit_within(_EXIT_S)
    _close(server, startup)
    if startup.is_alive or server is None:
        # A compilation or an import cannot be interrupted; Python would abort waiting for it.
        logging.shutdown()
        os._exit(status)
    return status


def _refuse(sentence: str) -> int:
    sys.stderr.write(f"app.py: {sentence}\n")
    return 1


def _exit_within(seconds: float) -> None:
    """Everything that must survive was committed before; what is written now replaces atomically."""
    watchdog = threading.Timer(seconds, os._exit, (0,))
    watchdog.daemon = True
    watchdog.start()


def _on_signal(act: Callable[[int, FrameType | None], Any]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, act)


def check_storage(options: Options) -> None:
    """Raise StoreError if conversations must be stored and cannot be, before anything is loaded for nothing."""
    if options.storage == "required":
        store, _ = open_storage(options.data_dir)
        store.close()


def launch(
    options: Options, startup: Startup, sockets: list[socket.socket] | None = None
) -> Server:
    """The page, or the API alone, being served at `sockets`, or where the options say.

    Raises OSError, ServerFailed.
    """
    site: Any = _site(options, startup) if options.page else Bare(options, startup)
    sockets = sockets or listen(options.host, options.port)
    protocol = patient_protocol(options.max_connections)
    server = Server(site.app, sockets, site.end_streams, protocol)
    server.start()
    print(f"WarmChat is at {address(options.host, options.port)}", flush=True)
    if options.share and options.page:
        from web.sharing import share  # noqa: PLC0415

        share(site.demo, options)
    return server


def _site(options: Options, startup: Startup) -> Any:
    """The page; Gradio takes two seconds, in which the engine loads."""
    lean.before_import()
    proxies.mend(os.environ)
    temporary.claim(options.data_dir)
    from web.site import Site  # noqa: PLC0415

    return Site(options, startup)


def _close(server: Server | None, startup: Startup) -> None:
    """Engine and server at once: the server can stop when the engine has ended its turns."""
    if server is not None:
        server.end()
    startup.close(_ENGINE_CLOSE_S)
    if server is not None:
        server.wait(_SERVER_CLOSE_S)
