"""What is written, as the column of messages shows it: typed words, mathematics, tables, tasks and code."""

import re

from playwright.sync_api import Page, expect

from engine.events import Prefilling
from tests.browser.conftest import Visitor
from tests.browser.page import answer_text, answers, ask, finished, known, send, tool, words
from tests.scripted import HOLD, End, Say, Tell
from tests.scripted.app import ScriptedApp

TYPED = "---\n# x\n  * a  <channel>\n\n<script>window.ran = 1</script> `$a$` for $5"
FORMULAS = r"""Let \( x = \sqrt{y} \) and $E = mc^2$, so
\[ x = \frac{1}{2} \]
$$y^2$$
It costs $5 and $10. Explain <channel> in XML, or `\(code\)` and <script>window.ran = 1</script>."""
RICH = """| language | what it is for and a few words more |
|---|---|
| PythonWithANameThatIsLongerThanAPhone | numbers and machinesThatLearnSomething |

- [x] done
- [ ] to do

```python
print("a line that is far too long for a phone, and goes on, and on, and on, and on")
```

```
plain
```
"""


def test_what_is_typed_is_shown_as_typed_and_comes_back_exactly(
    page: Page, app: ScriptedApp
) -> None:
    ask(page, TYPED)
    assert words(page).text_content() == TYPED
    tool(page, "Retry").click()
    expect(page.locator("#chat .versions")).to_contain_text("2/2")
    finished(page)
    assert app.script.asked == [TYPED, TYPED]
    page.locator("#chat").get_by_label("Edit").first.click()
    edited = page.locator("#chat textarea")
    expect(edited).to_have_value(TYPED)
    edited.fill(TYPED + "\n  !")
    page.locator("#chat").get_by_label("Submit").first.click()
    expect(words(page)).to_contain_text("!")
    finished(page)
    assert app.script.asked[-1] == TYPED + "\n  !"
    assert page.evaluate("window.ran") is None


def test_mathematics_is_rendered_and_prices_and_tags_are_not(page: Page, app: ScriptedApp) -> None:
    app.script.write(Say(FORMULAS))
    ask(page, r"Is $x^2$ more than \(x\), or $5?")
    expect(words(page).locator(".katex")).to_have_count(2)
    expect(words(page)).to_contain_text("or $5?")
    answer = answers(page).last
    expect(answer.locator(".katex")).to_have_count(4)
    expect(answer.locator(".katex-display")).to_have_count(2)
    expect(answer).to_contain_text("It costs $5 and $10. Explain <channel> in XML, or")
    expect(answer).to_contain_text("<script>window.ran = 1</script>")
    expect(answer.locator("code")).to_have_text(r"\(code\)")
    assert page.evaluate("window.ran") is None


def test_a_formula_is_shown_once_it_is_whole(page: Page, app: ScriptedApp) -> None:
    app.script.write(Say("Thus"), HOLD)
    send(page, "Hi")
    expect(answers(page).last).to_contain_text("Thus")
    app.script.tell(Say(r" follows \( x = \fra"))
    expect(answers(page).last).to_contain_text("follows")
    assert answer_text(page) == "Thus follows"
    app.script.tell(Say(r"c{1}{2} \)."), End())
    expect(answers(page).last.locator(".katex")).to_have_count(1)


def test_copying_takes_what_was_written(page: Page, app: ScriptedApp) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    app.script.write(Say(FORMULAS))
    ask(page, TYPED)
    tool(page, "Copy").click()
    page.wait_for_function("navigator.clipboard.readText().then((text) => text.length > 0)")
    assert page.evaluate("navigator.clipboard.readText()") == FORMULAS
    page.locator("#chat").get_by_label("Copy message").first.click()
    page.wait_for_function("navigator.clipboard.readText().then((text) => text.startsWith('---'))")
    assert page.evaluate("navigator.clipboard.readText()") == TYPED


def test_tables_tasks_and_code_hold_on_a_phone(visitor: Visitor, app: ScriptedApp) -> None:
    page = visitor(app.url, "zh-CN", viewport={"width": 390, "height": 844}, has_touch=True)
    known(page)
    app.script.write(Say(RICH))
    ask(page, "Hi")
    table = page.locator("#chat table")
    assert table.evaluate("table => table.scrollWidth > table.clientWidth")
    page.wait_for_function("document.scrollingElement.scrollWidth <= window.innerWidth")
    cell = table.get_by_text("PythonWithANameThatIsLongerThanAPhone")
    assert cell.evaluate("cell => cell.getClientRects().length") == 1
    done, todo = page.locator("#chat li input").all()
    ticked, plain = (
        box.evaluate("box => getComputedStyle(box).backgroundImage") for box in (done, todo)
    )
    assert "svg" in ticked
    assert plain == "none"
    first, second = page.locator("#chat .code_wrap").all()
    assert first.evaluate("e => getComputedStyle(e, '::before').content") == '"python"'
    expect(first.get_by_role("button", name="复制")).to_be_visible()
    above, below = first.bounding_box(), second.bounding_box()
    assert above is not None
    assert below is not None
    assert round(below["y"] - above["y"] - above["height"]) == 12
    long = first.locator("pre")
    assert long.evaluate("pre => pre.scrollWidth > pre.clientWidth")


def test_code_is_copied_without_its_header(page: Page, app: ScriptedApp) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    app.script.write(Say("```python\nx = '$a$ <b>'\n```"))
    ask(page, "Hi")
    page.locator("#chat .code_wrap").get_by_role("button", name="Copy").click()
    page.wait_for_function("navigator.clipboard.readText().then((text) => text.length > 0)")
    assert page.evaluate("navigator.clipboard.readText()") == "x = '$a$ <b>'"


def test_nothing_of_gradios_floats_over_the_messages(page: Page) -> None:
    ask(page, "Hi")
    expect(page.locator("#chat").get_by_label(re.compile("^Clear"))).to_be_hidden()
    expect(page.locator("#chat .message-buttons-left")).to_be_hidden()


def test_the_box_for_editing_is_as_wide_as_the_column_and_five_lines_high(page: Page) -> None:
    ask(page, "Hi")
    page.locator("#chat").get_by_label("Edit").first.click()
    edited, column = page.locator("#chat textarea"), page.locator("#chat .message-wrap")
    height, line = edited.evaluate(
        "box => [box.clientHeight, parseFloat(getComputedStyle(box).lineHeight)]"
    )
    assert height >= 5 * line
    width = column.evaluate("wrap => wrap.clientWidth")
    assert edited.evaluate("box => box.offsetWidth") == width


def test_until_the_first_word_comes_it_is_said_what_is_waited_for(
    page: Page, app: ScriptedApp
) -> None:
    app.script.write(Tell(Prefilling(2, 5)), HOLD)
    send(page, "Hi")
    expect(answers(page).last).to_have_text(re.compile("Reading … 40 %"))
    expect(answers(page).last.locator(".dots i")).to_have_count(3)
    expect(page.locator("#chat .thought-group")).to_have_count(0)
    app.script.tell(Say("Yes."), End())
    finished(page)
    expect(page.locator("#chat .dots")).to_have_count(0)


def test_the_head_of_a_table_is_told_from_its_rows(page: Page, app: ScriptedApp) -> None:
    app.script.write(Say(RICH))
    ask(page, "Hi")
    fill = "cell => getComputedStyle(cell).backgroundColor"
    head, row = (page.locator(f"#chat {name}").first.evaluate(fill) for name in ("th", "td"))
    assert head != row
    border = "row => getComputedStyle(row).borderBottomWidth"
    assert page.locator("#chat tbody td").last.evaluate(border) == "0px"
