"""What stands between the socket and Gradio: requests that cannot be are refused with a sentence.

Knows the routes of Gradio and the shape of what they take; does not know what the page's events do.
Everything is plain ASGI, so that streams pass through unbuffered.
"""

from web.gate.bodies import Bodies
from web.gate.calls import Calls
from web.gate.claims import Owned
from web.gate.errors import log_briefly
from web.gate.mailboxes import keep_mail
from web.gate.sign_in import SignIn

__all__ = ["Bodies", "Calls", "Owned", "SignIn", "keep_mail", "log_briefly"]
