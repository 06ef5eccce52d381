"""All that is served, as one ASGI application: the page, our own routes, and the guard before both.

Owns: how Gradio is set up. Importing it imports Gradio. Does not know the server that serves it.
"""

import warnings
from typing import Any, cast

import gradio as gr
from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES, GZipMiddleware

from web import lean, page
from web.api import Guard, routes
from web.api_access import api_middleware
from web.files import Downloads, download_route
from web.forwarding import Forwarding, Prefix
from web.gate import Bodies, Calls, Owned, SignIn, keep_mail, log_briefly
from web.installing import LINKS, install_routes
from web.languages import Tongue
from web.options import Options
from web.startup import Startup

_PAGES_REMEMBERED = 500  # Gradio never frees what it keeps of each
_COMPRESSION = 4  # a tenth of the page is left; more effort saves little and holds other answers up
_WHOLE = (*DEFAULT_EXCLUDED_CONTENT_TYPES, "application/octet-stream")  # KV does not get smaller


class Site:
    """app: what a server serves."""

    def __init__(self, options: Options, startup: Startup) -> None:
        downloads = Downloads()
        self.demo = page.build_page(startup, downloads)
        self.demo.state_session_capacity = _PAGES_REMEMBERED
        lean.calm(self.demo)
        log_briefly(self.demo)
        keep_mail(self.demo)
        first = page.first(asks_for_password=options.users is not None)
        self.app = FastAPI(
            openapi_url=None,
            routes=[*routes(startup), *install_routes(), download_route(downloads)],
            middleware=[
                Middleware(Forwarding, trusted=options.trusted_proxies),
                Middleware(Prefix, root_path=options.root_path),
                *api_middleware(options, startup),
                Middleware(Guard),
                Middleware(
                    GZipMiddleware, compresslevel=_COMPRESSION, exclude_content_types=_WHOLE
                ),
                Middleware(Tongue, more=LINKS + first),
                Middleware(
                    Bodies, max_upload=options.max_upload_bytes, max_body=options.max_body_bytes
                ),
                Middleware(SignIn),
            ],
        )
        _mount(self.app, self.demo, options)

    def end_streams(self) -> None:
        """Let every stream to a page end; in the event loop."""
        self.demo.close(verbose=False)


def _mount(app: FastAPI, demo: gr.Blocks, options: Options) -> None:
    users = options.users
    with warnings.catch_warnings():
        # It warns that a page rendered by the server would not go well with another page; none is.
        warnings.filterwarnings("ignore", "SSR mode")
        gr.mount_gradio_app(
            app,
            demo,
            path="/",
            server_name=options.host,
            server_port=options.port,
            root_path=options.root_path,
            # Within Gradio's own net, which would write a traceback and answer nothing.
            app_kwargs={"middleware": [Middleware(Calls, functions=demo.fns), Middleware(Owned)]},
            auth=cast(Any, users.check if users is not None else None),  # it may be a coroutine
            auth_message=page.BRAND,
            show_error=False,
            max_file_size=options.max_upload_bytes,
            run_history=False,
            enable_monitoring=False,
            ssr_mode=False,
            footer_links=[],
            favicon_path=str(page.LOGO),
            theme=page.theme(),
            css_paths=page.STYLES,
            head=page.head(),
            i18n=page.words,
        )
    # As Gradio's own launch leaves it, so that close() finds the streams that it is to end.
    demo.app = cast(Any, app.routes[-1]).app
    demo.server = cast(Any, None)
    # The queue starts with the server; a request for it would start it once more.
    demo.app.startup_events_triggered = True
