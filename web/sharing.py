"""A public address of Gradio's, for a while.

Owns: what is told where there is none. Imports Gradio. Does not know what is served.
"""

import logging
from pathlib import Path
from typing import Any, cast

import gradio as gr
from gradio import networking, utils

from web.listening import near
from web.options import Options

log = logging.getLogger(__name__)


def share(demo: gr.Blocks, options: Options) -> None:
    """Print the address by which everybody reaches this server, or say why there is none."""
    if utils.get_space() is not None:
        log.warning("--share does nothing on a Space, which has a public address of its own.")
        return
    # It lands in the working directory otherwise, where one may not be allowed to write.
    cast(Any, networking).CERTIFICATE_PATH = str(
        Path(utils.get_upload_folder()) / "certificate.pem"
    )
    try:
        url = networking.setup_tunnel(
            near(options.host), options.port, demo.share_token, None, None
        )
    except Exception as error:  # noqa: BLE001  (whatever it is, the page itself is there)
        log.warning("There is no public address (%s). Is the network reachable?", error)
        return
    print(f"For a week at most also at {url}", flush=True)
