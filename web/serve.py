"""One run of the server: launch the page, wait for a signal, end within seconds.

Owns: the process's signals and the order of the end. Gradio is imported here, late, while the
engine already loads.
"""

import contextlib
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, cast

from web import lean
from web.options import Options
from web.startup import Startup

log = logging.getLogger(__name__)

_PAGES_REMEMBERED = 500  # Gradio keeps about 100 KB for each and never frees it
_ENGINE_CLOSE_S = 4.2  # the engine writes conversations to disk meanwhile, for 3 s at most
_SERVER_CLOSE_S = 0.4
_EXIT_S = 4.7  # then the program ends, whatever still hangs


def serve(options: Options) -> int:
    """Serve the page until SIGTERM or Ctrl-C; returns the exit status."""
    try:
        check_address(options.host, options.port)
    except OSError as error:
        sys.stderr.write(f"app.py: {options.host}:{options.port}: {error.strerror}; choose another")
        sys.stderr.write(" --host or --port.\n")
        return 1
    over = threading.Event()
    startup, demo = Startup(options), None
    try:
        _on_signal(signal.default_int_handler)
        startup.start()
        demo = launch(options, startup)
        _on_signal(lambda *_: over.set())
        over.wait()
    except KeyboardInterrupt:
        pass
    log.info("Closing")
    _exit_within(_EXIT_S)
    _close(demo, startup)
    if startup.is_alive or demo is None:
        # A compilation or an import cannot be interrupted; Python would abort waiting for it.
        logging.shutdown()
        os._exit(0)
    return 0


def _exit_within(seconds: float) -> None:
    """Everything that must survive was committed before; what is written now replaces atomically."""
    watchdog = threading.Timer(seconds, os._exit, (0,))
    watchdog.daemon = True
    watchdog.start()


def _on_signal(act: Callable[[int, FrameType | None], Any]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, act)


def check_address(host: str, port: int) -> None:
    """Raise OSError if nobody can listen there, before anything is loaded for nothing."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)


def launch(options: Options, startup: Startup) -> Any:
    """The page, being served; returns the Blocks."""
    lean.before_import()
    # Gradio takes two seconds, in which the engine loads.
    from starlette.middleware import Middleware  # noqa: PLC0415

    from web import page  # noqa: PLC0415
    from web.api import Guard, routes  # noqa: PLC0415
    from web.files import Downloads, download_route  # noqa: PLC0415
    from web.gate import Bodies, Calls, Owned, SignIn, limit_connections, log_briefly  # noqa: PLC0415
    from web.languages import Tongue  # noqa: PLC0415

    downloads, users = Downloads(), options.users
    demo = page.build_page(startup, downloads)
    lean.calm(demo)
    log_briefly(demo)
    demo.launch(
        auth=cast(Any, users.check if users is not None else None),  # it may be a coroutine
        auth_message=page.BRAND,
        server_name=options.host,
        server_port=options.port,
        share=options.share,
        prevent_thread_lock=True,
        run_history=False,
        enable_monitoring=False,
        ssr_mode=False,
        max_file_size=options.max_upload_bytes,
        state_session_capacity=_PAGES_REMEMBERED,
        app_kwargs={
            "routes": [*routes(startup), download_route(downloads)],
            "middleware": [
                Middleware(Guard),
                Middleware(Tongue, script=page.sign_in_script() if users is not None else ""),
                Middleware(
                    Bodies, max_upload=options.max_upload_bytes, max_body=options.max_body_bytes
                ),
                Middleware(SignIn),
                Middleware(Calls, functions=demo.fns),
                Middleware(Owned),
            ],
        },
        footer_links=[],
        favicon_path=page.LOGO,
        theme=page.theme(),
        css_paths=page.STYLES,
        head=page.head(),
        i18n=page.words,
    )
    limit_connections(demo.server, options.max_connections)
    return demo


def _close(demo: Any, startup: Startup) -> None:
    """Engine and server at once: the server can stop when the engine has ended its turns."""
    server = threading.Thread(target=_close_server, args=(demo,), daemon=True)
    if demo is not None:
        server.start()
    startup.close(_ENGINE_CLOSE_S)
    if demo is not None:
        server.join(_SERVER_CLOSE_S)


def _close_server(demo: Any) -> None:
    with contextlib.suppress(Exception):
        demo.close(verbose=False)
