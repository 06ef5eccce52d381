"""A conversation outside of the engine: as Markdown, as JSON, and as a file with its KV in it.

Owns: these three forms. Does not know: sessions, the pool. The portable file is a ZIP archive of
`conversation.json` (messages, token ids and the text that they stand for) and `kv.safetensors` (a
snapshot). Another machine with the same model resumes from it without prefill; whatever is damaged
is refused, and KV of another model is too, and what is more than a conversation can be is refused before it is parsed.
"""

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.errors import RequestError
from engine.text import Ledger, Message, Segment
from engine.tiers import snapshot as snapshots
from engine.tiers.snapshot import Fingerprint, Snapshot

FORMAT = "warmchat-conversation"
VERSION = 1
MAX_TEXT_BYTES = 32 * 2**20
MAX_MESSAGES = 10_000
_CONVERSATION = "conversation.json"
_KV = "kv.safetensors"
# What zipfile raises for archives that are damaged, encrypted or of another kind.
# What zipfile raises at damaged archives; ValueError where a size sends it before the beginning.
_UNREADABLE = (
    *(zipfile.BadZipFile, KeyError, NotImplementedError, RuntimeError, EOFError, OSError),
    *(ValueError, OverflowError),
)
_ROLES = {"user": "## User", "assistant": "## Assistant"}


class ImportRefused(RequestError):
    """A file that is no conversation, or not one of this model; nothing was changed."""


@dataclass(frozen=True, slots=True)
class PortableTokens:
    """The tokens that the messages are for one model.

    began_at: seconds since 1970 of the day that they tell, if they tell one; None: not known.
    """

    tokens: list[int]
    ledger: Ledger
    num_hidden: int
    began_at: float | None = None


def to_markdown(messages: Sequence[Message]) -> str:
    """The conversation for people to read; headings say who speaks."""
    parts = [f"{_ROLES[m.role]}\n\n{_shifted(m.content)}\n" for m in messages]
    return "\n".join(parts)


def from_markdown(text: str) -> list[Message]:
    """Messages from what `to_markdown` wrote. Raises ImportRefused."""
    _check_size(len(text))
    roles = {heading: role for role, heading in _ROLES.items()}
    messages: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if line in roles:
            messages.append((roles[line], []))
        elif messages:
            messages[-1][1].append(line)
        elif line.strip():
            raise ImportRefused("This Markdown does not begin with a heading `## User`.")
    return _checked([Message(role, _unshifted("\n".join(ls).strip("\n"))) for role, ls in messages])


def to_json(messages: Sequence[Message]) -> str:
    """The conversation for programs."""
    return json.dumps(_record(messages), ensure_ascii=False, indent=1)


def from_json(text: str | bytes) -> list[Message]:
    """Messages from what `to_json` wrote. Raises ImportRefused."""
    return _messages(_parse(text))


