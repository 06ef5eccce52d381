"""The page's texts as Gradio fills them in, in the browser's language.

Gradio looks its own words up in the same tables, first: so it gets those that it has in English only.
"""

import gradio as gr

from web.languages import for_browser

_GRADIOS = {"chatbot.copy_message": "copy_message", "chatbot.copied_message": "copied"}

words = gr.I18n(
    **{
        language: table | {gradios: table[ours] for gradios, ours in _GRADIOS.items()}
        for language, table in for_browser().items()
    }
)
