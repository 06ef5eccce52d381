"""The scripts that run in one scope, as if they were one file."""

import re
from collections import Counter

from web.page import assets, column
from web.page.sidebar import SCRIPTS

TOP = re.compile(r"^(?:async )?(?:function\*?|const|let|class) (\w+)", re.MULTILINE)
COMMENTS = re.compile(r"^(?://.*\n)+")


def test_what_a_script_names_is_its_own() -> None:
    """Otherwise a function within braces takes the place of another file's of that name."""
    together = column.scripts() + assets.text(*SCRIPTS)
    assert COMMENTS.sub("", together).startswith("'use strict';")
    twice = {name: number for name, number in Counter(TOP.findall(together)).items() if number > 1}
    assert twice == {}
