"""The API for other people's programs, in OpenAI's words: they send all that was said, and only what is new is read.

Knows the engine, not the page: nothing here imports web or Gradio. Its packages: endpoints, wire.
"""

from api.app import Api
from api.gate import Access
from api.limits import Limits
from api.program import NAMED

__all__ = ["NAMED", "Access", "Api", "Limits"]
