r"""Byte-level pre-tokenizers by the name that GGUF files give them in `tokenizer.ggml.pre`.

GGUF keeps only the name, so the patterns live here; an unknown name is refused, because a guess
would give other ids. Each is a single pattern, also where the model's own tokenizer.json cuts in
several passes: OpenVINO's converter joins the passes into one alternation, which is not the same.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers

from export.errors import ExportError

_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_SPACES = r"\s+(?!\S)|\s+"
_TAIL = rf" ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|\s*[\r\n]+|{_SPACES}"


def _gpt4_like(digits: str) -> str:
    return rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|{digits}|{_TAIL}"


_GPT2_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+"
_GPT2 = rf"{_GPT2_WORDS}| ?\p{{N}}+| ?[^\s\p{{L}}\p{{N}}]+|{_SPACES}"
# Digits first, then GPT-2's pattern: a run of spaces before a digit ends there, so it stays whole.
_SMOLLM = rf"{_GPT2_WORDS}|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+|\s+(?=\p{{N}})|{_SPACES}"
_QWEN2 = _gpt4_like(r"\p{N}")
_LLAMA3 = _gpt4_like(r"\p{N}{1,3}")
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_TEKKEN = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*|\p{{N}}|"
    rf" ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|\s*[\r\n]+|{_SPACES}"
)
# llama.cpp's passes where a file names nothing: punctuation, GPT-2, digits, groups of three.
_PUNCTUATION = r"\p{P}\$\+<=>\^~\|"
_DEFAULT = (
    rf"[{_PUNCTUATION}]+| ?\p{{L}}+|[0-9]{{3}}|(?:(?![0-9]{{3}})\p{{N}})+|"
    rf" ?[^\s\p{{L}}\p{{N}}{_PUNCTUATION}]+|\s+(?=[{_PUNCTUATION}])|{_SPACES}"
)


class PreTokenizer(NamedTuple):
    """How text is cut before BPE.

    `ignore_merges`: a piece that is a token as a whole is that token, whatever the merges say.
    """

    pattern: str
    nfc: bool = False
    ignore_merges: bool = False


_LLAMA_BPE = PreTokenizer(_LLAMA3, ignore_merges=True)
_PRE_TOKENIZERS = {
    "default": PreTokenizer(_DEFAULT),
    "gpt-2": PreTokenizer(_GPT2),
    "smollm": PreTokenizer(_SMOLLM),
    "llama3": _LLAMA_BPE,
    "llama-v3": _LLAMA_BPE,
    "llama-bpe": _LLAMA_BPE,
    "qwen2": PreTokenizer(_QWEN2, nfc=True),
    "chatglm-bpe": PreTokenizer(_LLAMA3),
    "glm4": PreTokenizer(_LLAMA3),
    "tekken": PreTokenizer(_TEKKEN, ignore_merges=True),
}


def named_pre_tokenizer(name: str) -> PreTokenizer:
    """The pre-tokenizer of that GGUF name; ExportError where it is not known."""
    if (found := _PRE_TOKENIZERS.get(name)) is None:
        raise ExportError(
            f"The GGUF file uses the pre-tokenizer '{name}', which is not supported; supported "
            f"are {', '.join(sorted(_PRE_TOKENIZERS))}. Export from the original model's "
            "tokenizer.json instead."
        )
    return found


def normalizer(pre: PreTokenizer) -> normalizers.Normalizer | None:
    """The normaliser of the fast tokenizer, None where text goes in as it is."""
    return normalizers.NFC() if pre.nfc else None


def pipeline(pattern: str) -> pre_tokenizers.PreTokenizer:
    """Cut at `pattern`, then map bytes to characters."""
    split = pre_tokenizers.Split(Regex(pattern), "isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return pre_tokenizers.Sequence([split, byte_level])


def single_pass(tokenizer: Tokenizer) -> Tokenizer:
    """The same tokenizer with single digits and GPT-2's pattern in one pass, where it has both.

    SmolLM2's tokenizer.json is of that kind. Any other tokenizer comes back as it is.
    """
    steps = (json.loads(tokenizer.to_str())["pre_tokenizer"] or {}).get("pretokenizers", [])
    if not _is_digits_then_gpt2(steps):
        return tokenizer
    copy = Tokenizer.from_str(tokenizer.to_str())
    copy.pre_tokenizer = pipeline(_SMOLLM)
    return copy


def _is_digits_then_gpt2(steps: list[dict[str, object]]) -> bool:
    if [step["type"] for step in steps] != ["Digits", "ByteLevel"]:
        return False
    digits, byte_level = steps
    plain = byte_level.get("use_regex", True) and not byte_level.get("add_prefix_space")
    return bool(digits.get("individual_digits") and plain)
