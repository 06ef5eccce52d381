"""The engine's options: frozen, validated once, never written to again.

Owns: defaults and the range of every option. Does not know: what was measured on this machine
(that is a value which the engine derives) nor how options are spelt on a command line.
"""

from dataclasses import dataclass
from pathlib import Path

from engine.errors import ConfigError

COMPARED = "models-compared.json"  # in the data directory
STORAGES = ("preferred", "required")
OVERFLOWS = ("recompute", "shift")
PRECISIONS = ("auto", "f32")
KV_PRECISIONS = ("u8", "f16", "bf16", "f32")


def require(condition: bool, message: str) -> None:
    """Raise ConfigError with `message` unless `condition` holds."""
    if not condition:
        raise ConfigError(message)


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineConfig:
    """How the engine runs one model.

    model_dir: folder with openvino_model.xml and its neighbours.
    kv_budget_bytes: hard limit of the KV cache; None: a quarter of the memory left, 4 GiB at most.
    precision: of what is computed. `auto`: bf16 and products in int8 where the CPU has them (with AMX
    products are in bf16): long prefills in half the time; rounding then decides between tokens that are
    nearly equally probable, also by how a text was cut into steps. `f32`: exact, but with bf16 KV, which
    takes bf16 along. KV in f32 makes `auto` exact too.
    kv_precision: element type of the KV cache; u8 is quantised, keys as `engine.model.key_scales` says;
    bf16 is refused (ConfigError) when the model is loaded on a CPU without it.
    chat_template: a file with the Jinja template to use instead of the model's own; None: that one.
    system_prompt: the operator's; conversations without one of their own have it, and its KV is shared.
    data_dir: where conversations and their KV are kept; None: in memory only.
    compared: a JSON file that remembers which models of others were compared with themselves
    (engine.model.checking); None: in data_dir, if there is one.
    storage: what if conversations cannot be kept in data_dir: `preferred` keeps them in memory and says so,
    `required` refuses (StoreError).
    disk_budget_bytes: most that the KV on disk may take; None: no limit.
    num_threads: inference threads; None: what CPU quota and affinity allow.
    single_token_graph: compile the model once more for the steps of one reply alone, which are quicker
    then; its weights are in memory twice. None: for small models, where there is room for it.
    overflow: what becomes of the KV when the oldest turns are left out: `recompute` it while nobody
    waits, or `shift` it to its new positions at once, with traces of what was left out.
    titles: let the model name stored conversations while nobody waits.
    speculation: guess ahead in replies where that pays, which changes when tokens come, not which.
    warm_up: run likely step shapes while idle. debug: check the blocks' integrity when idle.
    max_num_sequences: answers generated at once; more of them wait.
    max_queue: turns that may wait for that; the next one is refused (QueueFull). None: no limit.
    max_num_batched_tokens: prefill tokens in one step when nobody else is answering.
    max_prefill_beside_decode: the same while other answers are flowing; None: learnt by measurement.
    """

    model_dir: Path
    device: str = "CPU"
    kv_budget_bytes: int | None = None
    precision: str = "auto"
    kv_precision: str = "u8"
    chat_template: Path | None = None
    system_prompt: str | None = None
    data_dir: Path | None = None
    compared: Path | None = None
    storage: str = "preferred"
    disk_budget_bytes: int | None = 8 << 30
    num_threads: int | None = None
    max_num_sequences: int = 16
    max_queue: int | None = None
    max_num_batched_tokens: int = 512
    max_prefill_beside_decode: int | None = None
    single_token_graph: bool | None = None
    warm_up: bool = True
    overflow: str = "recompute"
    titles: bool = True
    speculation: bool = True
    debug: bool = False

    def __post_init__(self) -> None:
        require(
            self.overflow in OVERFLOWS,
            f"Overflow policy {self.overflow!r} is unknown; choose one of {', '.join(OVERFLOWS)}.",
        )
        require(
            self.storage in STORAGES,
            f"Storage {self.storage!r} is unknown; choose one of {', '.join(STORAGES)}.",
        )
        require(
            self.precision in PRECISIONS,
            f"Precision {self.precision!r} is unknown; choose one of {', '.join(PRECISIONS)}.",
        )
        require(
            self.kv_precision in KV_PRECISIONS,
            f"KV precision {self.kv_precision!r} is unknown; choose one of {', '.join(KV_PRECISIONS)}.",
        )
        require(
            self.kv_budget_bytes is None or self.kv_budget_bytes > 0,
            "The KV budget must be above zero bytes.",
        )
        require(
            self.disk_budget_bytes is None or self.disk_budget_bytes > 0,
            "The disk budget must be above zero bytes.",
        )
        require(
            self.num_threads is None or self.num_threads > 0,
            "The number of threads must be 1 or more.",
        )
        require(self.max_num_sequences > 0, "At least one sequence must be able to run.")
        require((self.max_queue or 0) >= 0, "The queue's limit must be 0 or more.")
        require(
            0 < (self.max_prefill_beside_decode or 1) <= self.max_num_batched_tokens,
            "The token budget beside running answers must be at least 1 and no larger than the full one.",
        )
