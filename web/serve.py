"""One run of the server: launch the page, wait for a signal, end within seconds.

Owns: the process's signals and the order of the end. Gradio is imported here, late, while the
engine already loads.
"""

import contextlib
import logging
import os
import signal
import sys
import threading
from typing import Any

from web.options import Options
from web.startup import Startup

log = logging.getLogger(__name__)

_PAGES_REMEMBERED = 500  # Gradio keeps about 100 KB for each and never frees it
_ENGINE_CLOSE_S = 2.0
_SERVER_CLOSE_S = 1.5


def serve(options: Options) -> int:
    """Serve the page until SIGTERM or Ctrl-C; returns the exit status."""
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    startup = Startup(options).start()
    try:
        demo = launch(options, startup)
    except OSError as error:
        sys.stderr.write(f"app.py: {error}\n")
        startup.close(_ENGINE_CLOSE_S)
        return 1
    over.wait()
    log.info("Closing")
    _close(demo, startup)
    return 0


def launch(options: Options, startup: Startup) -> Any:
    """The page, being served; returns the Blocks. Raises OSError if the port is taken."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    import gradio as gr  # noqa: PLC0415  (two seconds, in which the engine loads)
    from starlette.middleware import Middleware  # noqa: PLC0415

    from web.api import Guard, routes  # noqa: PLC0415
    from web.ui import LOGO, LOOK, build_page, words  # noqa: PLC0415

    demo = build_page(startup)
    demo.launch(
        server_name=options.host,
        server_port=options.port,
        share=options.share,
        prevent_thread_lock=True,
        run_history=False,
        enable_monitoring=False,
        ssr_mode=False,
        state_session_capacity=_PAGES_REMEMBERED,
        app_kwargs={"routes": routes(startup), "middleware": [Middleware(Guard)]},
        footer_links=[],
        favicon_path=LOGO,
        theme=_theme(gr),
        css_paths=LOOK,
        i18n=words,
    )
    return demo


def _theme(gr: Any) -> Any:
    """Soft, with fonts that are on every machine, so that nothing is fetched."""
    theme = gr.themes.Soft(
        primary_hue="orange",
        neutral_hue="stone",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    )
    return theme.set(
        block_title_background_fill="transparent",
        block_title_background_fill_dark="transparent",
        block_title_text_color="*body_text_color",
        block_title_text_color_dark="*body_text_color",
        block_title_padding="0",
    )


def _close(demo: Any, startup: Startup) -> None:
    """Cancel the turns first, so that their streams end and the server can stop."""
    startup.close(_ENGINE_CLOSE_S)
    server = threading.Thread(target=_close_server, args=(demo,), daemon=True)
    server.start()
    server.join(_SERVER_CLOSE_S)


def _close_server(demo: Any) -> None:
    with contextlib.suppress(Exception):
        demo.close(verbose=False)
