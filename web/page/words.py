"""The page's texts as Gradio fills them in, in the browser's language."""

import gradio as gr

from web.languages import for_browser

words = gr.I18n(**for_browser())