def pack(
    messages: Sequence[Message],
    kept: PortableTokens,
    snapshot: Snapshot | None,
    fingerprint: Fingerprint,
) -> bytes:
    """The portable file. snapshot: None if nothing of the conversation has KV now."""
    record = _record(messages) | {
        "tokens": kept.tokens,
        "segments": [[s.text, s.num_tokens, s.ends] for s in kept.ledger.segments],
        "num_hidden": kept.num_hidden,
        "began_at": kept.began_at,
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(_CONVERSATION, json.dumps(record, ensure_ascii=False))
        if snapshot is not None:
            with archive.open(_KV, "w", force_zip64=True) as kv:
                snapshots.dump(kv, snapshot, fingerprint)
    return file.getvalue()


def unpack(
    raw: bytes, fingerprint: Fingerprint, vocab_size: int, max_kv_bytes: int
) -> tuple[list[Message], PortableTokens, Snapshot | None]:
    """What `pack` was given, without KV of more than max_kv_bytes: there would be no room for it.

    Raises ImportRefused or SnapshotRefused.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            _refuse_packed(archive)
            _check_size(archive.getinfo(_CONVERSATION).file_size)
            record = _parse(archive.read(_CONVERSATION))
            has_kv = _KV in archive.namelist()
            fits = has_kv and archive.getinfo(_KV).file_size <= max_kv_bytes
            kv = archive.read(_KV) if fits else None
    except _UNREADABLE:
        raise ImportRefused("The file is damaged, or is no WarmChat conversation.") from None
    snapshot = None if kv is None else snapshots.parse(kv, fingerprint)
    if snapshot is not None and not _are_known(snapshot.tokens, vocab_size):
        raise ImportRefused("The file's tokens do not fit this model.")
    return _messages(record), _tokens(record, vocab_size), snapshot


def _refuse_packed(archive: zipfile.ZipFile) -> None:
    """Ours are not packed, so that no small file becomes a large one. Raises ImportRefused."""
    for member in archive.infolist():
        if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
            raise ImportRefused("The file was packed again; open the one that was saved here.")


def _record(messages: Sequence[Message]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": VERSION,
        "messages": [message._asdict() for message in messages],
    }


def _check_size(num_bytes: int) -> None:
    if num_bytes > MAX_TEXT_BYTES:
        limit = f"{MAX_TEXT_BYTES >> 20} MB"
        raise ImportRefused(f"The file has more than {limit} of text; open a shorter conversation.")


def _parse(text: str | bytes) -> dict[str, Any]:
    _check_size(len(text))
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        raise ImportRefused("The file is not valid JSON.") from None
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise ImportRefused("The file is no WarmChat conversation.")
    if record.get("version") != VERSION:
        raise ImportRefused("The file was written by another version of WarmChat.")
    return record


def _messages(record: dict[str, Any]) -> list[Message]:
    try:
        return _checked([Message(m["role"], m["content"]) for m in record["messages"]])
    except (KeyError, TypeError):
        raise ImportRefused("The file's messages cannot be read.") from None


def _checked(messages: list[Message]) -> list[Message]:
    """A conversation: user and assistant in turn, complete. Raises ImportRefused."""
    roles = [message.role for message in messages]
    if len(messages) > MAX_MESSAGES:
        raise ImportRefused(
            f"The file has more than {MAX_MESSAGES:,} messages; open a shorter one."
        )
    texts_only = all(_is_text(message.content) for message in messages)
    if not messages or roles != ["user", "assistant"] * (len(roles) // 2) or not texts_only:
        raise ImportRefused("The file's messages are not questions and answers in turn.")
    return messages


def _is_text(content: object) -> bool:
    """Whether it is a string that can be stored: half a character (a lone surrogate) cannot."""
    if not isinstance(content, str):
        return False
    try:
        content.encode()
    except UnicodeEncodeError:
        return False
    return True


def _tokens(record: dict[str, Any], vocab_size: int) -> PortableTokens:
    try:
        tokens = [int(token) for token in record["tokens"]]
        segments = tuple(
            Segment(str(text), int(count), None if ends is None else tuple(map(int, ends)))
            for text, count, ends in record["segments"]
        )
        began_at = None if record.get("began_at") is None else float(record["began_at"])
        kept = PortableTokens(tokens, Ledger(segments), int(record["num_hidden"]), began_at)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise ImportRefused("The file's tokens cannot be read.") from None
    if (
        not _are_known(tokens, vocab_size)
        or kept.ledger.num_tokens != len(tokens)
        or kept.num_hidden < 0
    ):
        raise ImportRefused("The file's tokens do not fit this model.")
    return kept


def _are_known(tokens: Sequence[int], vocab_size: int) -> bool:
    return all(0 <= token < vocab_size for token in tokens)


def _shifted(content: str) -> str:
    """A line of a message that looks like one of our headings gets a backslash in front."""
    lines = content.split("\n")
    return "\n".join(
        f"\\{line}" if line.lstrip("\\") in _ROLES.values() else line for line in lines
    )


def _unshifted(content: str) -> str:
    lines = content.split("\n")
    shifted = {line for line in lines if line.startswith("\\")}
    return "\n".join(
        line[1:] if line in shifted and line.lstrip("\\") in _ROLES.values() else line
        for line in lines
    )
