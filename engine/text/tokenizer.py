"""Text to token ids and back, with the tokenizer and detokenizer compiled into OpenVINO models.

Owns: the two compiled models and the special tokens. Does not know: templates, sessions.
Text is encoded in pieces as a conversation grows. Tokenizers that put a space in front of what
they are given (Llama 2, ChatGLM) would do so at every piece; a piece that continues a text is
therefore encoded behind an anchor whose ids are cut off again.
"""

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import openvino as ov
import openvino_tokenizers  # noqa: F401  registers its operations with every later ov.Core()
from numpy.typing import NDArray
from openvino import opset15 as ops

from engine.errors import ModelNotFound, ModelUnsupported
from engine.scheduling import common_length
from engine.text.special_tokens import SPLIT, Escape, is_mark
from engine.text.tokenizer_files import AddedToken, read_added_tokens, read_is_nfc

_ANCHOR = "\n"


class Tokenizer:
    """A model directory's tokenizer. Single-threaded.

    special_tokens: every added token's id. escape, escape_reply: make text that people, or the
    model, wrote safe to stand in a template.
    """

    def __init__(self, model_dir: Path) -> None:
        self._tokenizer = _compile(model_dir / "openvino_tokenizer.xml")
        self._detokenizer = _compile(model_dir / "openvino_detokenizer.xml", _give_bytes)
        added = read_added_tokens(model_dir)
        self.special_tokens = {string: token.id for string, token in added.items()}
        self.escape = Escape([s for s, token in added.items() if token.is_special or is_mark(s)])
        # A reply may hold added tokens that are not special: templates look for its </think>.
        self.escape_reply = Escape([s for s, token in added.items() if token.is_special])
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


def _give_bytes(model: ov.Model) -> None:
    """Begins [rows], ends [rows] and UTF-8 [bytes] as results of a detokenizer, instead of strings.

    OpenVINO's Python tensors of strings lose the zero characters at a text's end. The model is
    changed in place: it alone keeps the library of its operations loaded.
    """
    (strings,) = model.get_results()
    packed = strings.input_value(0).get_node()
    if packed.get_type_name() != "StringTensorPack":
        raise RuntimeError(f"its last operation, {packed.get_type_name()}, gives no text")
    model.remove_result(strings)
    model.add_results([ops.result(packed.input_value(i)) for i in range(3)])


def _compile(xml: Path, change: Callable[[ov.Model], None] | None = None) -> ov.InferRequest:
    for path in (xml, xml.with_suffix(".bin")):
        if not path.is_file():
            raise ModelNotFound(
                f"{path.parent}: no {path.name} in it. Export the model again with `python -m export`."
            )
    core = ov.Core()
    try:
        model = core.read_model(xml)
        if change is not None:
            change(model)
        compiled = core.compile_model(model, "CPU", {"INFERENCE_NUM_THREADS": 1})
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise ModelUnsupported(f"{xml}: OpenVINO cannot read it: {reason}") from None
    return compiled.create_infer_request()
