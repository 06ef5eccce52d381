"""Models from the Hugging Face hub: only the files that are needed.

Files go to the hub client's own cache, so an interrupted download resumes and nothing is fetched
twice; HF_ENDPOINT, HF_TOKEN, HF_HOME and HF_HUB_OFFLINE are respected when the call is made. Code
of the repository is never fetched. Knows nothing of what the files hold but their names.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from export.errors import ExportError
from export.progress import Progress, silent
from export.sources import hub_cache, proxies
from export.sources.gguf_parts import part_names
from export.sources.hub_errors import Translated, is_away
from export.sources.hub_source import (
    INDEXES,
    READY_MADE,
    SINGLES,
    HubSource,
    is_small,
    loose_weights,
    parse,
    weight_files,
)
from export.sources.modelscope import MODELSCOPE, download_from_modelscope

log = logging.getLogger(__name__)

__all__ = [
    "MODELSCOPE",
    "HubSource",
    "answers",
    "download",
    "download_from_modelscope",
    "is_cached",
    "parse",
]


def download(source: HubSource, progress: Progress = silent) -> Path:
    """Fetch what is needed; the folder (or GGUF file) in the cache. Raises ExportError.

    Where the hub is away, or HF_HUB_OFFLINE says so, what the cache holds whole will do.
    """
    proxies.check()
    with Translated(source):
        try:
            found = _Download(source, progress).run()
        except Exception as error:
            if not is_away(error) or (cached := hub_cache.find(source)) is None:
                raise
            log.warning("The hub does not answer; %s is taken from its cache.", source.repository)
            return cached
        return found


class _Download:
    """One repository at one commit."""

    def __init__(self, source: HubSource, progress: Progress) -> None:
        from huggingface_hub import HfApi  # noqa: PLC0415  (slow to import)

        self._source, self._progress = source, progress
        # The client reads HF_ENDPOINT when it is imported; this one counts when it is called.
        self._endpoint = os.environ.get("HF_ENDPOINT") or None
        info = HfApi(endpoint=self._endpoint).model_info(
            source.repository, revision=source.revision, files_metadata=True
        )
        self._commit: str = info.sha or "main"
        self._sizes = {item.rfilename: item.size or 0 for item in info.siblings or []}
        self._done = 0

    def run(self) -> Path:
        """Fetch the small files, then the weights; returns where they are."""
        found = self._fetched()
        hub_cache.remember(self._source, self._commit)
        return found

    def _fetched(self) -> Path:
        if self._source.gguf is not None:
            return self._fetch_all(part_names(self._source.gguf))
        names = sorted(self._sizes)
        if not ({*READY_MADE, *INDEXES, *SINGLES} & self._sizes.keys() or loose_weights(names)):
            raise ExportError(self._no_weights(names))
        small = [name for name in names if is_small(name)]
        folder = self._fetch_all(small).parent
        weights = weight_files(names, lambda name: (folder / name).read_text("utf-8"))
        self._fetch_all(weights)
        return folder

    def _fetch_all(self, names: list[str]) -> Path:
        """Fetch files; the path of the last one."""
        if not names or any(name not in self._sizes for name in names):
            absent = [name for name in names if name not in self._sizes] or ["config.json"]
            raise ExportError(
                f"{self._source.repository} on the hub has no {absent[0]}; it cannot be exported."
            )
        total, paths = sum(self._sizes[name] for name in names), []
        self._done = 0
        for name in names:
            before = self._done
            paths.append(self._fetch(name, total))
            self._done = before + self._sizes[name]
            self._progress(self._what, self._done, total)
        return paths[-1]

    @property
    def _what(self) -> str:
        return f"Downloading {self._source.repository}"

    def _fetch(self, name: str, total: int) -> Path:
        from huggingface_hub import hf_hub_download  # noqa: PLC0415

        def advance(count: float) -> None:
            self._done += int(count)
            self._progress(self._what, min(self._done, total), total)

        path = hf_hub_download(
            self._source.repository,
            name,
            revision=self._commit,
            endpoint=self._endpoint,
            tqdm_class=_forwarding_bar(advance),
        )
        return Path(str(path))

    def _no_weights(self, names: list[str]) -> str:
        ggufs = [name for name in names if name.endswith(".gguf")]
        if ggufs:
            example = f"{self._source.repository}/{ggufs[0]}"
            return f"{self._source.repository} holds GGUF files; name one of them: {example}."
        return f"{self._source.repository} on the hub holds no weights that can be exported."


def _forwarding_bar(advance: Callable[[float], None]) -> Any:
    """A bar class for the hub's client that draws nothing and tells `advance`."""
    from tqdm import tqdm  # type: ignore[import-untyped]  # noqa: PLC0415

    class Forwarding(tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **options: Any) -> None:
            options.pop("name", None)
            super().__init__(*args, **{**options, "disable": True})

        def update(self, n: float | None = 1) -> None:
            advance(n or 0)

    return Forwarding


def is_cached(repository: str) -> bool:
    """Whether the hub's cache holds the whole model."""
    return hub_cache.find(HubSource(repository)) is not None


def answers(repository: str, within_s: float) -> bool:
    """Whether the hub says anything about `repository` in time, be it that it has no such model.

    Raises ExportError if it cannot be asked for a proxy that cannot be used.
    """
    proxies.check()
    # A thread, because looking up a name in a dead network takes longer than any timeout says.
    answered = threading.Event()
    asking = threading.Thread(target=_ask, args=(repository, within_s, answered), daemon=True)
    asking.start()
    asking.join(within_s)
    return answered.is_set()


def _ask(repository: str, within_s: float, answered: threading.Event) -> None:
    from huggingface_hub import HfApi, errors  # noqa: PLC0415  (slow to import)

    try:
        HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None).model_info(
            repository, timeout=within_s
        )
    except errors.RepositoryNotFoundError:  # gated ones too
        pass
    except Exception as error:  # noqa: BLE001  (the client's, and those of what it builds upon)
        log.debug("The hub does not answer: %s", error)
        return
    answered.set()
