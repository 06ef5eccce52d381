"""How a model's tokenizer marks its thoughts. Does not know: grammars."""

from engine.grammars.constraint import Thoughts
from engine.text import CLOSE_THOUGHTS, OPEN_THOUGHTS, Tokenizer, channel_of_answers


def thoughts_of(tokenizer: Tokenizer) -> Thoughts | None:
    """The tokens around a model's thoughts; None where they are not single ones."""
    known = tokenizer.special_tokens
    if tokenizer.has_channels:
        final = channel_of_answers()
        return Thoughts(tokenizer.encode(final)[0], tuple(tokenizer.encode(final)))
    if OPEN_THOUGHTS in known and CLOSE_THOUGHTS in known:
        return Thoughts(known[OPEN_THOUGHTS], (known[CLOSE_THOUGHTS],))
    return None
