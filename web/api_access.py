"""The API as a part of this program: who may use it, as the options say.

Does not know Gradio, so that the API can be served without the page.
"""

import logging
import sys
from pathlib import Path

from starlette.middleware import Middleware

from api import Access, Api, Limits
from web.identity import user_owner
from web.options import Options
from web.startup import Startup

_DAY_S = 24 * 3600.0


def api_middleware(options: Options, startup: Startup) -> list[Middleware]:
    """What serves the API in front of everything else; nothing where it is switched off."""
    if not options.api:
        return []
    if options.access_log is not None:
        _open_log(options.access_log)
    keys = options.keys
    access = Access(
        check_key=keys.name_of if keys is not None else None,
        asks_for_password=options.users is not None,
        host=options.host,
        origins=options.cors_origins,
        max_body_bytes=options.max_body_bytes,
        metrics_token=options.metrics_token,
        owner_of=_user_owner if options.api_conversations else None,
    )
    return [
        Middleware(
            Api,
            program=startup,
            access=access,
            sampling=options.sampling,
            kept_s=options.api_keep_days * _DAY_S,
            limits=Limits(options.max_requests_per_key, options.max_tokens_per_minute),
        )
    ]


def _open_log(file: Path) -> None:
    """Let the API's access log be written there; `-` is standard output."""
    stdout = str(file) == "-"
    handler = (
        logging.StreamHandler(sys.stdout) if stdout else logging.FileHandler(file, "a", "utf-8")
    )
    handler.setFormatter(logging.Formatter("%(message)s"))
    log = logging.getLogger("api.access")
    log.handlers, log.propagate = [handler], False
    log.setLevel(logging.INFO)


def _user_owner(name: str) -> str:
    """The user of a key's name, in whose list its conversations stand."""
    return f"{user_owner(name)}"
