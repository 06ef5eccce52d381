"""What the person asked for on the command line or in the environment.

Owns: every option's spelling, default and range. Values are checked (web.option_values) before
anything heavy is imported. Does not know what the options are used for.
Invariant: an Options that exists is possible on this machine.
"""

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from engine import SamplingParams
from engine.config import KV_PRECISIONS, OVERFLOWS, PRECISIONS, STORAGES
from web.keys import Keys
from web.model_source import DEFAULT_MODEL, model_reference
from web.option_values import (
    LOOPBACK,
    device,
    folder,
    log_file,
    one_of,
    origins,
    parse_bytes,
    parse_size,
    prefix,
    proxies,
    template,
    threads,
    user,
    user_file,
    whole,
    yes_or_no,
)
from web.users import Hash, Users

LONGEST_ANSWER = 1_000_000


def tokens_at_most(setting: int) -> int:
    """What a setting of the longest answer means to the engine: 0 is as long as the context allows."""
    return setting or LONGEST_ANSWER


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """One start of WarmChat. Sizes in bytes; `ask` is None for the page."""

    model: str
    device: str
    host: str
    port: int
    share: bool
    root_path: str
    trusted_proxies: Sequence[str]
    kv_budget_bytes: int | None
    kv_precision: str
    storage: str
    disk_budget_bytes: int
    precision: str
    overflow: str
    chat_template: Path | None
    system_prompt: str | None
    num_threads: int | None
    single_token_graph: bool | None
    data_dir: Path
    max_tokens: int
    titles: bool
    max_queue: int
    keep_answering_s: int
    max_upload_bytes: int
    max_body_bytes: int
    max_connections: int
    api: bool
    page: bool
    api_conversations: bool
    api_keep_days: int
    max_requests_per_key: int | None
    max_tokens_per_minute: int | None
    access_log: Path | None
    cors_origins: Sequence[str]
    auth: Mapping[str, Hash] | None = field(default=None, repr=False)
    auth_file: Mapping[str, Hash] | None = field(default=None, repr=False)
    api_key_file: Mapping[str, Hash] | None = field(default=None, repr=False)
    metrics_token: str | None = field(default=None, repr=False)
    ask: str | None = None
    chat: bool = False
    raw: bool = False

    @property
    def users(self) -> Users | None:
        """Who may sign in; None: everybody may use the page without."""
        known = {**(self.auth_file or {}), **(self.auth or {})}
        return Users(known) if known else None

    @property
    def is_in_terminal(self) -> bool:
        """Whether answers are told there, and nothing is served or stored."""
        return self.ask is not None or self.chat

    @property
    def keys(self) -> Keys | None:
        """Who may use the API; None: programs on this machine, without."""
        return Keys(self.api_key_file) if self.api_key_file else None

    @property
    def sampling(self) -> SamplingParams:
        """How replies are sampled unless the page says otherwise; small models drift when hotter."""
        return SamplingParams(
            temperature=0.3, top_p=0.9, max_tokens=tokens_at_most(self.max_tokens)
        )


def parse_options(arguments: Sequence[str], environ: Mapping[str, str] = os.environ) -> Options:
    """Options from the command line, then `environ`, then defaults.

    Exits with code 2 and one sentence on standard error when a value is unknown or impossible.
    """
    parser = _parser(environ)
    parser.set_defaults(**_from_environment(parser, environ))
    options = Options(**vars(parser.parse_args(arguments)))
    if options.raw and options.ask is None:
        parser.error("--raw goes with --ask: give the text to complete as --ask TEXT.")
    if options.chat and options.ask is not None:
        parser.error("--chat and --ask do not go together; leave one of them out.")
    if not options.page and not options.api:
        parser.error("--no-page leaves nothing to serve where --api is no; leave one of them out.")
    if options.api_conversations and (options.users is None or options.api_key_file is None):
        parser.error(
            "--api-conversations shows them to the users of --auth or --auth-file whose names are in "
            "--api-key-file; give both."
        )
    if "*" in options.cors_origins and options.api_key_file is None:
        parser.error("--cors-origin * lets every page of the web in; it goes with --api-key-file.")
    return options


