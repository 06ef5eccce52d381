"""Draws the comparison, in light and dark: `bench/envs/plots/bin/python bench/peers/plots.py FILE`.

Runs in the plots' own environment, on nothing but the file of results; the pictures are written
beside it. Peers that are absent are left out, losing cases are not.
"""

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

NAMES = {
    "ours": "WarmChat",
    "genai": "OpenVINO GenAI",
    "optimum": "Optimum-Intel",
    "llamacpp": "llama.cpp server",
}
# Told apart by people who see few colours, on both grounds (Okabe and Ito's set).
COLOURS = {"ours": "#D55E00", "genai": "#0072B2", "optimum": "#009E73", "llamacpp": "#CC79A7"}
DARK_COLOURS = {**COLOURS, "ours": "#FF8C3A", "genai": "#56B4E9"}
LIGHT = {"ground": "#ffffff", "ink": "#1f2328", "line": "#d1d9e0"}
DARK = {"ground": "#0d1117", "ink": "#e6edf3", "line": "#3d444d"}
MOMENTS = {
    "switch_ttft_ms": "another\nconversation",
    "edit_ttft_ms": "edited",
    "regenerate_ttft_ms": "regenerated",
    "restart_ttft_ms": "after a\nrestart",
}
Peers = dict[str, dict[str, Any]]


def by_turn(axes: Any, peers: Peers, colours: dict[str, str]) -> None:
    """(a) Time to first token, turn by turn."""
    for name, peer in peers.items():
        turns = range(1, len(peer["ttft_ms"]) + 1)
        axes.plot(turns, peer["ttft_ms"], marker="o", markersize=3.5, color=colours[name])
        axes.set_xticks(turns)
    axes.set(title="Time to first token by turn, ms", xlabel="turn")
    _logarithmic(axes)


def _logarithmic(axes: Any) -> None:
    """Decades, with plain numbers at 1, 2 and 5."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _place: f"{value:,.0f}"))
    axes.yaxis.set_minor_locator(NullLocator())


def by_people(axes: Any, peers: Peers, colours: dict[str, str]) -> None:
    """(b) Tokens per second."""
    for name, peer in peers.items():
        people = [int(count) for count in peer["people"]]
        speeds = [crowd["tokens_per_s"] for crowd in peer["people"].values()]
        axes.plot(people, speeds, marker="o", markersize=3.5, color=colours[name])
        axes.set_xticks(people)
    axes.set(title="Tokens per second, all together", xlabel="people at once", ylim=(0, None))


def by_moment(axes: Any, peers: Peers, colours: dict[str, str]) -> None:
    """(c) to (e) Time to first token where a KV cache is easily lost."""
    width = 0.8 / len(peers)
    for i, (name, peer) in enumerate(peers.items()):
        places = [place - 0.4 + width * (i + 0.5) for place in range(len(MOMENTS))]
        values = [peer[key] or 0 for key in MOMENTS]
        bars = axes.bar(places, values, width * 0.9, color=colours[name])
        axes.bar_label(bars, [f"{value:,.0f}" if value else "" for value in values], fontsize=7)
    axes.set_xticks(range(len(MOMENTS)), list(MOMENTS.values()))
    axes.set(title="Time to first token, ms")
    _logarithmic(axes)


def by_cost(axes: Any, peers: Peers, colours: dict[str, str]) -> None:
    """(a) Between tokens, and (f) memory, each relative to ours."""
    keys = {"itl_ms": ("between\ntokens", "{:.1f} ms"), "peak_mib": ("peak\nmemory", "{:,.0f} MiB")}
    width = 0.8 / len(peers)
    for i, (name, peer) in enumerate(peers.items()):
        places = [place - 0.4 + width * (i + 0.5) for place in range(len(keys))]
        values = [(peer[key] or 0) / peers["ours"][key] for key in keys]
        bars = axes.bar(places, values, width * 0.9, color=colours[name])
        texts = [form.format(peer[key]) if peer[key] else "" for key, (_, form) in keys.items()]
        axes.bar_label(bars, texts, fontsize=7)
    axes.set_xticks(range(len(keys)), [label for label, _ in keys.values()])
    axes.set(title="Relative to WarmChat (less is better)")


def draw(
    results: dict[str, Any], path: Path, ground: dict[str, str], colours: dict[str, str]
) -> None:
    """One picture of four."""
    peers = {name: peer for name, peer in results["peers"].items() if not peer["absent"]}
    settings = {
        "figure.facecolor": ground["ground"],
        "axes.facecolor": ground["ground"],
        "axes.edgecolor": ground["line"],
        "axes.titlesize": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "grid.color": ground["line"],
        "font.size": 8.5,
        **dict.fromkeys(
            ("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), ground["ink"]
        ),
    }
    with mpl.rc_context(settings):
        figure, axes = plt.subplots(2, 2, figsize=(9.6, 6.6), layout="constrained")
        for place, panel in zip(axes.flat, (by_turn, by_people, by_moment, by_cost), strict=True):
            place.grid(axis="y", linewidth=0.6)
            place.set_axisbelow(True)
            panel(place, peers, colours)
        marks = [plt.Line2D([], [], color=colours[name], linewidth=5) for name in peers]
        labels = [NAMES[name] for name in peers]
        figure.legend(marks, labels, loc="outside upper center", ncols=4, frameon=False)
        figure.savefig(path, dpi=150)
        plt.close(figure)


def main(results: Path) -> None:
    """Both pictures."""
    found = json.loads(results.read_text("utf-8"))
    draw(found, results.with_name(f"{results.stem}-light.png"), LIGHT, COLOURS)
    draw(found, results.with_name(f"{results.stem}-dark.png"), DARK, DARK_COLOURS)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
