"""The API as a part of this program: who may use it, as the options say.

Does not know Gradio, so that the API can be served without the page.
"""

from starlette.middleware import Middleware

from api import Access, Api
from web.identity import user_owner
from web.options import Options
from web.startup import Startup

_DAY_S = 24 * 3600.0


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
        owner_of=_user_owner if options.api_conversations else None,
    )
    return [
        Middleware(
            Api,
            program=startup,
            access=access,
            sampling=options.sampling,
            kept_s=options.api_keep_days * _DAY_S,
        )
    ]


def _user_owner(name: str) -> str:
    """The user of a key's name, in whose list its conversations stand."""
    return f"{user_owner(name)}"
