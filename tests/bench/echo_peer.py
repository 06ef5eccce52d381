"""A driver that repeats what it hears, in fixed times; it stands in for no peer's figures."""

import os
from typing import Any

from bench.peers.line import Answer, Messages, crowd_answer, peak_bytes, serve


class Echo:
    """Says `said X` to X, and fails when told to."""

    def start(self, **given: Any) -> Answer:
        print("a library's chatter", flush=True)
        return {**given, "version": "1", "pipeline": "echo", "kv_precision": "-", "precision": "-"}

    def turn(self, messages: Messages, max_tokens: int, **_given: Any) -> Answer:
        seen = [message["content"] for message in messages]
        assert seen[-1] != "fail", "told to"
        said = {"text": f"said {seen[-1]}", "seen": seen, "pid": os.getpid()}
        return {**said, "ttft_s": 0.1, "itl_s": 0.01, "tokens": max_tokens, "prompt_tokens": 1}

    def crowd(self, people: list[list[str]], max_tokens: int) -> Answer:
        turns = [{"tokens": max_tokens, "ttft_s": 0.1, "text": t} for said in people for t in said]
        return crowd_answer(turns, wall_s=0.16 * len(people)) | {"tokens_per_s": 50.0}

    def peak(self) -> Answer:
        return {"bytes": peak_bytes()}


if __name__ == "__main__":
    serve(Echo())
