"""Questions in the terminal: answers on standard output, their figures on standard error.

Owns: what `--ask` and `--chat` print. Does not know Gradio, and does not load it.
"""

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import TextIO

from engine import Engine, SamplingParams, SessionId, events
from engine.errors import EngineError, RequestError
from export import ExportError
from export.progress import Bars
from web.options import Options
from web.startup import build_engine
from web.turns import template_options
from web.view import ending_line

CHAT_HELP = "{model}: Ctrl-C stops an answer, Ctrl-D ends the chat."

Events = AsyncGenerator[events.Event, None]

_RAW_TOKENS = 512  # unless it is said otherwise: a base model knows no end
_SESSION = SessionId("terminal", "terminal")


def ask(options: Options) -> int:
    """Answer `options.ask` and return the exit status: 0, 1 after an error, 130 after Ctrl-C or SIGTERM."""
    return _with_engine(options, lambda engine: asyncio.run(_answer(engine, options, sys.stdout)))


def chat(options: Options) -> int:
    """Answer line by line, in one conversation, until the input ends; returns the exit status, as `ask`.

    Ctrl-C stops an answer, which stays as far as it came; at the prompt it ends the chat.
    """
    with contextlib.suppress(ImportError):  # the arrow keys, and what was typed before
        import readline  # noqa: F401, PLC0415
    return _with_engine(options, lambda engine: _talk(engine, options, sys.stdout))


def _with_engine(options: Options, act: Callable[[Engine], int]) -> int:
    """What `act` returns, with an engine that is ready; 1 after an error, 130 after Ctrl-C or SIGTERM."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    bars = Bars()
    engine: Engine | None = None
    try:
        engine = build_engine(options, bars)
        bars.close()
        engine.wait_ready()
        return act(engine)
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


def _talk(engine: Engine, options: Options, out: TextIO) -> int:
    engine.open_session(_SESSION)
    sys.stderr.write(f"{CHAT_HELP.format(model=engine.info.name)}\n")
    while True:
        try:
            message = input("> ")
        except EOFError:
            out.write("\n")
            return 0
        if message.strip():
            try:
                asyncio.run(_tell(_turn(engine, message, options.sampling), out))
            except RequestError as error:
                sys.stderr.write(f"{error}\n")
            except KeyboardInterrupt:
                out.write("\n")


def _turn(engine: Engine, message: str, params: SamplingParams) -> Events:
    # Thinking is off, as on the page.
    return engine.chat(_SESSION, message, params=params, **template_options(engine, thinking=False))


async def _answer(engine: Engine, options: Options, out: TextIO) -> int:
    assert options.ask is not None
    params = replace(options.sampling, temperature=0)  # one answer: the most probable
    if options.raw:
        params = replace(params, max_tokens=options.max_tokens or _RAW_TOKENS)
        out.write(options.ask)
        stream = engine.complete(options.ask, params)
    else:
        engine.open_session(_SESSION)
        stream = _turn(engine, options.ask, params)
    return await _tell(stream, out)


async def _tell(stream: Events, out: TextIO) -> int:
    """Print what comes of a turn; the exit status that it means."""
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
