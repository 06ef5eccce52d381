"""The small signs around the chat: the model's status, who is signed in, the choice of language.

Owns: how these look, as HTML. Does not know events or components.
"""

import html

from engine.conversations import Storage, Trouble
from web.languages import COOKIE, NAMES, RequestHeaders, chosen, say, spoken
from web.startup import Startup, Step
from web.view.spans import small

_TROUBLES = {
    Trouble.BUSY: "trouble_busy",
    Trouble.FULL: "trouble_full",
    Trouble.READ_ONLY: "trouble_read_only",
    Trouble.UNOPENABLE: "trouble_unopenable",
    Trouble.DENIED: "trouble_denied",
    Trouble.DAMAGED: "trouble_damaged",
    Trouble.FOREIGN: "trouble_foreign",
    Trouble.NEWER: "trouble_newer",
    Trouble.BROKEN: "trouble_broken",
    Trouble.GONE: "trouble_gone",
    Trouble.UNKNOWN: "trouble_unknown",
}
_GEAR = (
    '<svg viewBox="0 0 24 24" aria-hidden="true"><path d="M4 7h10M18 7h2M4 17h2M10 17h10"/>'
    '<circle cx="16" cy="7" r="2"/><circle cx="8" cy="17" r="2"/></svg>'
)
_PULSE = '<svg viewBox="0 0 24 24" aria-hidden="true"><path d="M3 12h4l3-8 4 16 3-8h4"/></svg>'
_FLAME = (
    '<svg viewBox="0 0 24 24" fill="#fff" aria-hidden="true"><path d="M12 2c1 4 6 6.5 6 12a6 6 0 0 1-12 0c0-2.2 '
    '1-3.8 2.2-5 .3 1.8 1 2.8 2.2 3.3C10 8.5 10.2 5 12 2z"/></svg>'
)
_STEPS = {
    "Converting weights": "step_converting",
    "Writing the model": "step_writing",
    "Downloading": "step_download",
}


def status(startup: Startup, language: str) -> str:
    """HTML of the status in the page's header."""
    match startup.phase:
        case "exporting":
            step = f" {_step(startup.step, language)}" if startup.step else ""
            text = say(language, "exporting", model=startup.model_name) + step
        case "failed":
            text = say(language, "failed", reason=startup.failure)
        case phase:
            text = say(language, phase, model=startup.model_name)
    shown = f'<span class="status {startup.phase}" role="status">{html.escape(text)}</span>'
    if startup.choice is not None and startup.choice.note is not None:
        shown += small("notice", say(language, startup.choice.note))
    if startup.restarts:
        shown += small("notice", say(language, "restarted"))
    if startup.engine is not None:
        shown += _storage(startup.engine.storage, language)
    if not can_chat(startup):
        shown += small("notice", say(language, "no_chat_template"))
        shown += f' <a href="completion">{html.escape(say(language, "completion"))}</a>'
    return shown


def _storage(storage: Storage, language: str) -> str:
    """HTML that says what is not stored, or was lost, until that is no longer so."""
    shown = ""
    if storage.trouble is not None:
        key = "stored_nowhere" if storage.is_lasting else "stored_later"
        reason = say(language, _TROUBLES[storage.trouble])
        shown += small("notice", say(language, key, reason=reason))
    if (recovery := storage.recovery) is not None:
        values = {"conversations": recovery.conversations, "messages": recovery.messages}
        shown += small("notice", say(language, "recovered", **values, copy=recovery.copy))
    return shown


def can_chat(startup: Startup) -> bool:
    """Whether the model, as far as it is known, can hold a conversation."""
    engine = startup.engine
    return engine is None or startup.phase != "ready" or engine.info.has_chat_template


def account(username: str | None, language: str) -> str:
    """HTML that says who is signed in, if that is asked for here, and signs out."""
    if username is None:
        return ""
    name = html.escape(say(language, "signed_in", name=username))
    return f'{name} · <a href="logout">{html.escape(say(language, "sign_out"))}</a>'


def _step(step: Step, language: str) -> str:
    """A step of the export; one without words of ours is named as the export does."""
    what, _, of = (
        step.what.partition(" ") if step.what.startswith("Downloading ") else (step.what, "", "")
    )
    text = say(language, _STEPS[what]) if what in _STEPS else what
    return f"{text} {of} {step.percent} %".replace("  ", " ")


def welcome(language: str) -> str:
    """HTML of what an empty chat says."""
    return (
        f'<div class="welcome"><div class="flame">{_FLAME}</div><h2>{say(language, "welcome")}</h2>'
        f"<p>{say(language, 'tagline')}</p><p>{say(language, 'welcome_more')}</p></div>"
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
