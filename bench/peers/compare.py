"""`python -m bench peers`: the whole comparison, the table, the file, the plots and the last line.

Owns: its own options. What is measured is in `work` and `page`, what it comes to in `figures`.
Peers that are not set up (bench/setup_peers.sh) are reported as absent.
"""

import argparse
import json
import platform
import subprocess
from dataclasses import asdict, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.peers import page
from bench.peers.child import ENVS, OURS, PEERS
from bench.peers.figures import figures, print_table, ratios
from bench.peers.seats import Given, seated
from bench.peers.source import original_gguf
from bench.peers.work import Sizes, Table, all_work
from engine.config import PRECISIONS
from engine.model import usable_cpus
from engine.text import Tokenizer

RESULTS = Path("bench/results/peers.json")


def _people(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def parse(arguments: list[str]) -> argparse.Namespace:
    """The options: every size, and what takes part."""
    parser = argparse.ArgumentParser(prog="python -m bench peers", description=__doc__)
    for size in fields(Sizes):
        kind = _people if size.name == "people" else int
        name = "--" + size.name.replace("_", "-")
        parser.add_argument(name, type=kind, default=size.default, metavar="N")
    parser.add_argument("--precision", choices=PRECISIONS, default="auto", help="our engine's")
    parser.add_argument("--only", nargs="*", default=[peer.name for peer in PEERS], metavar="PEER")
    parser.add_argument("--no-page", action="store_true", help="leave the page out")
    parser.add_argument("--out", type=Path, default=RESULTS, help="the file of results")
    return parser.parse_args(arguments)


def run(model_dir: Path, arguments: list[str]) -> dict[str, Any]:
    """Measure, print a table, write the file and the plots, return the ratios."""
    options = parse(arguments)
    sizes = Sizes(**{size.name: getattr(options, size.name) for size in fields(Sizes)})
    given = Given(model_dir, original_gguf(model_dir), usable_cpus(), options.precision)
    peers = [peer for peer in PEERS if peer is OURS or peer.name in options.only]
    with seated(peers, given) as seats:
        table = Table(seats, Tokenizer(model_dir), sizes)
        for work in all_work(table):
            _tell(work)
        for seat in seats:
            seat.get_up()
    if seats[0].absent is not None:
        raise RuntimeError(f"our own engine failed: {seats[0].absent}")
    return _report(options.out, table, given, None if options.no_page else _paged(given, sizes))


def _paged(given: Given, sizes: Sizes) -> dict[str, Any] | None:
    """The page's figures; None, and why, where it fails: what was measured before is not lost."""
    try:
        return page.measure(given, sizes, _tell)
    except (RuntimeError, TimeoutError) as error:
        print(f"The page could not be measured: {error}")
        return None


def _report(out: Path, table: Table, given: Given, paged: dict[str, Any] | None) -> dict[str, Any]:
    found, compared = figures(table), ratios(table)
    last = {**compared, "page_share": paged["page_share"] if paged else None}
    print_table(found)
    if paged:
        print(
            "through the page: {page_tokens_per_s} tokens/s of {engine_tokens_per_s}".format(
                **paged
            )
        )
    whole = {
        "measured_at": datetime.now(UTC).isoformat(timespec="minutes"),
        "cpu": _cpu_name(),
        "threads": given.threads,
        "model": given.model.name,
        "sizes": asdict(table.sizes),
        "peers": found,
        "page": paged,
        "ratios": last,
        "samples": _samples(table),
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(whole, indent=1) + "\n", "utf-8")
    _plot(out)
    return last


def _samples(table: Table) -> dict[str, list[dict[str, Any]]]:
    """Every sample but its texts, so that other figures can be made of them."""
    kept = ("ttft_s", "itl_s", "tokens_per_s", "prompt_tokens", "prefilled_tokens", "source")
    return {
        name: [
            {"round": which, "item": item, "peer": peer}
            | {key: answer[key] for key in kept if key in answer}
            for (which, item), answers in getattr(table, name).by_key.items()
            for peer, answer in answers.items()
        ]
        for name in ("conversation", "crowd", "switch", "edit", "regenerate", "restart")
    }


def _plot(results: Path) -> None:
    """Draw, where the plots' environment is set up."""
    python = ENVS / "plots" / "bin" / "python"
    if not (ENVS / "plots" / ".ready").exists():
        print("No plots: run bench/setup_peers.sh plots.")
        return
    subprocess.run([str(python), "bench/peers/plots.py", str(results)], check=True)


def _tell(work: str) -> None:
    print(f"{datetime.now(UTC):%H:%M:%S} {work}", flush=True)


def _cpu_name() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()
