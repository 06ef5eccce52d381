"""Drives OpenVINO GenAI, in bench/envs/genai: `python -m bench.peers.genai llm|batching`.

llm: LLMPipeline with ChatHistory. batching: ContinuousBatchingPipeline with prefix caching, whose
steps are called here, so that each person goes on as soon as their own reply is there. Everything
but the number of threads is the library's default.
"""

import sys
import time
from itertools import count
from typing import Any

import openvino
import openvino_genai

from bench.peers.line import (
    Answer,
    Driver,
    Messages,
    OneByOne,
    TokenClock,
    crowd_answer,
    peak_bytes,
    serve,
)

CACHE_GIB = 1


def about(**more: Any) -> Answer:
    """Versions and the plugin's own defaults."""
    plugin = openvino.Core()
    return {
        "version": openvino_genai.__version__,
        "kv_precision": str(plugin.get_property("CPU", "KV_CACHE_PRECISION").to_string()),
        "precision": str(plugin.get_property("CPU", "INFERENCE_PRECISION_HINT").to_string()),
        **more,
    }


def generation(max_tokens: int) -> openvino_genai.GenerationConfig:
    """Greedy, and as many tokens as asked for."""
    config = openvino_genai.GenerationConfig()
    config.do_sample = False
    config.max_new_tokens = config.min_new_tokens = max_tokens
    return config


class _Stamps(openvino_genai.StreamerBase):  # type: ignore[misc]
    """Takes the time of each token."""

    def __init__(self, clock: TokenClock) -> None:
        super().__init__()
        self._clock = clock
        self.num_tokens = 0

    def write(self, token: Any) -> Any:
        self._clock.piece()
        self.num_tokens += 1 if isinstance(token, int) else len(token)
        return openvino_genai.StreamingStatus.RUNNING

    def end(self) -> None:
        pass


class Llm(OneByOne):
    """One conversation after another."""

    def start(self, model: str, threads: int, **_given: Any) -> Answer:
        """Load."""
        self._pipeline = openvino_genai.LLMPipeline(model, "CPU", INFERENCE_NUM_THREADS=threads)
        self._eos = self._pipeline.get_tokenizer().get_eos_token_id()
        return about(pipeline="LLMPipeline, ChatHistory", threads=threads)

    def turn(self, messages: Messages, max_tokens: int, **_given: Any) -> Answer:
        """One reply."""
        config = generation(max_tokens)
        config.set_eos_token_id(self._eos)
        clock = TokenClock()
        history = openvino_genai.ChatHistory(messages)
        stamps = _Stamps(clock)
        result = self._pipeline.generate(history, config, stamps)
        given = result.perf_metrics.get_num_input_tokens()
        return clock.answer(result.texts[0], stamps.num_tokens, given)


class _Request:
    """A reply under way in the batch."""

    def __init__(self, handle: Any, clock: TokenClock, prompt_tokens: int) -> None:
        self._handle = handle
        self._clock = clock
        self._prompt_tokens = prompt_tokens
        self._ids: list[int] = []

    def read(self) -> bool:
        """Take what has come; whether the reply is over."""
        while self._handle.can_read():
            for output in self._handle.read().values():
                self._ids += output.generated_ids
                self._clock.piece()
        return bool(self._handle.get_status() != openvino_genai.GenerationStatus.RUNNING)

    def answer(self, tokenizer: Any) -> Answer:
        """The turn."""
        text = tokenizer.decode(self._ids)
        return self._clock.answer(text, len(self._ids), self._prompt_tokens)


class Batching:
    """Everybody in one batch."""

    def start(self, model: str, threads: int, **_given: Any) -> Answer:
        """Load."""
        scheduler = openvino_genai.SchedulerConfig()
        scheduler.enable_prefix_caching = True
        scheduler.cache_size = CACHE_GIB
        properties = {"INFERENCE_NUM_THREADS": threads}
        self._pipeline = openvino_genai.ContinuousBatchingPipeline(
            model, scheduler, "CPU", properties
        )
        self._tokenizer = self._pipeline.get_tokenizer()
        self._numbers = count()
        pipeline = f"ContinuousBatchingPipeline, prefix caching, {CACHE_GIB} GiB"
        return about(pipeline=pipeline, threads=threads)

    def turn(self, messages: Messages, max_tokens: int, **_given: Any) -> Answer:
        """One reply."""
        request = self._add(messages, max_tokens)
        while not request.read():
            self._pipeline.step()
        return request.answer(self._tokenizer)

    def crowd(self, people: list[list[str]], max_tokens: int) -> Answer:
        """All in one batch; who has their reply says the next thing at once."""
        began_at = time.perf_counter()
        left = {i: list(said) for i, said in enumerate(people)}
        histories: dict[int, Messages] = {i: [] for i in left}
        running: dict[int, _Request] = {}
        turns: list[Answer] = []

        def speak(i: int) -> None:
            if left[i]:
                histories[i].append({"role": "user", "content": left[i].pop(0)})
                running[i] = self._add(histories[i], max_tokens)

        for i in left:
            speak(i)
        while running:
            self._pipeline.step()
            for i in [i for i, request in running.items() if request.read()]:
                turns.append(running.pop(i).answer(self._tokenizer))
                histories[i].append({"role": "assistant", "content": turns[-1]["text"]})
                speak(i)
        return crowd_answer(turns, time.perf_counter() - began_at)

    def peak(self) -> Answer:
        """Of this process."""
        return {"bytes": peak_bytes()}

    def _add(self, messages: Messages, max_tokens: int) -> _Request:
        clock = TokenClock()
        config = generation(max_tokens)
        config.set_eos_token_id(self._tokenizer.get_eos_token_id())
        prompt = self._tokenizer.apply_chat_template(messages, add_generation_prompt=True)
        ids = self._tokenizer.encode(prompt, add_special_tokens=False).input_ids
        handle = self._pipeline.add_request(next(self._numbers), ids, config)
        return _Request(handle, clock, ids.shape[1])


DRIVERS: dict[str, type[Driver]] = {"llm": Llm, "batching": Batching}

if __name__ == "__main__":
    serve(DRIVERS[sys.argv[1]]())
