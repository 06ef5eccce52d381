"""The tokenizer that a GGUF file carries in its `tokenizer.ggml.*` metadata.

Two kinds: "gpt2" (byte-level BPE with a merge list and a named pre-tokenizer) and "llama"
(sentencepiece pieces with scores). Keys: the GGUF specification, "Tokenizer". Knows no weights.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenizers import Tokenizer, decoders, models

from export.errors import ExportError
from export.templates import gguf_template
from export.tokenizers import pretokenizers
from export.tokenizers.gguf_marks import with_marks
from export.tokenizers.pieces import Piece, PieceKind, add_tokens, fast_tokenizer
from export.tokenizers.source import TokenizerSource, end_of_turn_ids

if TYPE_CHECKING:
    from gguf import GGUFReader

_END_KEYS = ("ggml.eos_token_id", "ggml.eot_token_id", "ggml.eom_token_id")
_NAMED_KEYS = (*_END_KEYS, "ggml.bos_token_id", "ggml.padding_token_id")
# Files from before May 2024 do not name their pre-tokenizer; of these tokens it follows.
_TELLING = {"<|begin_of_text|>": "llama-bpe"}


def from_gguf(reader: GGUFReader) -> TokenizerSource:
    """Build the tokenizer of an opened GGUF file; ExportError where it cannot be reproduced."""
    metadata = _Metadata(reader)
    pieces = _pieces(metadata)
    tokenizer = _builder(metadata)(metadata, pieces)
    return TokenizerSource(
        tokenizer=tokenizer,
        bos_token=_token(metadata, pieces, "bos"),
        eos_token=_token(metadata, pieces, "eos"),
        pad_token=_token(metadata, pieces, "padding"),
        unk_token=_token(metadata, pieces, "unknown"),
        eos_token_ids=end_of_turn_ids(tokenizer, map(metadata.get, _END_KEYS)),
        completion_prefix=_completion_prefix(metadata, pieces),
        chat_template=gguf_template(metadata.get),
    )


class _Metadata:
    """Typed access to the `tokenizer.` keys, with the file's name for messages."""

    def __init__(self, reader: GGUFReader) -> None:
        self._fields = reader.fields
        self.name = Path(getattr(reader.data, "filename", None) or "the GGUF file").name

    def get(self, key: str) -> Any:
        field = self._fields.get(f"tokenizer.{key}")
        if field is None:
            return None
        try:
            return field.contents()
        except UnicodeDecodeError as error:
            raise ExportError(
                f"{self.name}: tokenizer.{key} is not valid text; the file is damaged, fetch it again."
            ) from error

    def require(self, key: str) -> Any:
        if (found := self.get(key)) is None:
            raise ExportError(
                f"{self.name} carries no tokenizer.{key}, so its tokenizer cannot be built; "
                "use a complete GGUF file."
            )
        return found


def _builder(metadata: _Metadata) -> Any:
    kind = metadata.require("ggml.model")
    builders = {"gpt2": _byte_level_bpe, "llama": _sentencepiece_bpe}
    if kind not in builders:
        raise ExportError(
            f"{metadata.name} has a tokenizer of kind '{kind}'; supported are "
            f"{', '.join(builders)}. Export from the original model instead."
        )
    return builders[kind]


def _pieces(metadata: _Metadata) -> list[Piece]:
    texts = metadata.require("ggml.tokens")
    scores = metadata.get("ggml.scores") or [0.0] * len(texts)
    kinds = metadata.get("ggml.token_type") or [int(PieceKind.NORMAL)] * len(texts)
    if not len(texts) == len(scores) == len(kinds):
        raise ExportError(
            f"{metadata.name}: {len(texts)} tokens, {len(scores)} scores and {len(kinds)} types do not "
            "fit together; fetch the file again."
        )
    if len(set(texts)) < len(texts):
        twice, _ = Counter(texts).most_common(1)[0]
        raise ExportError(
            f"{metadata.name}: the token {twice!r} stands twice in the vocabulary, so that its id is "
            "not known; the file was converted wrongly, get another one."
        )
    pieces = [Piece(*entry) for entry in zip(texts, scores, kinds, strict=True)]
    named = {index for key in _NAMED_KEYS if (index := metadata.get(key)) is not None}
    return with_marks(pieces, gguf_template(metadata.get) or "", named)


def _pre_tokenizer(metadata: _Metadata) -> pretokenizers.PreTokenizer:
    name = metadata.get("ggml.pre")
    if name is None:
        tokens = set(metadata.require("ggml.tokens"))
        name = next((pre for token, pre in _TELLING.items() if token in tokens), None)
    if name is None:
        raise ExportError(
            f"{metadata.name} does not say how its tokenizer cuts words (tokenizer.ggml.pre), as files "
            "from before May 2024; get a newer file, or export from the original model."
        )
    return pretokenizers.named_pre_tokenizer(name)


def _byte_level_bpe(metadata: _Metadata, pieces: list[Piece]) -> Tokenizer:
    pre = _pre_tokenizer(metadata)
    vocab = {piece.text: i for i, piece in enumerate(pieces)}
    merges = _merges(metadata, vocab)
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges, ignore_merges=pre.ignore_merges))
    if (normalizer := pretokenizers.normalizer(pre)) is not None:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pretokenizers.pipeline(pre.passes)
    tokenizer.decoder = decoders.ByteLevel()
    add_tokens(tokenizer, pieces)
    return tokenizer


def _merges(metadata: _Metadata, vocab: dict[str, int]) -> list[tuple[str, str]]:
    # Checked here: a merge that does not fit makes the library panic, past every `except`.
    merges = []
    for merge in metadata.require("ggml.merges"):
        left, _, right = merge.partition(" ")
        if not {left, right, left + right} <= vocab.keys():
            raise ExportError(
                f"{metadata.name}: the merge '{merge}' does not fit the tokens; fetch the file again."
            )
        merges.append((left, right))
    return merges


def _sentencepiece_bpe(metadata: _Metadata, pieces: list[Piece]) -> Tokenizer:
    metadata.require("ggml.scores")
    prefix = metadata.get("ggml.add_space_prefix")
    return fast_tokenizer(pieces, space_prefix=True if prefix is None else bool(prefix))


def _token(metadata: _Metadata, pieces: list[Piece], name: str) -> str | None:
    index = metadata.get(f"ggml.{name}_token_id")
    if index is None:
        return None
    if not 0 <= index < len(pieces):
        raise ExportError(
            f"{metadata.name}: the {name} token is number {index} of {len(pieces)} tokens; "
            "the file is damaged, fetch it again."
        )
    text: str = pieces[index].text
    return text


def _completion_prefix(metadata: _Metadata, pieces: list[Piece]) -> str:
    add_bos = metadata.get("ggml.add_bos_token")
    if add_bos is None:  # as llama.cpp takes it where the file does not say
        is_llama = metadata.get("ggml.model") == "llama"
        add_bos = is_llama or _pre_tokenizer(metadata).adds_bos
    return _token(metadata, pieces, "bos") or "" if add_bos else ""
