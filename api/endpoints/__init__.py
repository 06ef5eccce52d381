"""What each path answers: reads a request, asks the engine, writes the reply in that surface's words.

Does not know who may ask (api.gate).
"""

from api.endpoints.chat import Chat
from api.endpoints.completions import Completions
from api.endpoints.health import Health
from api.endpoints.messages import Messages
from api.endpoints.models import Models
from api.endpoints.responses import Responses
from api.endpoints.service import Service
from api.endpoints.tokens import Tokens

__all__ = ["Chat", "Completions", "Health", "Messages", "Models", "Responses", "Service", "Tokens"]