class _Parser(argparse.ArgumentParser):
    """Says one sentence, not the usage, when it refuses a value."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message.removeprefix('argument ')}\n")


def _parser(environ: Mapping[str, str]) -> _Parser:
    parser = _Parser(
        prog="app.py",
        description="WarmChat: a local chat on OpenVINO whose conversations keep their KV cache.",
        epilog="Each option can also be set as an environment variable: --kv-budget as "
        "WARMCHAT_KV_BUDGET, and so on. The command line wins.",
        allow_abbrev=False,
    )
    _add_model_options(parser)
    _add_server_options(parser, environ)
    _add_visitor_options(parser)
    _add_api_options(parser)
    parser.add_argument("--ask", metavar="TEXT", help="answer TEXT in the terminal and exit")
    parser.add_argument("--chat", action="store_true", help="chat in the terminal")
    parser.add_argument(
        "--raw", action="store_true", help="with --ask: complete TEXT without a chat template"
    )
    return parser


def _add_model_options(parser: _Parser) -> None:
    add = parser.add_argument
    add("--model", type=model_reference, default=DEFAULT_MODEL, metavar="MODEL",
        help="auto, a name of the catalog, a model directory, a .gguf file, owner/name on the hub "
        "or modelscope:owner/name (default: %(default)s: one that is here, else a small one)")  # fmt: skip
    add("--device", type=device, default="CPU", help="OpenVINO device (default: %(default)s)")
    add("--kv-budget", type=parse_bytes, metavar="SIZE", dest="kv_budget_bytes",
        help="memory for the KV cache, like 2GB or 512MiB (default: chosen from free memory)")  # fmt: skip
    add("--kv-precision", type=one_of(KV_PRECISIONS), default="u8", metavar="TYPE",
        help=f"KV cache element type: {', '.join(KV_PRECISIONS)} (default: %(default)s)")  # fmt: skip
    add("--disk-budget", type=parse_size, default="8GiB", metavar="SIZE", dest="disk_budget_bytes",
        help="most that conversations' KV may take on disk (default: %(default)s)")  # fmt: skip
    add(
        "--overflow",
        type=one_of(OVERFLOWS),
        default="recompute",
        metavar="HOW",
        help="what becomes of the KV when the oldest turns no longer fit, or thoughts go: recompute (exact) or "
        "shift (at once, with traces of what was left out) (default: recompute)",
    )
    add("--precision", type=one_of(PRECISIONS), default="auto", metavar="TYPE",
        help="auto: bf16 and int8 where the CPU has them; f32: exact, prefills half as fast (default: auto)")  # fmt: skip
    add("--chat-template", type=template, metavar="FILE",
        help="a Jinja chat template to use instead of the model's own (default: none)")  # fmt: skip
    add("--system-prompt", metavar="TEXT",
        help="what every conversation begins with, computed once for all (default: none)")  # fmt: skip
    add("--titles", type=yes_or_no, default=True, metavar="YES|NO",
        help="let the model name conversations while nobody waits (default: yes)")  # fmt: skip
    add("--threads", type=threads, metavar="N", dest="num_threads",
        help="inference threads (default: what CPU quota and affinity allow)")  # fmt: skip
    add("--single-token-graph", type=yes_or_no, metavar="YES|NO",
        help="one answer alone comes quicker, with the weights in memory twice "
        "(default: for small models, where there is room)")  # fmt: skip
    add("--max-tokens", type=whole(0, LONGEST_ANSWER), default=0, metavar="N",
        help="longest answer, in tokens; the page can change it (default: 0, as long as the context allows)")  # fmt: skip


def _add_server_options(parser: _Parser, environ: Mapping[str, str]) -> None:
    on_space = environ.get("SYSTEM") == "spaces"
    host = environ.get("GRADIO_SERVER_NAME") or ("0.0.0.0" if on_space else "127.0.0.1")  # noqa: S104
    add = parser.add_argument
    add("--host", default=host, help="address to listen on (default: %(default)s)")
    add("--port", type=whole(1, 65535), default=environ.get("GRADIO_SERVER_PORT") or 7860,
        metavar="N", help="port to listen on (default: %(default)s)")  # fmt: skip
    add("--share", action="store_true",
        help="also open a public gradio.live address (downloads a tunnel program)")  # fmt: skip
    add("--root-path", type=prefix, default=environ.get("GRADIO_ROOT_PATH") or "", metavar="PATH",
        help="where a proxy shows the page, like /chat (default: at the top)")  # fmt: skip
    add("--trusted-proxies", type=proxies, metavar="ADDRESSES",
        default=environ.get("FORWARDED_ALLOW_IPS") or ("*" if on_space else LOOPBACK),
        help="whose X-Forwarded headers count: addresses and networks with commas between, "
        "or * for everybody's, or none (default: %(default)s)")  # fmt: skip
    add("--data-dir", type=folder, default=default_data_dir(on_space), metavar="DIR",
        help="folder for models, conversations and their KV (default: %(default)s)")  # fmt: skip
    add("--storage", type=one_of(STORAGES), default="preferred", metavar="HOW",
        help="where conversations cannot be stored: preferred (keep them in memory, and say so) or "
        "required (do not start) (default: preferred)")  # fmt: skip


def _add_visitor_options(parser: _Parser) -> None:
    add = parser.add_argument
    add("--auth", type=user, metavar="USER:PASSWORD",
        help="who may sign in; better in WARMCHAT_AUTH, where other programs cannot read it")  # fmt: skip
    add("--auth-file", type=user_file, metavar="FILE",
        help="more of them, one USER:HASH a line; `python -m web.users NAME` makes one")  # fmt: skip
    add("--max-queue", type=whole(0, 1_000_000), default=64, metavar="N",
        help="most turns that wait; whoever comes then is told to try later (default: %(default)s)")  # fmt: skip
    add("--keep-answering", type=whole(0, 86_400), default=60, metavar="SECONDS", dest="keep_answering_s",
        help="an answer goes on for so long when its reader has closed the last page (default: %(default)s)")  # fmt: skip
    add("--max-upload", type=parse_size, default="1GiB", metavar="SIZE", dest="max_upload_bytes",
        help="largest file that is taken: a saved chat with its KV (default: %(default)s)")  # fmt: skip
    add("--max-body", type=parse_size, default="16MiB", metavar="SIZE", dest="max_body_bytes",
        help="largest request beside files: a page sends its whole chat (default: %(default)s)")  # fmt: skip
    add("--max-connections", type=whole(16, 60_000), default=1000, metavar="N",
        help="most connections at once; a page has two or three (default: %(default)s)")  # fmt: skip


def _add_api_options(parser: _Parser) -> None:
    add = parser.add_argument
    add("--api", type=yes_or_no, default=True, metavar="YES|NO",
        help="serve OpenAI's API at /v1 for programs on this machine, or for those with a key (default: yes)")  # fmt: skip
    add(
        "--no-page", action="store_false", dest="page", help="serve the API alone, without the page"
    )
    add("--api-key-file", type=user_file, metavar="FILE",
        help="who may use the API, one NAME:HASH a line; `python -m web.keys NAME` makes one")  # fmt: skip
    add("--max-requests-per-key", type=whole(1, 100_000), metavar="N",
        help="replies that a key may ask for at once (default: as many as there are places)")  # fmt: skip
    add("--max-tokens-per-minute", type=whole(1, 999_999_999), metavar="N",
        help="tokens that may be computed for a key a minute; those whose KV is there are free (default: any)")  # fmt: skip
    add("--access-log", type=log_file, metavar="FILE",
        help="a line of JSON for each request to the API, without what was said; - is standard output (default: none)")  # fmt: skip
    add("--metrics-token", metavar="TOKEN",
        help="lets Prometheus of another machine read /metrics; better in WARMCHAT_METRICS_TOKEN (default: none)")  # fmt: skip
    add("--api-conversations", type=yes_or_no, default=False, metavar="YES|NO",
        help="what a key's programs say stands in the list of the user of that name (default: no)")  # fmt: skip
    add("--api-keep", type=whole(1, 36_500), default=7, metavar="DAYS", dest="api_keep_days",
        help="programs' conversations are deleted when nobody went on with them for so long (default: %(default)s)")  # fmt: skip
    add("--cors-origin", type=origins, default=(), metavar="ORIGINS", dest="cors_origins",
        help="pages that may use the API, like https://example.org, with commas between, or * (default: none)")  # fmt: skip


def _from_environment(parser: _Parser, environ: Mapping[str, str]) -> dict[str, object]:
    """Values of the WARMCHAT_* variables, by destination; --ask, --chat, --raw and --help have none."""
    values: dict[str, object] = {}
    for action in parser._actions:
        variable = (
            "WARMCHAT_" + action.option_strings[-1].removeprefix("--").replace("-", "_").upper()
        )
        if action.dest in ("help", "ask", "chat", "raw") or not (
            text := environ.get(variable, "").strip()
        ):
            continue
        convert = yes_or_no if action.nargs == 0 else action.type or str
        assert callable(convert)
        try:
            value = convert(text)
            values[action.dest] = action.const is value if action.nargs == 0 else value
        except argparse.ArgumentTypeError as refusal:
            parser.error(f"{variable}: {refusal}")
    return values


def default_data_dir(on_space: bool, persistent: Path = Path("/data")) -> Path:
    """`persistent` on a Space that has it, else the folder `data` beside app.py."""
    if on_space and os.access(persistent, os.W_OK):
        return persistent
    return Path(__file__).resolve().parent.parent / "data"
