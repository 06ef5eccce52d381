"""Drives Optimum-Intel, in bench/envs/optimum, the way of OpenVINO's chatbot tutorials.

OVModelForCausalLM.generate in a thread, a TextIteratorStreamer in front of it, the whole
conversation encoded at every turn. Everything but the number of threads is the library's default.
"""

import threading
from typing import Any

import torch
import transformers
from optimum.intel import OVModelForCausalLM
from optimum.intel.version import __version__ as version

from bench.peers.line import Answer, Messages, OneByOne, TokenClock, serve


class _Streamer(transformers.TextIteratorStreamer):  # type: ignore[misc]
    """Takes the time of each token, before the text of it is held back to the end of a word."""

    def __init__(self, tokenizer: Any, clock: TokenClock) -> None:
        super().__init__(tokenizer, skip_prompt=True, skip_special_tokens=True)
        self._clock = clock
        self.num_tokens = -1  # the prompt comes first

    def put(self, value: Any) -> None:
        """A token, or the prompt."""
        if self.num_tokens >= 0:
            self._clock.piece()
        self.num_tokens += 1
        super().put(value)


class Optimum(OneByOne):
    """One conversation after another, as one model instance must."""

    def start(self, model: str, threads: int, **_given: Any) -> Answer:
        """Load."""
        torch.set_num_threads(threads)
        self._tokenizer = transformers.AutoTokenizer.from_pretrained(model)
        properties = {"INFERENCE_NUM_THREADS": str(threads)}
        self._model = OVModelForCausalLM.from_pretrained(model, ov_config=properties)
        self._model.compile()
        compiled = self._model.request.get_compiled_model()
        return {
            "version": version,
            "pipeline": "OVModelForCausalLM, TextIteratorStreamer",
            "threads": threads,
            "kv_precision": str(compiled.get_property("KV_CACHE_PRECISION").to_string()),
            "precision": str(compiled.get_property("INFERENCE_PRECISION_HINT").to_string()),
        }

    def turn(self, messages: Messages, max_tokens: int, **_given: Any) -> Answer:
        """One reply."""
        clock = TokenClock()
        text = self._tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True
        )
        inputs = self._tokenizer(text, return_tensors="pt", add_special_tokens=False)
        inputs.pop("token_type_ids", None)
        streamer = _Streamer(self._tokenizer, clock)
        wanted = {"max_new_tokens": max_tokens, "min_new_tokens": max_tokens, "do_sample": False}
        thread = threading.Thread(
            target=self._model.generate, kwargs={**inputs, "streamer": streamer, **wanted}
        )
        thread.start()
        reply = "".join(streamer)
        thread.join()
        return clock.answer(reply, streamer.num_tokens, inputs["input_ids"].shape[1])


if __name__ == "__main__":
    serve(Optimum())
