"""The API as a part of this program: who may use it, as the options say.

Does not know Gradio, so that the API can be served without the page.
"""

from starlette.middleware import Middleware

from api import Access, Api
from web.options import Options
from web.startup import Startup


def api_middleware(options: Options, startup: Startup) -> list[Middleware]:
    """What serves the API in front of everything else; nothing where it is switched off."""
    if not options.api:
        return []
    keys = options.keys
    access = Access(
        check_key=keys.name_of if keys is not None else None,
        asks_for_password=options.users is not None,
        host=options.host,
        origins=options.cors_origins,
        max_body_bytes=options.max_body_bytes,
    )
    return [Middleware(Api, program=startup, access=access, sampling=options.sampling)]
