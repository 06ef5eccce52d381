"""What the program counts and times, for Prometheus: names that begin with `warmchat_`, no names of people.

Owns: the metrics and their buckets, which reach as far as a CPU takes. Turns of the page count, too. Does not know HTTP.
"""

from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from api.program import Program
from engine import TurnFigures
from engine.events import Finished
from engine.metrics import KVSource

_LONG_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 300, 600, 1800)
_SHORT_S = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2)


class Metrics:
    """Of one run of the program. Any thread may count."""

    def __init__(self, program: Program) -> None:
        self.registry = CollectorRegistry()
        own: dict[str, Any] = {"namespace": "warmchat", "registry": self.registry}
        self._prompt = Counter(
            "prompt_tokens", "Tokens in front of replies, by where their KV came from.", ["source"], **own
        )  # fmt: skip
        self._generated = Counter("generated_tokens", "Tokens of replies.", **own)
        self._turns = Counter("turns", "Turns that are over, of the page and of programs.", ["reason"], **own)  # fmt: skip
        self._requests = Counter("requests", "Requests to the API.", ["path", "status"], **own)
        self._refusals = Counter("refusals", "Requests that were refused.", ["code"], **own)
        self._ttft = Histogram("ttft_seconds", "From the request to the first token.", buckets=_LONG_S, **own)  # fmt: skip
        self._itl = Histogram(
            "inter_token_seconds", "Between tokens, as the mean of each reply.", buckets=_SHORT_S, **own
        )  # fmt: skip
        self._queue = Histogram("queue_seconds", "Until the first step.", buckets=_LONG_S, **own)
        self._whole = Histogram("request_seconds", "API requests, up to their last byte.", buckets=_LONG_S, **own)  # fmt: skip
        self.registry.register(_Now(program))
        program.observers.append(self.ended)

    def ended(self, finished: Finished) -> None:
        """A turn is over, whoever asked for it."""
        figures = finished.figures
        self._turns.labels(finished.reason.value).inc()
        self._prompt.labels(_source(figures)).inc(figures.reused_tokens)
        self._prompt.labels("computed").inc(figures.prefilled_tokens)
        self._generated.inc(figures.generated_tokens)
        self._queue.observe(figures.wait_s)
        if figures.ttft_s is not None:
            self._ttft.observe(figures.ttft_s)
        if figures.itl_s is not None:
            self._itl.observe(figures.itl_s)

    def answered(self, path: str, status: int, seconds: float) -> None:
        """A request to the API was answered. path: one of the API's own."""
        self._requests.labels(path, str(status)).inc()
        self._whole.observe(seconds)

    def refused(self, code: str) -> None:
        """A request to the API was refused."""
        self._refusals.labels(code).inc()

    def text(self) -> bytes:
        """All of it, in Prometheus' format."""
        return generate_latest(self.registry)


def _source(figures: TurnFigures) -> str:
    return "disk" if figures.source is KVSource.DISK else "memory"


class _Now(Collector):
    """What the engine is at the moment of being asked."""

    def __init__(self, program: Program) -> None:
        self._program = program

    def collect(self) -> Iterator[Metric]:
        """The gauges; none before the model is loaded."""
        engine = self._program.engine
        if engine is None or engine.status != "ready":
            return
        stats, info = engine.stats(), engine.info
        free = stats.kv_blocks_total - stats.kv_blocks_used
        yield _gauge("requests_running", "Turns that are being answered.", stats.running)
        yield _gauge("requests_waiting", "Turns that wait for their start.", stats.waiting)
        yield _gauge("sessions", "Conversations in memory.", stats.sessions)
        blocks = GaugeMetricFamily("warmchat_kv_blocks", "Blocks of the KV cache.", labels=["state"])  # fmt: skip
        blocks.add_metric(["used"], stats.kv_blocks_used - stats.kv_blocks_shared)
        blocks.add_metric(["shared"], stats.kv_blocks_shared)
        blocks.add_metric(["free"], free)
        yield blocks
        used = stats.kv_blocks_used * stats.kv_block_bytes
        yield _gauge("kv_bytes", "KV in memory.", used)
        yield _gauge("kv_disk_bytes", "KV on disk.", stats.disk_bytes)
        yield _gauge("kv_spilled", "Snapshots written since the start.", stats.spilled)
        yield _gauge("kv_restored", "Snapshots read since the start.", stats.restored)
        yield _gauge("unstored", "1 while conversations cannot be stored.", int(engine.storage.trouble is not None))  # fmt: skip
        build = GaugeMetricFamily("warmchat_build_info", "The model.", labels=["model", "kv_precision"])  # fmt: skip
        build.add_metric([info.name, info.kv_precision], 1)
        yield build


def _gauge(name: str, words: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"warmchat_{name}", words, value=value)
