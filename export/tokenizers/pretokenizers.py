r"""Byte-level pre-tokenizers by the name that GGUF files give them in `tokenizer.ggml.pre`.

Each is the pipeline of the model's own tokenizer.json. GGUF keeps only the name, so the patterns
live here; a name that is not in the table is refused, because a guess would give other ids.
"""

from __future__ import annotations

from typing import NamedTuple

from tokenizers import Regex, normalizers, pre_tokenizers

from export.errors import ExportError

_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_TAIL = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def _gpt4_like(digits: str) -> str:
    return rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|{digits}|{_TAIL}"


_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_QWEN2 = _gpt4_like(r"\p{N}")
_LLAMA3 = _gpt4_like(r"\p{N}{1,3}")
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_TEKKEN = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*|\p{{N}}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# What llama.cpp applies, one after the other, where a file names no pre-tokenizer.
_DEFAULT = (r"[\p{P}\$\+<=>\^~\|]+", _GPT2, r"\p{N}+", r"[0-9][0-9][0-9]")


class PreTokenizer(NamedTuple):
    """How text is cut before BPE: normalise, then each pattern in turn.

    `ignore_merges`: a piece that is a token as a whole is that token, whatever the merges say.
    """

    patterns: tuple[str, ...]
    nfc: bool = False
    ignore_merges: bool = False
    single_digits: bool = False


_SMOLLM = PreTokenizer((_GPT2,), single_digits=True)
_LLAMA_BPE = PreTokenizer((_LLAMA3,), ignore_merges=True)
_PRE_TOKENIZERS = {
    "default": PreTokenizer(_DEFAULT),
    "gpt-2": PreTokenizer((_GPT2,)),
    "smollm": _SMOLLM,
    "llama3": _LLAMA_BPE,
    "llama-v3": _LLAMA_BPE,
    "llama-bpe": _LLAMA_BPE,
    "qwen2": PreTokenizer((_QWEN2,), nfc=True),
    "chatglm-bpe": PreTokenizer((_LLAMA3,)),
    "glm4": PreTokenizer((_LLAMA3,)),
    "tekken": PreTokenizer((_TEKKEN,), ignore_merges=True),
}


def named_pre_tokenizer(name: str) -> PreTokenizer:
    """The pre-tokenizer of that GGUF name; ExportError where it is not known."""
    if (found := _PRE_TOKENIZERS.get(name)) is None:
        raise ExportError(
            f"the GGUF file uses the pre-tokenizer '{name}', which is not supported; supported "
            f"are {', '.join(sorted(_PRE_TOKENIZERS))}. Export from the original model's "
            "tokenizer.json instead."
        )
    return found


def normalizer(pre: PreTokenizer) -> normalizers.Normalizer | None:
    """The normaliser of the fast tokenizer, None where text goes in as it is."""
    return normalizers.NFC() if pre.nfc else None


def pipeline(pre: PreTokenizer) -> pre_tokenizers.PreTokenizer:
    """The pre-tokenizer of the fast tokenizer; its last step maps bytes to characters."""
    if pre.single_digits:
        return pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
            ]
        )
    splits = [pre_tokenizers.Split(Regex(p), "isolated") for p in pre.patterns]
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return pre_tokenizers.Sequence([*splits, byte_level])
