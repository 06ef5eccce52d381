"""A GGUF model in several files, as llama.cpp's gguf-split writes them: NAME-00001-of-00003.gguf.

The first part has the metadata, each part its own tensors. Any part names the model. Knows only
names and the three `split.` keys.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from export.errors import ExportError

_NAME = re.compile(
    r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<suffix>\.gguf)", re.IGNORECASE
)


def parts_of(path: Path) -> list[Path]:
    """Every file of the model that `path` belongs to, in order; raises ExportError for a missing one."""
    parts = [path.with_name(name) for name in part_names(path.name)]
    for part in parts:
        if len(parts) > 1 and not part.is_file():
            raise ExportError(
                f"{path.parent} lacks {part.name}, part of a model of {len(parts)} files; download it too."
            )
    return parts


def part_names(name: str) -> list[str]:
    """The files' names, in order, by that of one of them, which may have folders in front."""
    if (named := _NAME.fullmatch(name)) is None or int(named["count"]) == 0:
        return [name]
    numbers = range(1, int(named["count"]) + 1)
    return [f"{named['stem']}-{n:05d}-of-{named['count']}{named['suffix']}" for n in numbers]


def check_parts(paths: list[Path], readers: list[Any]) -> None:
    """Raise ExportError where the files are not the parts of one model, each at its place."""
    for number, (path, reader) in enumerate(zip(paths, readers, strict=True)):
        place, count = _number(reader, "split.no", 0), _number(reader, "split.count", 1)
        if count > 1 and len(paths) == 1:
            raise ExportError(
                f"{path} is part {place + 1} of {count} of a model; name the parts as they came, "
                f"NAME-00001-of-{count:05d}.gguf and so on, in one folder."
            )
        if (place, max(count, 1)) != (number, len(paths)):
            raise ExportError(
                f"{path.name} is part {place + 1} of {count}, not {number + 1} of {len(paths)}; "
                "download the model's files again."
            )
    expected = _number(readers[0], "split.tensors.count", None)
    found = sum(len(reader.tensors) for reader in readers)
    if expected is not None and expected != found:
        raise ExportError(
            f"The files of {paths[0].name} hold {found} tensors of {expected}; download them again."
        )


def _number(reader: Any, key: str, default: Any) -> Any:
    field = reader.fields.get(key)
    return default if field is None else int(field.contents())
