"""Text to token ids and back: tokenizer, chat template, ledger, streaming.

Does not know sequences under way, KV or conversations.
"""

from engine.text.channels import channel_of_answers
from engine.text.chat_template import (
    THINKING,
    ChatTemplate,
    Message,
    read_chat_template,
)
from engine.text.ledger import Ledger, Plan, Segment
from engine.text.rendering import MARK, Renderer, Setting
from engine.text.special_tokens import SPLIT, escaped_offsets, plain_offsets
from engine.text.streaming import ReplyText
from engine.text.thoughts import answer_of
from engine.text.tokenizer import Tokenizer
from engine.text.tokenizer_files import read_completion_prefix, read_end_token_ids
from engine.text.wordless import CLOSE_THOUGHTS, OPEN_THOUGHTS

__all__ = [
    "CLOSE_THOUGHTS",
    "MARK",
    "OPEN_THOUGHTS",
    "SPLIT",
    "THINKING",
    "ChatTemplate",
    "Ledger",
    "Message",
    "Plan",
    "Renderer",
    "ReplyText",
    "Segment",
    "Setting",
    "Tokenizer",
    "answer_of",
    "channel_of_answers",
    "escaped_offsets",
    "plain_offsets",
    "read_chat_template",
    "read_completion_prefix",
    "read_end_token_ids",
]
