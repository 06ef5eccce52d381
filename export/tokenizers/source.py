"""What every reader of a tokenizer format hands on: one fast tokenizer and its special tokens.

Owns the list of strings that end a turn. Does not know where the tokenizer came from, nor what is
written from it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tokenizers import Tokenizer

END_OF_TURN = (
    "<|im_end|>",  # ChatML: Qwen, SmolLM2
    "<|endoftext|>",
    "<|eot_id|>",  # Llama 3
    "<|eom_id|>",
    "<|end_of_text|>",
    "<|end|>",
    "<end_of_turn>",
    "<|return|>",
    "<｜end▁of▁sentence｜>",
)
GLM_END_OF_TURN = (
    "<|user|>",
    "<|observation|>",
)  # GLM opens the next role instead of closing its own

HARMONY_BETWEEN_MESSAGES = (
    "<|end|>",
)  # gpt-oss closes its thoughts so; its turn ends in <|return|>


@dataclass(frozen=True)
class TokenizerSource:
    """A tokenizer ready to be compiled.

    `eos_token_ids` holds every id after which the model's turn is over, `eos_token` first.
    `completion_prefix` is the special text in front of a plain completion, such as "<s>".
    `additional_special_tokens` are those that some templates ask for by their place in the list.
    `chat_template` is Jinja source, None for a base model.
    """

    tokenizer: Tokenizer = field(repr=False)
    bos_token: str | None = None
    eos_token: str | None = None
    pad_token: str | None = None
    unk_token: str | None = None
    eos_token_ids: tuple[int, ...] = ()
    completion_prefix: str = ""
    additional_special_tokens: tuple[str, ...] = ()
    chat_template: str | None = None


def end_of_turn_ids(tokenizer: Tokenizer, declared: Iterable[int | None]) -> tuple[int, ...]:
    """The declared ids in their order, then those of the known end-of-turn strings."""
    added = {token.content: i for i, token in tokenizer.get_added_tokens_decoder().items()}
    known = END_OF_TURN + (GLM_END_OF_TURN if "[gMASK]" in added else ())
    between = HARMONY_BETWEEN_MESSAGES if "<|return|>" in added else ()
    ids = [*declared, *(added[text] for text in known if text in added and text not in between)]
    return tuple(dict.fromkeys(i for i in ids if i is not None))
