"""Drives llama.cpp's server, which bench/setup_peers.sh built, over HTTP.

Defaults everywhere but for the threads, the context and, for a crowd, `--parallel` with its number
of people: KV in f16, prompts cached in slots and in RAM (`cache_prompt`). Each crowd has a server of
its own, so that its places are right; starting it is not counted.
"""

import http.client
import json
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bench.peers.line import Answer, Messages, TokenClock, crowd_answer, peak_bytes, say_all, serve

SERVER = "bench/envs/llamacpp/build/bin/llama-server"
VERSION = Path("bench/envs/llamacpp/version")
CONTEXT = 16384
START_S = 60


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """One llama-server; `close` ends it."""

    def __init__(self, model: str, threads: int, *more: str) -> None:
        self._port = free_port()
        command = [SERVER, "-m", model, "-t", str(threads), "-c", str(CONTEXT), "--no-webui"]
        command += ["--host", "127.0.0.1", "--port", str(self._port), *more]
        self.server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        self._wait()

    def _wait(self) -> None:
        give_up_at = time.monotonic() + START_S
        while time.monotonic() < give_up_at:
            if self.server.poll() is not None:
                raise RuntimeError(f"llama-server ended with status {self.server.returncode}")
            try:
                if self._request("GET", "/health").status == 200:
                    return
            except OSError:
                pass
            time.sleep(0.05)
        raise TimeoutError("llama-server did not become ready")

    def turn(self, messages: Messages, max_tokens: int) -> Answer:
        """One reply, streamed."""
        clock = TokenClock()
        body = {
            "messages": messages,
            "max_tokens": max_tokens,
            "temperature": 0,
            "ignore_eos": True,
            "cache_prompt": True,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        response = self._request("POST", "/v1/chat/completions", json.dumps(body))
        if response.status != 200:
            raise RuntimeError(response.read().decode("utf-8", "replace"))
        text, usage = "", {"completion_tokens": 0, "prompt_tokens": 0}
        while line := response.readline():
            if not line.startswith(b"data: {"):
                continue
            chunk = json.loads(line[6:])
            usage = chunk.get("usage") or usage
            if chunk["choices"] and (piece := chunk["choices"][0]["delta"].get("content")):
                clock.piece()
                text += piece
        return clock.answer(text, usage["completion_tokens"], usage["prompt_tokens"])

    def close(self) -> int:
        """End it; the most memory it ever had resident."""
        peak = peak_bytes(self.server.pid)
        self.server.terminate()
        self.server.wait()
        return peak

    def _request(self, method: str, path: str, body: str | None = None) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=600)
        connection.request(method, path, body, {"content-type": "application/json"})
        return connection.getresponse()


class LlamaCpp:
    """A server for conversations, and one for each crowd."""

    def __init__(self) -> None:
        self._peak = 0
        self._server: Server | None = None

    def start(self, gguf: str, threads: int, **_given: Any) -> Answer:
        """Load."""
        self._given = (gguf, threads)
        self._server = Server(gguf, threads)
        return {
            "version": VERSION.read_text().strip(),
            "pipeline": f"llama-server, cache_prompt, context {CONTEXT}, --parallel N for crowds",
            "threads": threads,
            "kv_precision": "f16",
            "precision": "q8",
        }

    def turn(self, messages: Messages, max_tokens: int, **_given: Any) -> Answer:
        """One reply."""
        assert self._server is not None
        return self._server.turn(messages, max_tokens)

    def crowd(self, people: list[list[str]], max_tokens: int) -> Answer:
        """A connection for each person."""
        server = Server(*self._given, "--parallel", str(len(people)))
        try:
            server.turn([{"role": "user", "content": "Hello."}], 4)
            began_at = time.perf_counter()
            with ThreadPoolExecutor(len(people)) as threads:
                said = threads.map(
                    lambda said: say_all(lambda m: server.turn(m, max_tokens), said), people
                )
                turns = [turn for one in said for turn in one]
            return crowd_answer(turns, time.perf_counter() - began_at)
        finally:
            self._peak = max(self._peak, server.close())

    def peak(self) -> Answer:
        """The largest of the servers."""
        assert self._server is not None
        return {"bytes": max(self._peak, peak_bytes(self._server.server.pid))}

    def close(self) -> None:
        """End the server."""
        if self._server is not None:
            self._server.close()


if __name__ == "__main__":
    driver = LlamaCpp()
    try:
        serve(driver)
    finally:
        driver.close()
