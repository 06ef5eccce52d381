r"""Patterns of tokenizer.json, which the tokenizers library gives to Oniguruma, for OpenVINO's PCRE2.

They differ in what white space is: PCRE2's \s still has U+180E, which is none since Unicode 6.3.
"""

from __future__ import annotations

import re

_SPACES = r"\t-\r\x{85}\p{Z}"
# An escaped character, or a bracket, which says whether \s stands inside a class.
_PART = re.compile(r"\\.|\[\^?\]?|\]", re.DOTALL)


def for_pcre2(pattern: str) -> str:
    """The pattern that matches in PCRE2 what `pattern` matches in Oniguruma."""
    in_class = False

    def rewritten(part: re.Match[str]) -> str:
        nonlocal in_class
        text = part[0]
        if text.startswith("["):
            in_class = True
        elif text == "]":
            in_class = False
        elif text == r"\s":
            return _SPACES if in_class else f"[{_SPACES}]"
        elif text == r"\S" and not in_class:
            return f"[^{_SPACES}]"
        return text

    return _PART.sub(rewritten, pattern)
