"""What saves a conversation, from the menu of its row, and the button that opens a saved one.

Owns: its components and their events. Does not know what a file holds (web.events.exchange).
"""

from typing import Any, cast

import gradio as gr

from web.events import SUFFIXES, Exchange
from web.page import assets
from web.page.kept_chat import QUEUED, QUIET
from web.page.words import words

# A form, since a link would put the ticket into an address.
_SUBMIT = """(ticket) => {
  if (!ticket) return;
  const form = document.createElement('form');
  const field = document.createElement('input');
  Object.assign(form, { method: 'post', action: 'download', hidden: true });
  Object.assign(field, { name: 'ticket', value: ticket });
  form.append(field);
  document.body.append(form);
  form.submit();
  form.remove();
}"""


class ExchangeRow:
    """Made inside the row below the list; connected once the chat is there."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._export = gr.HTML(
            js_on_load=assets.text("exchange.js"), apply_default_css=False, elem_id="export"
        )
        self._ticket = gr.Textbox(visible=False)
        self._import = gr.UploadButton(
            cast(str, words("import")),
            file_types=[*SUFFIXES.values(), ".zip"],
            size="sm",
            elem_id="import",
        )

    def connect(self, on_shelf: list[Any], shown: list[Any]) -> Any:
        """on_shelf: ids and search; shown: ids, the chat, the list. Returns the event that opens a file."""
        exchange, ticket = self._exchange, self._ticket
        self._export.click(
            exchange.export, on_shelf[:1], ticket, trigger_mode="multiple", **QUEUED
        ).then(None, ticket, None, js=_SUBMIT, **QUIET)
        return self._import.upload(exchange.imported, [self._import, *on_shelf], shown, **QUEUED)
