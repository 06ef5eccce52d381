r"""Byte-level pre-tokenizers by the name that GGUF files give them in `tokenizer.ggml.pre`.

GGUF keeps only the name, so the patterns live here, as in the models' own tokenizer.json where that is
known, else as llama.cpp has them (src/llama-vocab.cpp); an unknown name is refused, because a guess
would give other ids. Each pass cuts what the one before it left.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers

from export.errors import ExportError
from export.tokenizers.cased_letters import CASED_LETTERS

_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_SPACES = r"\s+(?!\S)|\s+"
_TAIL = rf" ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|\s*[\r\n]+|{_SPACES}"


def _gpt4_like(digits: str) -> str:
    return rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|{digits}|{_TAIL}"


def _by_case(digits: str, suffix: str) -> str:
    """Words end where a small letter comes before a capital one."""
    upper, lower = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
    first = r"[^\r\n\p{L}\p{N}]?"
    return (
        rf"{first}{upper}*{lower}+{suffix}|{first}{upper}+{lower}*{suffix}|{digits}|"
        rf" ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|\s*[\r\n]+|{_SPACES}"
    )


_DIGIT, _DIGITS, _THREE_DIGITS = r"\p{N}", r"\p{N}+", r"\p{N}{1,3}"
_GPT2 = rf"'s|'t|'re|'ve|'m|'ll|'d| ?\p{{L}}+| ?\p{{N}}+| ?[^\s\p{{L}}\p{{N}}]+|{_SPACES}"
_QWEN2 = _gpt4_like(_DIGIT)
_QWEN35 = (
    rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+|\p{{N}}|"
    rf" ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*|\s*[\r\n]+|{_SPACES}"
)
_LLAMA3 = _gpt4_like(_THREE_DIGITS)
_SEED_CODER = (
    rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}| ?[^\s\p{{L}}\p{{N}}\r\n]+|"
    rf"\s*[\r\n]+|{_SPACES}"
)
_IDEOGRAPHS = r"[一-龥ࠀ-一가-\x{D7FF}]+"
_DEEPSEEK_V3 = (
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|"
    rf" ?[\p{{P}}\p{{S}}]+[\r\n]*|\s*[\r\n]+|{_SPACES}"
)


class PreTokenizer(NamedTuple):
    """How text is cut before BPE, in passes.

    ignore_merges: a piece that is a token as a whole is that token, whatever the merges say.
    adds_bos: plain completions begin with BOS where the file does not say.
    """

    passes: tuple[str, ...]
    nfc: bool = False
    ignore_merges: bool = False
    adds_bos: bool = False


_KINDS = {
    # Where a file says "default": punctuation, GPT-2, digits, groups of three.
    "default": PreTokenizer((r"[\p{P}\$\+<=>\^~\|]+", _GPT2, _DIGITS, "[0-9][0-9][0-9]")),
    "gpt-2": PreTokenizer((_GPT2,)),
    "smollm": PreTokenizer((_DIGIT, _GPT2)),
    "llama-bpe": PreTokenizer((_LLAMA3,), ignore_merges=True, adds_bos=True),
    "smaug-bpe": PreTokenizer((_LLAMA3,)),
    "qwen2": PreTokenizer((_QWEN2,), nfc=True),
    "qwen35": PreTokenizer((_QWEN35,), nfc=True),
    "tekken": PreTokenizer((_by_case(_DIGIT, ""),), ignore_merges=True, adds_bos=True),
    "gpt-4o": PreTokenizer((_by_case(_THREE_DIGITS, f"{_CONTRACTIONS}?"),)),
    "deepseek-llm": PreTokenizer(
        (
            r"[\r\n]",
            rf"\s?[{CASED_LETTERS}]+",
            r"\s?[!-/:-~！-／：-～‘-‟\x{3000}-。]+",
            r"\s+$",
            _IDEOGRAPHS,
            _DIGITS,
        )
    ),
    "deepseek-coder": PreTokenizer(
        (r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", _IDEOGRAPHS, _DIGIT),
    ),
    "deepseek-v3": PreTokenizer((_THREE_DIGITS, "[一-龥぀-ゟ゠-ヿ]+", _DEEPSEEK_V3)),
    "seed-coder": PreTokenizer((_SEED_CODER,)),
    "minicpm5": PreTokenizer((_THREE_DIGITS, _gpt4_like(_DIGITS)), ignore_merges=True),
    "viking": PreTokenizer((r" ?[^(\s|.,!?…。，、।۔،)]+", _DIGIT)),
}
_OTHER_NAMES = {
    "llama-bpe": ("llama3", "llama-v3", "falcon3", "pixtral", "midm-2.0", "lfm2"),
    "qwen2": ("deepseek-r1-qwen", "megrez", "kormo", "f2llmv2", "hunyuan", "stablelm2"),
    "smollm": ("starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b", "mellum2"),
    "gpt-2": (
        "mpt",
        "olmo",
        "jais",
        "trillion",
        "a.x-4.0",
        "mellum",
        "phi-2",
        "gigachat",
        "exaone4",
    ),
    "gpt-4o": ("llama4", "kanana2"),
    "deepseek-v3": ("hunyuan-dense", "joyai-llm"),
}
PRE_TOKENIZERS = _KINDS | {
    name: _KINDS[kind] for kind, names in _OTHER_NAMES.items() for name in names
}


def named_pre_tokenizer(name: str) -> PreTokenizer:
    """The pre-tokenizer of that GGUF name; ExportError where it is not known."""
    if (found := PRE_TOKENIZERS.get(name)) is None:
        raise ExportError(
            f"The GGUF file uses the pre-tokenizer '{name}', which is not supported; export from the "
            "original model's tokenizer.json instead."
        )
    return found


def normalizer(pre: PreTokenizer) -> normalizers.Normalizer | None:
    """The normaliser of the fast tokenizer, None where text goes in as it is."""
    return normalizers.NFC() if pre.nfc else None


def pipeline(passes: tuple[str, ...]) -> pre_tokenizers.PreTokenizer:
    """Cut at each pattern in turn, then map bytes to characters."""
    splits = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in passes]
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return pre_tokenizers.Sequence([*splits, byte_level])


def explicit_passes(tokenizer: Tokenizer) -> Tokenizer:
    """The same tokenizer, with single digits and GPT-2's pattern as two passes, where it has both.

    OpenVINO's converter would make one pattern of the two, which is not the same: SmolLM2's
    tokenizer.json is of that kind. Any other tokenizer comes back as it is.
    """
    steps = (json.loads(tokenizer.to_str())["pre_tokenizer"] or {}).get("pretokenizers", [])
    if not _is_digits_then_gpt2(steps):
        return tokenizer
    copy = Tokenizer.from_str(tokenizer.to_str())
    copy.pre_tokenizer = pipeline(_KINDS["smollm"].passes)
    return copy


def _is_digits_then_gpt2(steps: list[dict[str, object]]) -> bool:
    if [step["type"] for step in steps] != ["Digits", "ByteLevel"]:
        return False
    digits, byte_level = steps
    plain = byte_level.get("use_regex", True) and not byte_level.get("add_prefix_space")
    return bool(digits.get("individual_digits") and plain)
