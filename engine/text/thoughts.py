"""What of a reply is said to people: the text behind its thoughts.

Owns: where thoughts that stand in front of an answer end. Does not know: tokens, how they are shown.
Templates drop earlier thoughts, and so do programs that send a conversation back.
"""

from engine.text.wordless import CLOSE_THOUGHTS, OPEN_THOUGHTS


def answer_of(reply: str, *, is_opened: bool = False) -> str:
    """The answer in a reply, without white space around it; nothing where the thoughts have no end.

    is_opened: the reply begins inside the thoughts, which its prompt has opened.
    """
    start = reply.strip()
    thoughts, closing, answer = start.partition(CLOSE_THOUGHTS)
    if is_opened or start.startswith(OPEN_THOUGHTS) or (closing and OPEN_THOUGHTS not in thoughts):
        return answer.strip()
    return start
