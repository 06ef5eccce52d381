"""Where a model's chat template is kept: every place that the programs of this field write it to.

Owns: the places, their order, and which of several named templates is taken. Reads only; raises
ModelUnsupported with what to do next. Does not know Jinja.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

from engine.errors import ModelNotFound, ModelUnsupported
from engine.text.json_files import read_json

_DEFAULT = "default"
_FOR_OTHER_ENDS = ("tool_use", "rag")  # as Command R's; a plain talk is neither
_SPECIAL_TOKENS = ("bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token")  # fmt: skip
_GIVEN = ("bos_token", "eos_token", "unk_token", "pad_token")  # templates add them up unasked


class TemplateSource(NamedTuple):
    """A template's text. assumed: the name of the one that was taken, where none is the default."""

    text: str
    assumed: str | None = None


def find_template(model_dir: Path) -> TemplateSource | None:
    """The chat template in `model_dir`; None for a model that has none (a base model)."""
    places: tuple[Callable[[Path], Any], ...] = (
        _file("chat_template.jinja"),
        _entry_of("tokenizer_config.json"),
        _entry_of("chat_template.json"),
        _entry_of("processor_config.json"),
        _in_compiled_tokenizer,
        _additional,
    )
    return next((found for place in places if (found := _chosen(place(model_dir)))), None)


def read_template(file: Path) -> TemplateSource:
    """The template in a file that somebody names. Raises ModelNotFound or ModelUnsupported."""
    try:
        return TemplateSource(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ModelNotFound(f"{file}: {error.strerror}; name a Jinja chat template.") from None
    except UnicodeDecodeError:
        raise ModelUnsupported(f"{file} is no text in UTF-8; name a Jinja chat template.") from None


def template_tokens(model_dir: Path) -> dict[str, Any]:
    """The special tokens that templates may ask for, by the names of tokenizer configurations."""
    config = read_json(model_dir / "special_tokens_map.json")
    config |= read_json(model_dir / "tokenizer_config.json")
    named = {name: _content(config[name]) for name in _SPECIAL_TOKENS if config.get(name)}
    return dict.fromkeys(_GIVEN, "") | named | {"additional_special_tokens": _more(config, named)}


def _more(config: dict[str, Any], named: dict[str, str]) -> list[str]:
    """The additional special tokens; where the configuration lists none, its others, in order of their ids."""
    listed = config.get("additional_special_tokens")
    if isinstance(listed, list):
        return [_content(token) for token in listed]
    added = config.get("added_tokens_decoder") or {}
    special = [added[i]["content"] for i in sorted(added, key=int) if added[i].get("special")]
    return [token for token in special if token not in named.values()]


def _content(token: Any) -> str:
    """A special token's string: configurations spell it as one, or as a dictionary."""
    return str(token["content"] if isinstance(token, dict) else token)


def _chosen(found: Any) -> TemplateSource | None:
    """The template of an entry that is one, or holds several by name."""
    if isinstance(found, list):
        found = {entry["name"]: entry["template"] for entry in found}
    if not isinstance(found, dict):
        return TemplateSource(str(found)) if found else None
    if found.get(_DEFAULT):
        return TemplateSource(str(found[_DEFAULT]))
    ours = [name for name in found if name not in _FOR_OTHER_ENDS] or list(found)
    return TemplateSource(str(found[ours[0]]), ours[0]) if ours else None


def _file(name: str) -> Callable[[Path], Any]:
    def read(model_dir: Path) -> Any:
        file = model_dir / name
        return read_template(file).text if file.is_file() else None

    return read


def _entry_of(name: str) -> Callable[[Path], Any]:
    return lambda model_dir: read_json(model_dir / name).get("chat_template")


def _in_compiled_tokenizer(model_dir: Path) -> str | None:
    """What openvino_tokenizers writes into the compiled tokenizer, in the part `rt_info` of its XML."""
    file = model_dir / "openvino_tokenizer.xml"
    if not file.is_file():
        return None
    try:
        found = ElementTree.parse(file).find("rt_info/chat_template")  # noqa: S314  (ours to run, too)
    except ElementTree.ParseError:
        return None  # whoever compiles it says what is wrong
    return None if found is None else found.get("value")


def _additional(model_dir: Path) -> dict[str, str]:
    """Named templates without a default one, as transformers keeps them."""

    def named() -> Iterator[tuple[str, str]]:
        for file in sorted((model_dir / "additional_chat_templates").glob("*.jinja")):
            yield file.stem, read_template(file).text

    return dict(named())
