"""What clients send, checked field by field.

Unknown fields are ignored, as gateways send many; a value that cannot be is refused with its field's name.
Does not know the engine's turns.
"""

from api.wire.chat import ChatRequest
from api.wire.completion import CompletionRequest
from api.wire.messages import MessagesRequest
from api.wire.reading import read
from api.wire.responses import ResponsesRequest
from api.wire.sampling import Sampling
from api.wire.structured import Structured
from api.wire.tokens import DetokenizeRequest, TokenizeRequest

__all__ = [
    "ChatRequest",
    "CompletionRequest",
    "DetokenizeRequest",
    "MessagesRequest",
    "ResponsesRequest",
    "Sampling",
    "Structured",
    "TokenizeRequest",
    "read",
]
