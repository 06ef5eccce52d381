"""Whether a compiled tokenizer gives the ids and the text of its tokenizer.json.

Looked at when it is made, on export.tokenizers.corpus. What OpenVINO's operations cannot do becomes a
sentence with the piece: a warning where it concerns a rare text, an error where it concerns special
tokens, or more texts than RARE.
"""

from __future__ import annotations

import json
import logging
import unicodedata
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import openvino as ov
import openvino_tokenizers  # noqa: F401  registers its operations with every later ov.Core()

from export.errors import ExportError
from export.tokenizers import corpus

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from tokenizers import Tokenizer

RARE = 0.02  # of the texts
_BATCH = 64
_SHOWN = 60
log = logging.getLogger(__name__)


class Difference(NamedTuple):
    """A text of which the compiled tokenizer makes something else."""

    text: str
    ids: list[int]
    expected: list[int]

    def concerns(self, special: Collection[int]) -> bool:
        """Whether other special tokens come out."""
        ours, theirs = (
            [token for token in ids if token in special] for ids in (self.ids, self.expected)
        )
        return ours != theirs


def check(tokenizer: Tokenizer, encode: ov.Model, decode: ov.Model) -> None:
    """Warn of rare differences; raise ExportError for those that a model cannot be used with."""
    texts = texts_for(tokenizer)
    found = differences(tokenizer, encode, decode, texts)
    if not found:
        return
    added = tokenizer.get_added_tokens_decoder()
    special = {index for index, token in added.items() if token.special}
    of_special = [difference for difference in found if difference.concerns(special)]
    shown = min(of_special or found, key=lambda difference: len(difference.text))
    said = (
        f"{len(found)} of {len(texts)} texts differ from tokenizer.json, such as "
        f"{shown.text[:_SHOWN]!r}: {shown.ids[:_SHOWN]} for {shown.expected[:_SHOWN]}"
    )
    if of_special or len(found) > RARE * len(texts):
        raise ExportError(
            f"OpenVINO cannot do what this tokenizer does: {said}. Please report the model's name."
        )
    log.warning("The compiled tokenizer is not exact: %s.", said)


def texts_for(tokenizer: Tokenizer) -> list[str]:
    """What a tokenizer is tried on, as the engine gives it.

    The engine brings texts into NFC itself, since OpenVINO's own leaves runs of marks in their order.
    """
    texts = corpus.texts([token.content for token in tokenizer.get_added_tokens_decoder().values()])
    if not is_nfc(tokenizer):
        return texts
    return [unicodedata.normalize("NFC", text) for text in texts]


def is_nfc(tokenizer: Tokenizer) -> bool:
    """Whether texts are brought into Unicode's form NFC, and nothing else is done to them."""
    normalizer = json.loads(tokenizer.to_str())["normalizer"] or {}
    steps = normalizer.get("normalizers", [normalizer])
    return [step.get("type") for step in steps] == ["NFC"]


def differences(
    tokenizer: Tokenizer, encode: ov.Model, decode: ov.Model, texts: Sequence[str]
) -> list[Difference]:
    """The texts whose ids, or whose text made of them again, are not those of `tokenizer`.

    A compiled tokenizer that puts special tokens around texts is held against one that does.
    """
    core = ov.Core()
    to_ids, to_text = (core.compile_model(model, "CPU") for model in (encode, decode))
    adds = bool(_ids(to_ids, [""])[0])
    found: list[Difference] = []
    for start in range(0, len(texts), _BATCH):
        batch = list(texts[start : start + _BATCH])
        expected = [
            encoding.ids for encoding in tokenizer.encode_batch(batch, add_special_tokens=adds)
        ]
        ids = _ids(to_ids, batch)
        again = _texts(to_text, expected)
        wanted = tokenizer.decode_batch(expected)
        found += [
            Difference(*entry[:3])
            for entry in zip(batch, ids, expected, again, wanted, strict=True)
            if entry[1] != entry[2] or entry[3].rstrip("\0") != entry[4].rstrip("\0")
        ]
    return found


def _ids(to_ids: ov.CompiledModel, batch: list[str]) -> list[list[int]]:
    outputs = to_ids(ov.Tensor(batch))
    rows = zip(outputs["input_ids"], outputs["attention_mask"], strict=True)
    return [ids[mask.astype(bool)].tolist() for ids, mask in rows]


def _texts(to_text: ov.CompiledModel, batch: list[list[int]]) -> list[str]:
    kind = to_text.input(0).get_element_type().to_dtype()
    return [str(to_text(np.array([ids], kind))[0][0]) if ids else "" for ids in batch]
