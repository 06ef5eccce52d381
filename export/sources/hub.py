"""Models from the Hugging Face hub, and from ModelScope: only the files that are needed.

Files go to the hub client's own cache, so an interrupted download resumes and nothing is fetched
twice; HF_ENDPOINT, HF_TOKEN, HF_HOME and HF_HUB_OFFLINE are respected when the call is made. Code
of the repository is never fetched. Knows nothing of what the files hold but their names.
"""

from __future__ import annotations

import json
import logging
import os
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from export.errors import ExportError, HubUnreachable, NotOnHub
from export.progress import Progress, silent
from export.sources import proxies

log = logging.getLogger(__name__)

MODELSCOPE = "modelscope:"
SOURCE = re.compile(r"([\w.-]+/[\w.-]+?)(/[^@]+\.gguf)?(@[\w./-]+)?")
SMALL_FILES = ("*.json", "*.jinja", "*.model", "merges.txt", "vocab.txt")
READY_MADE = "openvino_model.xml"
INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
SINGLES = ("model.safetensors", "pytorch_model.bin")


@dataclass(frozen=True)
class HubSource:
    """owner/name, a GGUF file in it, and a branch, tag or commit."""

    repository: str
    gguf: str | None = None
    revision: str | None = None


def parse(source: str) -> HubSource | None:
    """`owner/name[/file.gguf][@revision]`, or None if it has another form."""
    match = SOURCE.fullmatch(source)
    if match is None:
        return None
    repository, gguf, revision = match.groups()
    return HubSource(repository, gguf and gguf[1:], revision and revision[1:])


def download(source: HubSource, progress: Progress = silent) -> Path:
    """Fetch what is needed; the folder (or GGUF file) in the cache. Raises ExportError."""
    proxies.check()
    with _Translated(source):
        return _Download(source, progress).run()


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
        if self._source.gguf is not None:
            return self._fetch_all([self._source.gguf])
        names = sorted(self._sizes)
        if not {READY_MADE, *INDEXES, *SINGLES} & self._sizes.keys():
            raise ExportError(self._no_weights(names))
        small = [name for name in names if _is_small(name)]
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


def weight_files(names: list[str], read_text: Callable[[str], str]) -> list[str]:
    """The weights to fetch: ready-made OpenVINO, else safetensors, else torch .bin."""
    if READY_MADE in names:
        return [
            name
            for name in names
            if fnmatch(name, "openvino_*.xml") or fnmatch(name, "openvino_*.bin")
        ]
    for index, single in zip(INDEXES, SINGLES, strict=True):
        if index in names:
            return sorted(set(json.loads(read_text(index)).get("weight_map", {}).values()))
        if single in names:
            return [single]
    return []


def _is_small(name: str) -> bool:
    return "/" not in name and any(fnmatch(name, pattern) for pattern in SMALL_FILES)


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


class _Translated:
    """Turns the hub client's errors into one sentence each."""

    def __init__(self, source: HubSource) -> None:
        self._source = source

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Raise ExportError for what the hub or the network did."""
        if error is None or isinstance(error, ExportError) or not isinstance(error, Exception):
            return
        for types, said in self._sentences():
            if isinstance(error, types):
                raise said from error
        module = type(error).__module__.split(".")[0]
        if module in ("huggingface_hub", "httpx", "httpx2", "httpcore", "httpcore2", "requests"):
            raise self._unreachable() from error

    def _sentences(self) -> Iterator[tuple[type[Exception], ExportError]]:
        from huggingface_hub import errors  # noqa: PLC0415

        name = self._source.repository
        yield (
            errors.GatedRepoError,
            NotOnHub(
                f"{name} is gated: accept its terms on the hub, then set HF_TOKEN or run "
                "`hf auth login`."
            ),
        )
        yield (
            errors.RepositoryNotFoundError,
            NotOnHub(
                f"The hub knows no model {name}, or it is private; check the name, or set HF_TOKEN."
            ),
        )
        yield (
            errors.RevisionNotFoundError,
            NotOnHub(f"{name} has no revision {self._source.revision!r}; check it on the hub."),
        )
        yield errors.LocalEntryNotFoundError, self._unreachable()
        yield errors.OfflineModeIsEnabled, self._unreachable()
        yield (
            errors.EntryNotFoundError,
            ExportError(f"A file of {name} is not to be had from the hub now; try again later."),
        )
        yield (
            errors.HFValidationError,
            ExportError(f"{name} is not a valid name of a model on the hub."),
        )

    def _unreachable(self) -> HubUnreachable:
        endpoint = os.environ.get("HF_ENDPOINT") or "the Hugging Face hub"
        return HubUnreachable(
            f"{self._source.repository} could not be fetched from {endpoint}; check the network "
            "(HF_ENDPOINT names a mirror), then run the same command: the download resumes."
        )


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


def download_from_modelscope(source: HubSource, progress: Progress = silent) -> Path:
    """The same from ModelScope, by its own client (`pip install modelscope`)."""
    try:
        from modelscope import snapshot_download  # noqa: PLC0415
    except ImportError as error:
        raise ExportError(
            "Models from ModelScope need its client; run `pip install modelscope` first."
        ) from error
    what = f"Downloading {source.repository}"
    progress(what, 0, 1)
    weights = ("openvino_*", "model*.safetensors", "pytorch_model*.bin")
    try:
        folder = snapshot_download(
            source.repository,
            revision=source.revision,
            allow_patterns=[*SMALL_FILES, *weights] if source.gguf is None else [source.gguf],
        )
    except Exception as error:
        raise ExportError(
            f"{source.repository} could not be fetched from ModelScope ({error}); check the name "
            "and the network, then run the same command."
        ) from error
    progress(what, 1, 1)
    return Path(folder) / (source.gguf or "")
