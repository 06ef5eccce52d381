"""What can be done with an answer, in one row below it, and the arrows below a question.

Owns: how these look, and which class tells answers.js what a button does: of what could tell it,
Gradio's sanitiser leaves the class. What a model or a person writes can hold such buttons, too; ours are
known by a key that no message knows. Does not know what the buttons do to the conversation.
"""

import hashlib
import hmac
import html
import secrets
from collections.abc import Sequence

from engine.conversations import Entry, Node
from web.languages import say
from web.view.thoughts import answer_in

_SECRET = secrets.token_bytes()  # of this run of the program


def control_key(owner: str) -> str:
    """What tells an owner's page the buttons of ours from those that somebody has written."""
    return hmac.new(_SECRET, owner.encode(), hashlib.sha256).hexdigest()[:32]


def question_tools(question: Entry, language: str, key: str) -> str:
    """HTML of the arrows to the other versions of a message; empty if it has none."""
    arrows = _versions(question, language)
    return f'<span class="tools question-tools key-{key}">{arrows}</span>' if arrows else ""


def reply_tools(reply: Entry, line: str, *, is_last: bool, language: str, key: str) -> str:
    """HTML of what can be done with a reply. line: HTML of what it cost. is_last: nothing was said behind it."""
    tools = [_icon("copy", language)] if reply.node.content else []
    tools += _editing(reply.node, language)
    tools += _again(language) if is_last else []
    tools += [*_rating(reply.node, language), _versions(reply, language)]
    if is_last and reply.node.is_unfinished:
        tools.append(_button("go-on", say(language, "continue"), say(language, "continue_info")))
    return _row("last" if is_last else "", tools, line, key)


def plain_tools(line: str, language: str, key: str) -> str:
    """HTML of what can be done where there is no reply that stays: ask again, or take it back."""
    return _row("last", _again(language), line, key)


def _row(css_class: str, tools: Sequence[str], line: str, key: str) -> str:
    name = f"tools answer-tools {css_class}".strip()
    return f'<span class="{name} key-{key}">{"".join(tools)}{line}</span>'


def _again(language: str) -> list[str]:
    return [_icon("retry", language), _icon("undo", language)]


def _editing(reply: Node, language: str) -> list[str]:
    """The pencil, where there is an answer to be edited."""
    if reply.status == "streaming" or not answer_in(reply).strip():
        return []
    return [_button(f"icon edit edit-{reply.id}", "", say(language, "edit_answer"))]


def _icon(act: str, language: str) -> str:
    return _button(f"icon {act}", "", say(language, act))


def _versions(entry: Entry, language: str) -> str:
    versions, place = entry.versions, entry.versions.index(entry.node.id)
    if len(versions) == 1:
        return ""
    earlier = _arrow(versions[:place][-1:], "‹", say(language, "earlier"))
    later = _arrow(versions[place + 1 :][:1], "›", say(language, "later"))
    return f'<span class="versions">{earlier} {place + 1}/{len(versions)} {later}</span>'


def _arrow(target: Sequence[int], sign: str, label: str) -> str:
    if not target:
        label = html.escape(label)
        return f'<button disabled title="{label}">{sign}</button>'
    return _button(f"go-{target[0]}", sign, label)


def _rating(reply: Node, language: str) -> list[str]:
    """Two buttons, which say what they do, so that it can be done twice; the chosen one takes it back."""
    buttons = []
    for feedback, chosen_label in (("like", "liked"), ("dislike", "disliked")):
        is_chosen = reply.feedback == feedback
        label = say(language, chosen_label if is_chosen else feedback)
        css_class = f"un{feedback}-{reply.id} chosen" if is_chosen else f"{feedback}-{reply.id}"
        buttons.append(_button(f"icon rate {css_class}", "", label))
    return buttons


def _button(css_class: str, text: str, label: str) -> str:
    label, text = html.escape(label), html.escape(text)
    return f'<button class="{css_class}" title="{label}">{text}</button>'
