"""The small signs around the chat: the greeting, what opens the drawer, how full the context is, who is signed in.

Owns: how these look, as HTML. Does not know events or components.
"""

import html

from web.languages import COOKIE, NAMES, RequestHeaders, chosen, say, spoken

_GEAR = (
    '<svg viewBox="0 0 24 24" aria-hidden="true"><path d="M4 7h10M18 7h2M4 17h2M10 17h10"/>'
    '<circle cx="16" cy="7" r="2"/><circle cx="8" cy="17" r="2"/></svg>'
)
_PULSE = '<svg viewBox="0 0 24 24" aria-hidden="true"><path d="M3 12h4l3-8 4 16 3-8h4"/></svg>'
_FLAME = (
    '<svg viewBox="0 0 24 24" fill="#fff" aria-hidden="true"><path d="M12 2c1 4 6 6.5 6 12a6 6 0 0 1-12 0c0-2.2 '
    '1-3.8 2.2-5 .3 1.8 1 2.8 2.2 3.3C10 8.5 10.2 5 12 2z"/></svg>'
)

_GREETINGS = (  # each until that hour
    (5, "greeting_evening"),
    (12, "greeting_morning"),
    (18, "greeting_afternoon"),
    (24, "greeting_evening"),
)


def account(username: str | None, language: str) -> str:
    """HTML that says who is signed in, if that is asked for here, and signs out."""
    if username is None:
        return ""
    name = html.escape(say(language, "signed_in", name=username))
    return f'{name} · <a href="logout">{html.escape(say(language, "sign_out"))}</a>'


def welcome(language: str, hour: int) -> str:
    """HTML of what an empty chat says. hour: of the reader's clock."""
    greeting = say(language, next(key for end, key in _GREETINGS if hour < end))
    return (
        f'<div class="welcome"><div class="flame">{_FLAME}</div><h2>{greeting}{say(language, "welcome")}</h2>'
        f"<p>{say(language, 'tagline')}</p></div>"
    )


def drawer_buttons(language: str) -> str:
    """HTML of the buttons that open the drawer, each at its tab."""
    buttons = "".join(
        f'<button data-tab="{tab}" aria-expanded="false" title="{label}" aria-label="{label}">{icon}</button>'
        for tab, icon in (("settings", _GEAR), ("engine", _PULSE))
        if (label := html.escape(say(language, tab)))
    )
    return f'<div class="pair">{buttons}</div>'


def draft_sign(percent: int, language: str) -> str:
    """HTML of the sign that the draft is, or is about to be, prefilled."""
    key = "draft_ready" if percent == 100 else "draft_pending"
    text = say(language, key) + (f" {percent} %" if 0 < percent < 100 else "")
    return f'<span class="{key}">{html.escape(text)}</span>'


def language_choice(headers: RequestHeaders) -> str:
    """HTML of the control that changes the language."""
    language, by_hand = spoken(headers), chosen(headers)
    names = {"": say(language, "language_auto"), **NAMES}
    options = "".join(
        f'<option value="{tag}"{" selected" if tag == (by_hand or "") else ""}>'
        f"{html.escape(name)}</option>"
        for tag, name in names.items()
    )
    label = html.escape(say(language, "language"))
    return (
        f'<label title="{label}">'
        f'<select aria-label="{label}" data-cookie="{COOKIE}">{options}</select></label>'
    )


def gauge(num_tokens: int, context_length: int, language: str) -> str:
    """HTML of how much of the context the conversation fills; nothing while it is empty."""
    if num_tokens == 0:
        return ""
    percent = min(100, max(1, round(100 * num_tokens / context_length)))
    text = html.escape(say(language, "context", percent=percent))
    exact = say(language, "context_exact", tokens=f"{num_tokens:,}", context=f"{context_length:,}")
    return (
        f'<div class="gauge" role="img" aria-label="{text}" title="{html.escape(exact)}" '
        f'style="--part: {percent}%"><i></i><span>{text}</span></div>'
    )
