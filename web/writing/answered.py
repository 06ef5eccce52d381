"""An answer as Gradio's Markdown is to get it: code as it is, formulas marked, angle brackets shown.

Owns: the order of these. Does not know where the answer comes from.
"""

from web.writing import code, mathematics, tags


def answered(text: str, *, is_over: bool = True) -> str:
    """The Markdown of an answer. is_over: nothing more comes, so what is open at the end stays so.

    While more comes, a formula that is open at the end is left out: half of one shows as something else.
    """
    pieces = list(code.parts(text))
    if not is_over and pieces and not pieces[-1][0]:
        pieces[-1] = (False, mathematics.without_open(pieces[-1][1]))
    return "".join(piece if is_code else _prose(piece) for is_code, piece in pieces)


def _prose(text: str) -> str:
    return "".join(
        piece if is_formula else tags.shown(piece) for is_formula, piece in mathematics.pieces(text)
    )
