"""What the hub's client raises, in one sentence each.

Owns: the sentences, and which errors mean that the hub is away, so that its cache may do. Imports the client
late, since it is slow.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

from export.errors import ExportError, HubUnreachable, NotOnHub
from export.sources.hub_source import HubSource

_CLIENT = ("huggingface_hub", "httpx", "httpx2", "httpcore", "httpcore2", "requests")
_OF_THE_DISK = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENOSPC, errno.EDQUOT}


def is_away(error: Exception) -> bool:
    """Whether the hub was not asked or did not answer, or says that it is out of order."""
    from huggingface_hub import errors  # noqa: PLC0415

    if isinstance(error, errors.LocalEntryNotFoundError | errors.OfflineModeIsEnabled):
        return True
    if isinstance(error, errors.HfHubHTTPError):
        return error.response is not None and error.response.status_code >= 500
    return _is_of_the_client(error) and not isinstance(error, errors.HFValidationError)


class Translated:
    """Turns the hub client's errors into one sentence each."""

    def __init__(self, source: HubSource) -> None:
        self._source = source

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Raise ExportError for what the hub or the network did."""
        if error is None or isinstance(error, ExportError) or not isinstance(error, Exception):
            return
        if isinstance(error, OSError) and _is_of_the_disk(error):
            raise ExportError(_unwritable(error)) from error
        for types, said in self._sentences():
            if isinstance(error, types):
                raise said from error
        if _is_of_the_client(error):
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


def _is_of_the_client(error: Exception) -> bool:
    return type(error).__module__.split(".")[0] in _CLIENT


def _is_of_the_disk(error: OSError) -> bool:
    return error.errno in _OF_THE_DISK


def _unwritable(error: OSError) -> str:
    return (
        f"The hub's cache cannot be written ({error.strerror}); set HF_HOME to a folder that can be, with "
        "room, then run the same command."
    )
