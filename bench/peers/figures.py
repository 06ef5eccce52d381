"""What the samples come to: each peer's figures, the ratios, and the table for people. Pure.

Ratios are ours over theirs. All but throughput: below 1 is in our favour. Peak memory is one figure
for each peer, of its largest process; a peer with two drivers did a part of the work in each.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from bench.peers.ratios import Samples, against_each, middle, percentile_95
from bench.peers.seats import Seat
from bench.peers.work import Table

FIRST_LATER_TURN = 3
MIB = 2**20


def figures(table: Table) -> dict[str, Any]:
    """Each peer's own figures."""
    return {seat.name: _of_peer(table, seat) for seat in table.seats}


def ratios(table: Table) -> dict[str, dict[str, float | None]]:
    """Ours over each of theirs."""
    ours, *others = table.seats
    theirs = [seat.name for seat in others]
    later = range(FIRST_LATER_TURN, table.sizes.turns + 1)
    most = [max(table.sizes.people)]

    def each(samples: Samples, name: str, items: Sequence[int] | None = None) -> Any:
        ratio = partial(samples.ratio, ours.name, field_name=name, items=items)
        return against_each(theirs, ratio)

    peaks = {seat.name: seat.peak_bytes for seat in table.seats if seat.peak_bytes}
    return {
        "ttft_ratio": each(table.conversation, "ttft_s", later),
        "itl_ratio": each(table.conversation, "itl_s"),
        "throughput16_ratio": each(table.crowd, "tokens_per_s", most),
        "switch_ratio": each(table.switch, "ttft_s"),
        "restart_ratio": each(table.restart, "ttft_s"),
        "edit_ratio": each(table.edit, "ttft_s"),
        "regenerate_ratio": each(table.regenerate, "ttft_s"),
        "rss_ratio": against_each(theirs, lambda peer: _ratio(peaks, ours.name, peer)),
    }


def _ratio(values: dict[str, int], ours: str, theirs: str) -> float | None:
    if ours not in values or theirs not in values:
        return None
    return round(values[ours] / values[theirs], 3)


def _of_peer(table: Table, seat: Seat) -> dict[str, Any]:
    name, sizes = seat.name, table.sizes

    def ttft_ms(samples: Samples, items: Sequence[int] | None = None) -> float | None:
        return middle(samples.values(name, "ttft_s", items), 1e3)

    return {
        "absent": seat.absent,
        "about": seat.about,
        "ttft_ms": [ttft_ms(table.conversation, [t]) for t in range(1, sizes.turns + 1)],
        "itl_ms": middle(table.conversation.values(name, "itl_s"), 1e3, 2),
        "prompt_tokens": table.conversation.values(name, "prompt_tokens", [sizes.turns]),
        "people": {str(people): _crowd(table.crowd, name, people) for people in sizes.people},
        "switch_ttft_ms": ttft_ms(table.switch),
        "edit_ttft_ms": ttft_ms(table.edit),
        "regenerate_ttft_ms": ttft_ms(table.regenerate),
        "restart_ttft_ms": ttft_ms(table.restart),
        "peak_mib": round(seat.peak_bytes / MIB) if seat.peak_bytes else None,
    }


def _crowd(samples: Samples, name: str, people: int) -> dict[str, float | None]:
    times = [ttft for one in samples.values(name, "ttft_s", [people]) for ttft in one]
    slowest = percentile_95(times)
    return {
        "tokens_per_s": middle(samples.values(name, "tokens_per_s", [people])),
        "ttft_ms_p95": None if slowest is None else round(1e3 * slowest, 1),
    }


def rows(found: dict[str, Any]) -> list[tuple[str, list[float | None]]]:
    """The table: a label, and a figure for each peer."""
    peers = list(found.values())
    num_turns = len(peers[0]["ttft_ms"])
    table: list[tuple[str, list[float | None]]] = [
        (f"TTFT, turn {turn + 1}, ms", [peer["ttft_ms"][turn] for peer in peers])
        for turn in range(num_turns)
    ]
    table.append(("between tokens, ms", [peer["itl_ms"] for peer in peers]))
    for people in peers[0]["people"]:
        speeds = [peer["people"][people]["tokens_per_s"] for peer in peers]
        slowest = [peer["people"][people]["ttft_ms_p95"] for peer in peers]
        table += [
            (f"{people} people, tokens/s", speeds),
            (f"{people} people, TTFT p95, ms", slowest),
        ]
    for label, key in (
        ("TTFT, other conversation, ms", "switch_ttft_ms"),
        ("TTFT, second message edited, ms", "edit_ttft_ms"),
        ("TTFT, regenerated, ms", "regenerate_ttft_ms"),
        ("TTFT, after a restart, ms", "restart_ttft_ms"),
        ("peak memory, MiB", "peak_mib"),
    ):
        table.append((label, [peer[key] for peer in peers]))
    return table


def print_table(found: dict[str, Any]) -> None:
    """For people."""
    print(f"{'':34}" + "".join(f"{name:>11}" for name in found))
    for label, values in rows(found):
        shown = ("-" if value is None else f"{value:,.1f}" for value in values)
        print(f"{label:34}" + "".join(f"{text:>11}" for text in shown))
    for name, peer in found.items():
        for about in peer["about"]:
            print(
                f"{name}: {about['version']}; {about['pipeline']}; {about['threads']} threads,"
                f" KV {about['kv_precision']}, activations {about['precision']}"
            )
        if peer["absent"]:
            print(f"{name} is absent: {peer['absent']}")
