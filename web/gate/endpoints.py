"""Whether a call of an endpoint, or of an event of the page, has values of the right count and kind.

Owns: which function of Gradio's a call means, and what a component can be given. Pure; does not know HTTP.
"""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr
from gradio.block_function import BlockFunction

from web.gate.refusals import Refused

MAX_DEPTH = 32

Functions = Mapping[int, BlockFunction]
# What a component is given; others check for themselves, or their function does.
_KINDS: dict[type, tuple[str, tuple[type, ...]]] = {
    gr.Textbox: ("call_not_text", (str,)),
    gr.Slider: ("call_not_number", (int, float)),
    gr.Number: ("call_not_number", (int, float)),
    gr.Checkbox: ("call_not_truth", (bool,)),
    gr.Dataset: ("call_not_number", (int,)),
    gr.Dropdown: ("call_not_text", (str,)),
    gr.Radio: ("call_not_text", (str,)),
    gr.Chatbot: ("call_not_messages", (list,)),
    gr.UploadButton: ("call_not_file", (dict,)),
}
_CHOICES = (gr.Dataset, gr.Dropdown, gr.Radio)  # of which one is always chosen


def check_depth(value: Any) -> None:
    """Raise Refused if lists and objects are nested deeper than anything here is."""
    layer = [value]
    for _ in range(MAX_DEPTH):
        layer = [inner for outer in layer for inner in _inside(outer)]
        if not layer:
            return
    raise Refused(422, "call_deep", limit=MAX_DEPTH)


def _inside(value: Any) -> Sequence[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else ()


def called(functions: Functions, name: str, index: Any) -> BlockFunction:
    """The function of that index, or else of that name. Raises Refused."""
    if index is None:
        found = next((fn for fn in functions.values() if fn.api_name == name), None)
    else:
        found = functions.get(index) if type(index) is int else None
    if found is None or found.fn is None:  # what the page does by itself is no endpoint
        raise Refused(404, "call_unknown", name=name if index is None else index)
    return found


def check_values(function: BlockFunction, values: Any, *, is_program: bool) -> None:
    """Raise Refused unless `values` is a list with as many as the function takes, each of its kind.

    A page gives something for what the server keeps, too; a program need not.
    """
    if not isinstance(values, list):
        raise Refused(422, "call_no_list")
    inputs = list(function.inputs)
    if is_program:
        given = [block for block in inputs if not getattr(block, "skip_api", False)]
        inputs = given if len(values) == len(given) else inputs
    if len(values) < len(inputs) or (len(values) > len(inputs) and _is_public(function)):
        raise _miscounted(function, len(inputs), len(values))
    for place, (block, value) in enumerate(zip(inputs, values, strict=False)):
        _check_kind(type(block), value, f"data[{place}]")


def check_event(function: BlockFunction, data: Any) -> None:
    """Raise Refused unless an event brings what its function is told of it, as which message it was."""
    if function.fn is None:
        return
    for parameter in inspect.signature(function.fn).parameters.values():
        kind = parameter.annotation
        if isinstance(kind, type) and issubclass(kind, gr.EventData) and kind is not gr.EventData:
            needed = {"index", "value"} | ({"previous_value"} if kind is gr.EditData else set())
            if not isinstance(data, dict) or not needed <= data.keys():
                raise Refused(422, "call_missing", names=", ".join(sorted(needed)))
            _check_place(data["index"])
            if kind is gr.SelectData:  # of an example
                value = data["value"]
                _check_kind(
                    gr.Textbox, value.get("text", 0) if isinstance(value, dict) else 0, "value"
                )


def _check_place(index: Any) -> None:
    """Which message it was, or which part of which."""
    if isinstance(index, list) and index:
        index = index[0]
    if type(index) is not int or index < 0:
        raise Refused(422, "call_not_number", name="index")


def check_named(function: BlockFunction, values: Any) -> None:
    """As `check_values`, of an object with the values by their names."""
    if not isinstance(values, dict):
        raise Refused(422, "call_no_object")
    parameters = _parameters(function)
    known = [parameter.name for parameter in parameters]
    if unknown := [name for name in values if name not in known]:
        names = ", ".join(known)
        raise Refused(422, "call_unknown_value", name=unknown[0], names=names)
    needed = [p.name for p in parameters if p.default is inspect.Parameter.empty]
    if missing := [name for name in needed if name not in values]:
        raise Refused(422, "call_missing", names=", ".join(missing))


def _check_kind(component: type, value: Any, name: str) -> None:
    key, kinds = _KINDS.get(component, ("", ()))
    if not key or (value is None and component not in _CHOICES):
        return
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        raise Refused(422, key, name=name)


def _is_public(function: BlockFunction) -> bool:
    return function.api_visibility == "public"


def _miscounted(function: BlockFunction, count: int, given: int) -> Refused:
    names = [parameter.name for parameter in _parameters(function)]
    if not _is_public(function):
        return Refused(422, "call_count", count=count, given=given)
    if given > count:
        return Refused(422, "call_too_many", count=count, names=", ".join(names), given=given)
    return Refused(422, "call_missing", names=", ".join(names[given:]))


def _parameters(function: BlockFunction) -> list[inspect.Parameter]:
    """What a program gives; Gradio adds its request."""
    assert function.fn is not None
    found = inspect.signature(function.fn).parameters.values()
    return [parameter for parameter in found if parameter.annotation is not gr.Request]
