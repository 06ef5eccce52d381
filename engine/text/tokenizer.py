"""Text to token ids and back, with the tokenizer and detokenizer compiled into OpenVINO models.

Owns: the two compiled models and the special tokens. Does not know: templates, sessions.
Text is encoded in pieces as a conversation grows. Tokenizers that put a space in front of what
they are given (Llama 2, ChatGLM) would do so at every piece; a piece that continues a text is
therefore encoded behind an anchor whose ids are cut off again.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import openvino as ov
import openvino_tokenizers  # noqa: F401  registers its operations with every later ov.Core()

from engine.errors import ModelNotFound, ModelUnsupported
from engine.scheduling import common_length
from engine.text.special_tokens import SPLIT, Escape, read_added_tokens

_ANCHOR = "\n"


class Tokenizer:
    """A model directory's tokenizer. Single-threaded.

    special_tokens: every added token's id. escape, escape_reply: make text that people, or the
    model, wrote safe to stand in a template.
    """

    def __init__(self, model_dir: Path) -> None:
        self._tokenizer = _compile(model_dir / "openvino_tokenizer.xml")
        self._detokenizer = _compile(model_dir / "openvino_detokenizer.xml")
        added = read_added_tokens(model_dir)
        self.special_tokens = {string: token.id for string, token in added.items()}
        self.escape = Escape(list(added))
        # A reply may hold added tokens that are not special: templates look for its </think>.
        self.escape_reply = Escape([s for s, token in added.items() if token.is_special])
        self._added = (0, 0)
        self._added = self._find_added()
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
        width = max((len(ids) for ids in batch), default=0)
        if width == 0:
            return [""] * len(batch)
        padded = np.full((len(batch), width), self._padding, np.int64)
        for row, ids in zip(padded, batch, strict=True):
            row[: len(ids)] = ids
        self._detokenizer.set_input_tensor(ov.Tensor(padded))
        self._detokenizer.infer()
        return [str(text) for text in self._detokenizer.get_output_tensor(0).str_data]

    def _encode_piece(self, text: str, *, continues: bool) -> list[int]:
        if not text:
            return []
        if not continues or not self._anchor:
            return self._encode_whole(text)
        ids = self._encode_whole(_ANCHOR + text)
        assert ids[: len(self._anchor)] == self._anchor, "the anchor merged with the text behind it"
        return ids[len(self._anchor) :]

    def _encode_whole(self, text: str) -> list[int]:
        self._tokenizer.set_input_tensor(ov.Tensor([text]))
        self._tokenizer.infer()
        ids: list[int] = self._tokenizer.get_tensor("input_ids").data[0].tolist()
        return ids[self._added[0] : len(ids) - self._added[1]]

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

    def _find_padding(self) -> int:
        """A token that decodes to nothing, to fill up the rows of a batch."""
        for token in self.special_tokens.values():
            self._detokenizer.set_input_tensor(ov.Tensor(np.array([[token]], np.int64)))
            self._detokenizer.infer()
            if not self._detokenizer.get_output_tensor(0).str_data[0]:
                return token
        raise ModelUnsupported("The tokenizer has no special token that decodes to nothing.")


def _compile(xml: Path) -> ov.InferRequest:
    for path in (xml, xml.with_suffix(".bin")):
        if not path.is_file():
            raise ModelNotFound(
                f"{path.parent}: no {path.name} in it. Export the model again with `python -m export`."
            )
    try:
        compiled = ov.Core().compile_model(xml, "CPU", {"INFERENCE_NUM_THREADS": 1})
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise ModelUnsupported(f"{xml}: OpenVINO cannot read it: {reason}") from None
    return compiled.create_infer_request()
