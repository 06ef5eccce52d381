"""Text to token ids and back, with the tokenizer and detokenizer compiled into OpenVINO models.

Owns: the two compiled models and the special tokens. Does not know: templates, sessions.
Text is encoded in pieces as a conversation grows. Tokenizers that put a space in front of what
they are given (Llama 2, ChatGLM) would do so at every piece; a piece that continues a text is
therefore encoded behind an anchor whose ids are cut off again.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from engine.scheduling import common_length
from engine.text.channels import MARKS, has_channels, spelled
from engine.text.compiled import compile_detokenizer, compile_tokenizer
from engine.text.special_tokens import REPLACEMENT, SPLIT, Escape, is_mark
from engine.text.tokenizer_files import AddedToken, read_added_tokens, read_is_nfc

_ANCHOR = "\n"


class Tokenizer:
    """A model directory's tokenizer. Single-threaded.

    special_tokens: every added token's id. escape, escape_reply: make text that people, or the
    model, wrote safe to stand in a template; escape_spoken: what the model said, with its channels.
    has_channels: the model names one in front of all it says, in marks of engine.text.channels.
    """

    def __init__(self, model_dir: Path) -> None:
        self._tokenizer = compile_tokenizer(model_dir)
        self._detokenizer = compile_detokenizer(model_dir)
        added = read_added_tokens(model_dir)
        self.special_tokens = {string: token.id for string, token in added.items()}
        self.has_channels = has_channels(added)
        marks = [*MARKS.values()] if self.has_channels else []
        strings = [s for s, token in added.items() if token.is_special or is_mark(s)]
        self.escape = Escape([*strings, *marks])
        # A reply may hold added tokens that are not special: templates look for its </think>.
        special = [s for s, token in added.items() if token.is_special]
        self.escape_reply = Escape([*special, *marks])
        self.escape_spoken = Escape(special)
        self._marks = {added[s].id: mark for s, mark in MARKS.items()} if marks else {}
        self._left_out = {token.id for token in added.values() if token.is_special}
        # Tokenizers compiled by others take and give int32, too.
        self._id_type = (
            self._detokenizer.get_compiled_model().input(0).get_element_type().to_dtype()
        )
        self._added = (0, 0)
        self._is_nfc = read_is_nfc(model_dir)
        self._end = ""
        self._added = self._find_added()
        self._end = self._find_end(added)
        self._padding = self._find_padding()
        self._anchor = self._find_anchor()

    def encode(self, text: str, *, continues: bool = False) -> list[int]:
        """Token ids of `text`; special strings in it become special tokens, but none across a SPLIT.

        continues: the text goes on from an ordinary token rather than from a special one or nothing.
        """
        if self.has_channels:
            text = spelled(text)
        first, *rest = text.split(SPLIT)
        ids = self._encode_piece(first, continues=continues)
        for piece in rest:
            ids += self._encode_piece(piece, continues=True)
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids, special tokens left out."""
        return self.decode_batch([ids])[0]

    def decode_batch(self, batch: Sequence[Sequence[int]]) -> list[str]:
        """The text of each of several runs of token ids, in one call."""
        if not self._marks:
            return self._decode_texts(batch)
        runs = [_runs(ids, self._marks) for ids in batch]
        texts = iter(self._decode_texts([run for row in runs for run in row if run]))
        marks = dict.fromkeys(map(ord, self._marks.values()), REPLACEMENT)
        joined = [[next(texts).translate(marks) if run else "" for run in row] for row in runs]
        return [_joined(ids, told, self._marks) for ids, told in zip(batch, joined, strict=True)]

    def _decode_texts(self, batch: Sequence[Sequence[int]]) -> list[str]:
        told = [[token for token in ids if token not in self._left_out] for ids in batch]
        width = max((len(ids) for ids in told), default=0)
        if width == 0:
            return [""] * len(batch)
        if self._padding is None:
            return [self._decode_rows(np.array([ids]))[0] if ids else "" for ids in told]
        padded = np.full((len(told), width), self._padding)
        for row, ids in zip(padded, told, strict=True):
            row[: len(ids)] = ids
        return self._decode_rows(padded)

    def _decode_rows(self, ids: NDArray[np.int_]) -> list[str]:
        self._detokenizer.set_input_tensor(ov.Tensor(ids.astype(self._id_type)))
        self._detokenizer.infer()
        begins, ends, told = (self._detokenizer.get_output_tensor(i).data for i in range(3))
        rows = zip(begins.tolist(), ends.tolist(), strict=True)
        return [told[begin:end].tobytes().decode("utf-8", "replace") for begin, end in rows]

    def _encode_piece(self, text: str, *, continues: bool) -> list[int]:
        if not text:
            return []
        if not continues or not self._anchor:
            return self._encode_whole(text)
        ids = self._encode_whole(_ANCHOR + text)
        assert ids[: len(self._anchor)] == self._anchor, "the anchor merged with the text behind it"
        return ids[len(self._anchor) :]

    def _encode_whole(self, text: str) -> list[int]:
        if (
            self._is_nfc
        ):  # OpenVINO's own normalisation leaves runs of combining marks in their order
            text = unicodedata.normalize("NFC", text)
        # OpenVINO's Python tensors lose the zero characters at a text's end.
        end = self._end if text.endswith("\0") else ""
        self._tokenizer.set_input_tensor(ov.Tensor([text + end]))
        self._tokenizer.infer()
        ids: list[int] = self._tokenizer.get_tensor("input_ids").data[0].tolist()
        return ids[self._added[0] : len(ids) - self._added[1] - bool(end)]

    def _find_added(self) -> tuple[int, int]:
        """How many tokens the compiled tokenizer puts around every text: templates own BOS and EOS."""
        empty, some = self._encode_whole(""), self._encode_whole("a")
        in_front = common_length(empty, some)
        return in_front, len(empty) - in_front

    def _find_anchor(self) -> list[int]:
        """The anchor's ids, or nothing when the tokenizer adds no space in front."""
        alone = self._encode_whole(_ANCHOR)
        adds_space = self._encode_whole("a") != self._encode_whole(_ANCHOR + "a")[len(alone) :]
        return alone if adds_space else []

    def _find_end(self, added: Mapping[str, AddedToken]) -> str:
        """A special string that changes nothing of the text in front of it, "" without one."""
        alone = self._encode_whole("a ")
        for text, token in added.items():
            if token.is_special and self._encode_whole(f"a {text}") == [*alone, token.id]:
                return text
        return ""

    def _find_padding(self) -> int | None:
        """A token that decodes to nothing, to fill up the rows of a batch; some detokenizers tell all."""
        tokens = self.special_tokens.values()
        return next((t for t in tokens if not self._decode_rows(np.array([[t]]))[0]), None)


def _runs(ids: Sequence[int], marks: Mapping[int, str]) -> list[list[int]]:
    """The ids in front of each mark, and those behind the last."""
    runs: list[list[int]] = [[]]
    for token in ids:
        if token in marks:
            runs.append([])
        else:
            runs[-1].append(token)
    return runs


def _joined(ids: Sequence[int], texts: Sequence[str], marks: Mapping[int, str]) -> str:
    """The texts of runs with the marks that stood between them."""
    between = [marks[token] for token in ids if token in marks]
    return texts[0] + "".join(mark + text for mark, text in zip(between, texts[1:], strict=True))
