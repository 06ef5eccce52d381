"""What the export raises for reasons outside its own code.

Each message is one sentence or two for a person: what is wrong with which file, and the next step.
"""


class ExportError(Exception):
    """The source cannot be exported; nothing half-written is left behind."""


class HubUnreachable(ExportError):
    """The hub did not answer, or stopped doing so."""


class NotOnHub(ExportError):
    """The hub answers, but has no such model for us: unknown, private or gated."""
