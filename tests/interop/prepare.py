"""Exports the models and writes down what they say here: `python -m tests.interop.prepare FOLDER`.

Three directories (SmolLM2 from its GGUF, tiny random GLM and ChatGLM from checkpoints), and
expected.json: for each prompt the greedy text of the plain graph and of the engine, and how much of it
other runtimes must repeat: the tokens before the first one whose two largest logits are close.
"""

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine import Engine, EngineConfig, Message, SamplingParams, SessionId, events
from engine.model.model_files import read_eos_token_ids, read_settings
from engine.text.chat_template import read_chat_template
from engine.text.tokenizer import Tokenizer
from export import export_model
from tests.export.folders import CHATGLM, FAMILIES, write_folder, write_tokenizer
from tests.export.running import Stateful, compiled

NUM_TOKENS = 48
MARGIN = 0.01
PROMPTS = {
    "smollm2": [
        ("chat", "What is the capital of France?"),
        ("chat", "Write a short poem about the sea."),
        ("text", "Once upon a time, in a village by the lake,"),
    ],
    "glm": [("text", "hello there"), ("text", "你好"), ("text", "The quick brown fox")],
    "chatglm": [("text", "hello there"), ("text", "你好"), ("text", "The quick brown fox")],
}


def export_all(folder: Path) -> None:
    """The three model directories; those that are complete already stay."""
    export_model("smollm2-135m-instruct", folder / "smollm2")
    for name, config in (("glm", FAMILIES["glm"]), ("chatglm", CHATGLM)):
        write_folder(folder / "sources" / name, {**config, "eos_token_id": 258})
        write_tokenizer(folder / "sources" / name)
        if name == "chatglm":  # its tokenizer is not ours to ship: a plain one stands in
            _keep_plain_tokenizer(folder / "sources" / name)
        export_model(str(folder / "sources" / name), folder / name)


def _keep_plain_tokenizer(folder: Path) -> None:
    (folder / "tokenizer_config.json").write_text('{"eos_token": "<|im_end|>"}', "utf-8")


def prompt_text(model_dir: Path, kind: str, text: str) -> str:
    """What the model reads."""
    template = read_chat_template(model_dir) if kind == "chat" else None
    return template.render([Message("user", text)]) if template is not None else text


def greedy(model_dir: Path, ids: Sequence[int]) -> tuple[list[int], list[float]]:
    """Tokens of the plain graph at f32, and the margin by which each won."""
    run = Stateful(compiled(model_dir / "openvino_model.xml"))
    ends = read_eos_token_ids(model_dir, read_settings(model_dir))
    said: list[int] = []
    margins: list[float] = []
    step: Sequence[int] = ids
    while len(said) < NUM_TOKENS:
        logits = run.step([step])[0, -1]
        second, first = np.sort(logits)[-2:]
        token = int(logits.argmax())
        margins.append(float(first - second))
        if token in ends:
            break
        said.append(token)
        step = [token]
    return said, margins


async def engine_text(engine: Engine, kind: str, text: str) -> str:
    """What the engine answers."""
    params = SamplingParams(temperature=0, max_tokens=NUM_TOKENS)
    if kind == "chat":
        session = SessionId("interop", text)
        engine.open_session(session)
        stream = engine.chat(session, text, params=params)
    else:
        stream = engine.complete(text, params)
    return "".join([event.text async for event in stream if isinstance(event, events.Text)])


def expected(model_dir: Path, prompts: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """One entry for each prompt."""
    tokenizer, entries = Tokenizer(model_dir), []
    config = EngineConfig(model_dir=model_dir, kv_precision="f32", kv_budget_bytes=256 << 20)
    engine = Engine(config).start()
    try:
        engine.wait_ready()
        for kind, text in prompts:
            ids, margins = greedy(model_dir, tokenizer.encode(prompt_text(model_dir, kind, text)))
            close = [i for i, margin in enumerate(margins) if margin < MARGIN]
            sure = ids[: close[0]] if close else ids
            entry = {
                "kind": kind,
                "prompt": text,
                "sure": tokenizer.decode(sure).rstrip("\ufffd"),
                "num_sure": len(sure),
                "is_whole": not close,
                "num_tokens": NUM_TOKENS,
                "texts": {
                    "graph": tokenizer.decode(ids),
                    "engine": asyncio.run(engine_text(engine, kind, text)),
                },
            }
            entries.append(entry)
    finally:
        engine.close()
    return entries


def main(folder: Path) -> None:
    """Export, run, write expected.json."""
    export_all(folder)
    found = {name: expected(folder / name, prompts) for name, prompts in PROMPTS.items()}
    (folder / "expected.json").write_text(json.dumps(found, indent=1, ensure_ascii=False), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
