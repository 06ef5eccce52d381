"""What is served without the page: the API and /healthz, in front of them what proxies say. Without Gradio."""

from starlette.applications import Starlette
from starlette.middleware import Middleware

from web.api import Guard, routes
from web.api_access import api_middleware
from web.forwarding import Forwarding, Prefix
from web.options import Options
from web.startup import Startup


class Bare:
    """app: what a server serves."""

    def __init__(self, options: Options, startup: Startup) -> None:
        self.app = Starlette(
            routes=routes(startup),
            middleware=[
                Middleware(Forwarding, trusted=options.trusted_proxies),
                Middleware(Prefix, root_path=options.root_path),
                *api_middleware(options, startup),
                Middleware(Guard),
            ],
        )

    def end_streams(self) -> None:
        """The engine ends them, when it closes."""
