"""Every place that a chat template is found in, and what is said of one that cannot be read."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest
from openvino import opset15 as ops

from engine.errors import ModelError, ModelUnsupported
from engine.text.chat_template import ChatTemplate, read_chat_template
from tests.engine.rig import user


def write(model_dir: Path, config: dict[str, Any], file: str | None = None) -> ChatTemplate | None:
    (model_dir / "tokenizer_config.json").write_text(json.dumps(config))
    if file is not None:
        (model_dir / "chat_template.jinja").write_text(file, encoding="utf-8")
    return read_chat_template(model_dir)


def test_the_file_goes_before_the_configuration(tmp_path: Path) -> None:
    template = write(tmp_path, {"chat_template": "old"}, "答 {{ messages[0].content }}")
    assert template is not None
    assert template.render([user("x")]) == "答 x"


def test_special_tokens_come_from_the_configuration_in_either_form(tmp_path: Path) -> None:
    config = {"chat_template": "{{ bos_token }}{{ eos_token }}", "bos_token": {"content": "<s>"}}
    template = write(tmp_path, config | {"eos_token": "</s>"})
    assert template is not None
    assert template.render([]) == "<s></s>"


def test_of_several_templates_the_default_is_taken(tmp_path: Path) -> None:
    named = [{"name": "tool_use", "template": "t"}, {"name": "default", "template": "d"}]
    template = write(tmp_path, {"chat_template": named})
    assert template is not None
    assert template.render([]) == "d"


def test_of_several_templates_without_a_default_one_that_is_for_talk_is_taken_and_named(
    tmp_path: Path,
) -> None:
    named = [{"name": "tool_use", "template": "t"}, {"name": "chat", "template": "c"}]
    template = write(tmp_path, {"chat_template": named})
    assert template is not None
    assert (template.render([]), template.assumed) == ("c", "chat")
    template = write(tmp_path, {"chat_template": named[:1]})
    assert template is not None
    assert (template.render([]), template.assumed) == ("t", "tool_use")


def rt_info(folder: Path) -> None:
    """As openvino_tokenizers writes it: by OpenVINO itself."""
    parameter = ops.parameter([1], np.float32)
    model = ov.Model([parameter], [parameter], "tokenizer")
    model.set_rt_info("{{ '答' }}\n  \"<a>\" &\t{{ messages[0].content }}", "chat_template")
    ov.save_model(model, folder / "openvino_tokenizer.xml")


def additional(folder: Path) -> None:
    (folder / "additional_chat_templates").mkdir()
    (folder / "additional_chat_templates" / "chat.jinja").write_text("{{ messages[0].content }}")


def processor(folder: Path) -> None:
    text = json.dumps({"chat_template": "{{ messages[0].content }}"})
    (folder / "processor_config.json").write_text(text)


def beside(folder: Path) -> None:
    text = json.dumps({"chat_template": "{{ messages[0].content }}"})
    (folder / "chat_template.json").write_bytes(b"\xef\xbb\xbf" + text.encode())  # with a BOM


@pytest.mark.parametrize("place", [rt_info, additional, processor, beside])
@pytest.mark.parametrize("config", [None, {}])
def test_a_template_is_found_wherever_it_is_kept(
    tmp_path: Path, place: Callable[[Path], None], config: dict[str, Any] | None
) -> None:
    place(tmp_path)
    template = read_chat_template(tmp_path) if config is None else write(tmp_path, config)
    assert template is not None
    start = '答\n  "<a>" &\t' if place is rt_info else ""
    assert template.render([user("Hi")]) == f"{start}Hi"


def test_a_template_that_somebody_names_goes_before_the_models_own(tmp_path: Path) -> None:
    write(tmp_path, {"bos_token": "<s>"}, "its own")
    named = tmp_path / "other.jinja"
    named.write_text("\ufeff{{ bos_token }}答 {{ messages[0].content }}", encoding="utf-8")
    template = read_chat_template(tmp_path, named)
    assert template is not None
    assert template.render([user("x")]) == "<s>答 x"


@pytest.mark.parametrize(("raw", "reason"), [(None, "No such file"), (b"\xff\xfe", "UTF-8")])
def test_a_named_template_that_cannot_be_read_is_named(
    tmp_path: Path, raw: bytes | None, reason: str
) -> None:
    file = tmp_path / "other.jinja"
    if raw is not None:
        file.write_bytes(raw)
    with pytest.raises(ModelError, match=rf"other\.jinja.*{reason}"):
        read_chat_template(tmp_path, file)


def test_a_damaged_configuration_is_named(tmp_path: Path) -> None:
    (tmp_path / "tokenizer_config.json").write_text("{")
    with pytest.raises(ModelUnsupported, match=r"tokenizer_config\.json is not valid JSON"):
        read_chat_template(tmp_path)


@pytest.mark.parametrize(
    "config",
    [
        {"additional_special_tokens": ["<a>", {"content": "<b>"}]},
        {"added_tokens_decoder": {
            "12": {"content": "<b>", "special": True}, "9": {"content": "<a>", "special": True},
            "10": {"content": "</s>", "special": True}, "11": {"content": "<think>", "special": False},
        }},
    ],
)  # fmt: skip
def test_a_template_may_ask_for_the_additional_special_tokens(
    tmp_path: Path, config: dict[str, Any]
) -> None:
    asking = "{{ additional_special_tokens[0] }}{{ additional_special_tokens | join('|') }}"
    template = write(tmp_path, config | {"eos_token": "</s>", "chat_template": asking})
    assert template is not None
    assert template.render([]) == "<a><a>|<b>"


@pytest.mark.parametrize("config", [{}, {"chat_template": ""}, {"chat_template": []}])
def test_a_base_model_has_no_template(tmp_path: Path, config: dict[str, Any]) -> None:
    assert write(tmp_path, config) is None
