"""Everything that the engine raises for reasons outside its own code.

    EngineError
    ├── ModelError             the model directory cannot be used
    │   ├── ModelNotFound      no such directory, or a file of it is missing
    │   └── ModelUnsupported   the files are there, the engine cannot run them
    ├── ConfigError            an option has an impossible value
    ├── RequestError           this turn cannot be taken; nothing was changed
    │   ├── EmptyMessage
    │   ├── MessageTooLong
    │   ├── GrammarRefused     what the answer should keep to cannot be used
    │   ├── SessionNotFound
    │   ├── SessionBusy        a turn is already under way in this session
    │   └── QueueFull          as many turns wait as may
    ├── EngineFault            something in the engine itself went wrong; its log says what
    └── EngineClosed           the engine is stopping or failed to start

Each message says, in English, what is wrong and what to do next. It is written for people: who shows it in
another language knows it by its words (web.languages.sentences), so whoever changes one changes it there.
"""


class EngineError(Exception):
    """Base of every error that the engine raises on purpose."""


class ModelError(EngineError):
    """The model directory cannot be used."""


class ModelNotFound(ModelError):
    """A model directory, or a file in it, is missing."""


class ModelUnsupported(ModelError):
    """The model's files are there, but the engine cannot run them."""


class ConfigError(EngineError):
    """An option has an impossible value."""


class RequestError(EngineError):
    """This turn cannot be taken; sessions and neighbours are unchanged."""


class EmptyMessage(RequestError):
    """The message holds nothing but white space."""


class MessageTooLong(RequestError):
    """The message alone does not fit into the model's context."""


class GrammarRefused(RequestError):
    """What the answer should keep to cannot be used."""


class SessionNotFound(RequestError):
    """No session of that name is open."""


class SessionBusy(RequestError):
    """A turn is already under way in this session."""


class QueueFull(RequestError):
    """As many turns wait as may."""


class EngineFault(EngineError):
    """A mistake of the engine's own ended this command or this turn; everything else goes on."""


class EngineClosed(EngineError):
    """The engine is stopping, or it failed to start."""
