"""Runs the exported directories, unchanged, in another runtime: `compare.py genai|optimum FOLDER`.

Uses nothing of this project, since it runs in that runtime's own environment. Full precision
everywhere, so that texts are comparable; a difference is an error only where the margin between the
two largest logits leaves no room for one. Ends with status 1 if anything differs.
"""

import importlib
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

EXACT = {
    "INFERENCE_PRECISION_HINT": "f32",
    "KV_CACHE_PRECISION": "f32",
    "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0",
}
Say = Callable[[dict[str, Any]], str]


def genai(backend: str, model_dir: Path) -> Say:
    """OpenVINO GenAI; backend: PA or SDPA."""
    library = importlib.import_module("openvino_genai")
    pipeline = library.LLMPipeline(model_dir, "CPU", ATTENTION_BACKEND=backend, **EXACT)

    def say(entry: dict[str, Any]) -> str:
        config = pipeline.get_generation_config()
        config.max_new_tokens, config.do_sample = entry["num_tokens"], False
        config.apply_chat_template = entry["kind"] == "chat"
        return str(pipeline.generate(entry["prompt"], config))

    return say


def optimum(model_dir: Path) -> Say:
    """Optimum-Intel over transformers."""
    library = importlib.import_module("optimum.intel.openvino")
    transformers = importlib.import_module("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(model_dir)
    config = _config(transformers, model_dir)
    model = library.OVModelForCausalLM.from_pretrained(model_dir, config=config, ov_config=EXACT)

    def say(entry: dict[str, Any]) -> str:
        text = entry["prompt"]
        if entry["kind"] == "chat":
            messages = [{"role": "user", "content": text}]
            text = tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=True
            )
        inputs = tokenizer(text, return_tensors="pt", add_special_tokens=False)
        inputs.pop("token_type_ids", None)
        given = inputs["input_ids"].shape[1]
        output = model.generate(**inputs, max_new_tokens=entry["num_tokens"], do_sample=False)
        return str(tokenizer.decode(output[0, given:], skip_special_tokens=True))

    return say


def _config(transformers: Any, model_dir: Path) -> Any:
    """transformers knows no `chatglm` without code from the hub; its settings are enough here."""
    settings = json.loads((model_dir / "config.json").read_text("utf-8"))
    if settings["model_type"] != "chatglm":
        return transformers.AutoConfig.from_pretrained(model_dir)
    return transformers.PretrainedConfig.from_dict(settings)


RUNTIMES: dict[str, dict[str, Callable[[Path], Say]]] = {
    "genai": {
        "genai PA": lambda model_dir: genai("PA", model_dir),
        "genai SDPA": lambda model_dir: genai("SDPA", model_dir),
    },
    "optimum": {"optimum": optimum},
    "here": {"graph": lambda _: lambda entry: str(entry["texts"]["graph"]),
             "engine": lambda _: lambda entry: str(entry["texts"]["engine"])},
}  # fmt: skip


def verdict(entry: dict[str, Any], text: str) -> str:
    """How a text compares with what the graph is sure of."""
    text, whole, sure = map(_plain, (text, entry["texts"]["graph"], entry["sure"]))
    if text == whole:
        return "equal"
    if not entry["is_whole"] and text.startswith(sure):
        return f"equal for the {entry['num_sure']} tokens before a tie"
    return f"DIFFERS: {text!r}, expected {whole!r}"


def _plain(text: str) -> str:
    """Without what is the decoders' own: spaces in front, and the marks that stand for broken bytes."""
    return re.sub("\ufffd+", "\ufffd", text.lstrip()).rstrip("\ufffd")


def main(runtimes: str, folder: Path) -> int:
    """Compare every prompt of every model; returns the exit status."""
    expected = json.loads((folder / "expected.json").read_text("utf-8"))
    wrong = 0
    for model, entries in expected.items():
        for name, start in RUNTIMES[runtimes].items():
            say = start(folder / model)
            for entry in entries:
                said = verdict(entry, say(entry))
                wrong += said.startswith("DIFFERS")
                print(f"{model:8} {name:10} {entry['kind']:4} {entry['prompt'][:32]:32} {said}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
