"""WarmChat: `python app.py` opens the chat, `--ask TEXT` answers in the terminal, and `--chat` chats there."""

import logging
import sys

from export.console import write_what_can_be_written
from web.options import parse_options


def main() -> int:
    """Run what the command line asks for; returns the exit status."""
    write_what_can_be_written()
    options = parse_options(sys.argv[1:])
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("web").setLevel(logging.INFO)
    if options.is_in_terminal:
        from web import terminal  # noqa: PLC0415  (each start loads only what it needs)

        return terminal.chat(options) if options.chat else terminal.ask(options)
    from web.serve import serve  # noqa: PLC0415

    return serve(options)


if __name__ == "__main__":
    sys.exit(main())
