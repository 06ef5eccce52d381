"""One question in the terminal: the answer on standard output, its figures on standard error.

Owns: what `--ask` prints. Does not know Gradio, and does not load it.
"""

import asyncio
import signal
import sys
from contextlib import aclosing
from dataclasses import replace
from typing import TextIO

from engine import Engine, SessionId, events
from engine.errors import EngineError
from export import ExportError
from export.progress import Bars
from web.options import Options
from web.startup import build_engine
from web.turns import template_options
from web.view import ending_line

_RAW_TOKENS = 512  # unless it is said otherwise: a base model knows no end
_SESSION = SessionId("terminal", "terminal")


def ask(options: Options) -> int:
    """Answer `options.ask` and return the exit status: 0, 1 after an error, 130 after Ctrl-C or SIGTERM."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    bars = Bars()
    engine: Engine | None = None
    try:
        engine = build_engine(options, bars)
        bars.close()
        engine.wait_ready()
        return asyncio.run(_answer(engine, options, sys.stdout))
    except (EngineError, ExportError, OSError) as error:
        sys.stderr.write(f"app.py: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stdout.write("\n")
        return 130
    finally:
        bars.close()
        if engine is not None:
            engine.close(timeout_s=4)


async def _answer(engine: Engine, options: Options, out: TextIO) -> int:
    assert options.ask is not None
    params = replace(options.sampling, temperature=0)  # one answer: the most probable
    if options.raw:
        params = replace(params, max_tokens=options.max_tokens or _RAW_TOKENS)
        out.write(options.ask)
        stream = engine.complete(options.ask, params)
    else:
        engine.open_session(_SESSION)
        # Thinking is off, as on the page.
        stream = engine.chat(
            _SESSION, options.ask, params=params, **template_options(engine, thinking=False)
        )
    async with aclosing(stream) as turn:
        async for event in turn:
            match event:
                case events.Text(text=text):
                    out.write(text)
                    out.flush()
                case events.Finished():
                    out.write("\n")
                    sys.stderr.write(f"[{ending_line(event, 'en', is_first=True)}]\n")
                    return _status(event)
    return 0


def _status(finished: events.Finished) -> int:
    for sentence in filter(None, (finished.figures.note, finished.error)):
        sys.stderr.write(f"{sentence}\n")
    return 1 if finished.reason == events.FinishReason.ERROR else 0
