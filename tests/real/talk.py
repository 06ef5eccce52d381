"""A conversation for the real model, and how much rounding may change of what it says next."""

NOISE = 0.6  # logits; what int8 may take from the most probable token's lead
TALK = """<|im_start|>user
Tell me a short story about a lighthouse keeper.<|im_end|>
<|im_start|>assistant
Once upon a time, there was a lighthouse keeper named Thomas who lived alone on a small island. Every
evening he climbed the stairs to light the lamp, and every morning he put it out again. He had no
company but the gulls and the sound of the waves. One night a storm came, and through the rain he saw
the lights of a ship that had lost its way. He rang the bell until his arms were tired.<|im_end|>
<|im_start|>user
What is the capital of France?<|im_end|>
<|im_start|>assistant
The capital of France is Paris.<|im_end|>
"""
