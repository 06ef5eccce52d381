"""The model and how it is, in the page's header.

Owns: how that looks, as HTML. Does not know events or components.
"""

import html

from engine.conversations import Storage, Trouble
from web.languages import say, translated
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
_STEPS = {
    "Converting weights": "step_converting",
    "Writing the model": "step_writing",
    "Downloading": "step_download",
}


def status(startup: Startup, language: str) -> str:
    """HTML of the status in the page's header."""
    match startup.phase:
        case "exporting":
            percent = f" {startup.step.percent} %" if startup.step else ""
            text = say(language, "exporting", model=startup.model_name) + percent
        case "failed":
            text = say(language, "failed", reason=translated(startup.failure, language))
        case phase:
            text = say(language, phase, model=startup.model_name)
    shown = f'<span class="status {startup.phase}" role="status">{html.escape(text)}</span>'
    if startup.phase == "ready":
        shown += small("facts", startup.model_facts)
    if startup.choice is not None and startup.choice.note is not None:
        shown += _folded(say(language, "small_model"), say(language, startup.choice.note))
    if startup.restarts:
        shown += small("notice", say(language, "restarted"))
    if startup.engine is not None:
        shown += _storage(startup.engine.storage, language)
    if not can_chat(startup):
        shown += small("notice", say(language, "no_chat_template"))
        shown += f' <a href="completion">{html.escape(say(language, "completion"))}</a>'
    return shown


def first_start(startup: Startup, language: str) -> str:
    """HTML that says, where one looks, what the wait for a new model is for; empty once it is there."""
    if startup.phase != "exporting":
        return ""
    step = startup.step or Step("", 0)
    what = html.escape(_step(step, language) or say(language, "step_begin"))
    return (
        f'<div class="first-start"><p class="step">{what}</p>'
        f'<progress max="100" value="{step.percent}" aria-label="{what}"></progress>'
        f"<p>{html.escape(say(language, 'first_start'))}</p></div>"
    )


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


def _step(step: Step, language: str) -> str:
    """A step of the export; one without words of ours is named as the export does."""
    what, _, of = (
        step.what.partition(" ") if step.what.startswith("Downloading ") else (step.what, "", "")
    )
    text = say(language, _STEPS[what]) if what in _STEPS else what
    return f"{text} {of} {step.percent} %".replace("  ", " ") if text else ""


def _folded(short: str, long: str) -> str:
    return (
        f'<details class="notice"><summary>{html.escape(short)}</summary>'
        f"<p>{html.escape(long)}</p></details>"
    )
