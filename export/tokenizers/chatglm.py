"""The tokenizer of ChatGLM2 and ChatGLM3: sentencepiece pieces, then special ids behind them.

The model's own code keeps the special tokens outside the sentencepiece file and inserts them as
ids. Here they are added tokens, so that a rendered chat template is encoded like any other text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from export.tokenizers.pieces import Piece, PieceKind, fast_tokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from export.tokenizers.sentencepiece_model import SentencePieceModel

# In the order of their ids, from the first one behind the pieces (64789). The model calls the
# fourth and fifth `sop` and `eop`; so spelled they would be found inside words (soprano), hence
# GLM-4's spelling.
SPECIAL_TOKENS = (
    "[MASK]",
    "[gMASK]",
    "[sMASK]",
    "<sop>",
    "<eop>",
    "<|system|>",
    "<|user|>",
    "<|assistant|>",
    "<|observation|>",
)
PROMPT_PREFIX = "[gMASK]<sop>"  # the two ids in front of every prompt
_PUBLISHED_PREFIX = "[gMASK]sop"


def chatglm_tokenizer(model: SentencePieceModel) -> Tokenizer:
    """The pieces of the `.model` file and the nine special tokens behind them."""
    special = [Piece(text, 0.0, PieceKind.CONTROL) for text in SPECIAL_TOKENS]
    return fast_tokenizer([*model.pieces, *special], space_prefix=model.space_prefix)


def respell_template(template: str) -> str:
    """A template that came with the model, in the spelling above and with the prompt's prefix.

    The model's own code adds the prefix where the template does not.
    """
    template = template.replace(_PUBLISHED_PREFIX, PROMPT_PREFIX)
    return template if "[gMASK]" in template else f"{{{{- '{PROMPT_PREFIX}' }}}}{template}"
