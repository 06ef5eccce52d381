"""torch checkpoints (.bin, .pt) without torch: a zip of raw storages and one small pickle.

The pickle runs under an unpickler that knows tensors and dictionaries and nothing else: a file
that names any other function is refused before anything of it runs. Storages are memory-mapped,
and every tensor's extent is checked against its storage.
"""

from __future__ import annotations

import collections
import io
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.errors import ExportError
from export.sources.safetensors import damaged
from export.tensors import Bytes, StoredTensor

LOCAL_HEADER_BYTES = 30
STORAGES: dict[str, tuple[str, np.dtype[Any]]] = {
    "DoubleStorage": ("F64", np.dtype("<f8")),
    "FloatStorage": ("F32", np.dtype("<f4")),
    "HalfStorage": ("F16", np.dtype("<f2")),
    "BFloat16Storage": ("BF16", np.dtype("<u2")),
    "LongStorage": ("I64", np.dtype("<i8")),
    "IntStorage": ("I32", np.dtype("<i4")),
    "ShortStorage": ("I16", np.dtype("<i2")),
    "CharStorage": ("I8", np.dtype("i1")),
    "ByteStorage": ("U8", np.dtype("u1")),
    "BoolStorage": ("BOOL", np.dtype("?")),
}


class Storage:
    """A typed, memory-mapped run of elements."""

    def __init__(self, encoding: str, elements: NDArray[np.generic]) -> None:
        self.encoding, self.elements = encoding, elements


def read_torch_zip(path: Path) -> dict[str, StoredTensor]:
    """The tensors of one file; raises ExportError if it is damaged, old or not plain tensors."""
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise _not_a_zip(path) from error
    with archive:
        try:
            loaded = _Unpickler(path, archive).load()
        except ExportError:
            raise
        except (pickle.UnpicklingError, AttributeError, ImportError) as error:
            raise ExportError(
                f"{path} holds more than tensors ({error}) and was not loaded; "
                "get the model as safetensors."
            ) from error
        except (KeyError, ValueError, TypeError, EOFError, IndexError, zipfile.BadZipFile) as error:
            raise damaged(path) from error
    return dict(_named(path, loaded))


def _not_a_zip(path: Path) -> ExportError:
    with path.open("rb") as file:
        if file.read(2) == b"PK":
            return damaged(path)
    return ExportError(
        f"{path} is not a zip checkpoint of torch 1.6 or later; get the model as safetensors."
    )


def _named(path: Path, loaded: Any) -> list[tuple[str, StoredTensor]]:
    if isinstance(loaded, dict) and isinstance(loaded.get("state_dict"), dict):
        loaded = loaded["state_dict"]
    if not isinstance(loaded, dict):
        raise ExportError(f"{path} is not a checkpoint: it holds no named tensors.")
    return [
        (name, _renamed(value, name))
        for name, value in loaded.items()
        if isinstance(name, str) and isinstance(value, StoredTensor)
    ]


def _renamed(tensor: StoredTensor, name: str) -> StoredTensor:
    return StoredTensor(name, tensor.stored, tensor.encoding, tensor.shape)


def _rebuild_tensor(
    storage: Storage, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any
) -> StoredTensor:
    """torch._utils._rebuild_tensor_v2, over a memory map."""
    if not isinstance(storage, Storage) or len(size) != len(stride):
        raise ValueError("tensor")
    if min((offset, *size, *stride)) < 0:
        raise ValueError("tensor")
    last = sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    if 0 not in size and offset + last >= storage.elements.size:
        raise ValueError("tensor reaches beyond its storage")
    elements = storage.elements[offset:]
    strides = tuple(step * elements.itemsize for step in stride)
    stored = np.lib.stride_tricks.as_strided(elements, tuple(size), strides)
    return StoredTensor("", stored, storage.encoding, tuple(size))


def _rebuild_parameter(tensor: StoredTensor, *_: Any) -> StoredTensor:
    return tensor


ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    ("collections", "OrderedDict"): collections.OrderedDict,
}


class _Unpickler(pickle.Unpickler):
    """Knows the names in ALLOWED and the storage types; refuses every other."""

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        pickles = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise damaged(path)
        super().__init__(io.BytesIO(archive.read(pickles[0])))
        self._archive = archive
        self._root = pickles[0].removesuffix("data.pkl")
        self._mapped: Bytes = np.memmap(path, np.uint8, "c")

    def find_class(self, module: str, name: str) -> Any:
        """A name from the list, or UnpicklingError."""
        if (module, name) in ALLOWED:
            return ALLOWED[module, name]
        if module == "torch" and name in STORAGES:
            return name
        raise pickle.UnpicklingError(f"it names {module}.{name}")

    def persistent_load(self, reference: Any) -> Storage:
        """The storage that ("storage", type, key, device, count) refers to."""
        kind, storage_type, key, _device, count = reference
        if kind != "storage" or storage_type not in STORAGES:
            raise pickle.UnpicklingError(f"it refers to {storage_type}")
        encoding, dtype = STORAGES[storage_type]
        content = self._entry(f"{self._root}data/{key}")
        return Storage(encoding, content[: count * dtype.itemsize].view(dtype))

    def _entry(self, name: str) -> Bytes:
        """The bytes of a stored (uncompressed) entry, mapped."""
        entry = self._archive.getinfo(name)
        if entry.compress_type != zipfile.ZIP_STORED:
            raise ValueError("compressed storage")
        header = self._mapped[entry.header_offset : entry.header_offset + LOCAL_HEADER_BYTES]
        name_length, extra_length = struct.unpack("<HH", header[26:30].tobytes())
        start = entry.header_offset + LOCAL_HEADER_BYTES + name_length + extra_length
        content = self._mapped[start : start + entry.file_size]
        if content.size != entry.file_size:
            raise ValueError("storage beyond the file's end")
        return content
