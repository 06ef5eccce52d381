"""A fast tokenizer as two OpenVINO models, through openvino_tokenizers' pipeline of steps.

Its conversion is exact but for four things, which are put right here: splits in several passes are
kept apart, their patterns are rewritten for PCRE2, the BPE operation gets symbols of its own
(export.tokenizers.bpe_symbols), and Metaspace leaves its own sign alone. The pipeline is no public face
of openvino_tokenizers, whose version is pinned; export.tokenizers.agreement finds out where it no
longer does what is expected.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import openvino as ov
from openvino_tokenizers import _get_factory
from openvino_tokenizers import tokenizer_pipeline as steps
from openvino_tokenizers import utils as tools
from openvino_tokenizers.hf_parser import TransformersTokenizerPipelineParser

from export.tokenizers.bpe_symbols import MARK, BpeSymbols, bpe_symbols
from export.tokenizers.patterns import for_pcre2

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_OUTPUTS = ("input_ids", "attention_mask")


def convert(tokenizer: PreTrainedTokenizerFast) -> tuple[ov.Model, ov.Model]:
    """The tokenizer, which adds no special tokens, and the detokenizer, which leaves them out."""
    params = tools.TokenzierConversionParams(with_detokenizer=True, add_special_tokens=False)
    pipeline = TransformersTokenizerPipelineParser(tokenizer, params).parse()
    pipeline.steps = [_exact(step, pipeline, tokenizer) for step in pipeline.steps]
    pipeline.finalize()
    _keep_literal_spaces(pipeline)
    encode, decode = _encoder(pipeline), pipeline.get_detokenizer_ov_subgraph()
    for model in (encode, decode):
        tools.update_rt_info_with_params(model, tokenizer, params)
        tools.update_rt_info_with_environment(model)
        tools.update_rt_info_with_processor_template(model, tokenizer)
    return (
        tools.change_outputs_type(encode, params.tokenizer_output_type),
        tools.change_inputs_type(decode, params.detokenizer_input_type),
    )


def _encoder(pipeline: Any) -> ov.Model:
    graph = pipeline.get_tokenizer_ov_subgraph()
    model = ov.Model([graph.output(name) for name in _OUTPUTS], graph.get_parameters(), "tokenizer")
    model.add_sinks(graph.get_sinks())
    return model


def _keep_literal_spaces(pipeline: Any) -> None:
    """A text that begins with Metaspace's own sign for a space gets no other one in front."""
    if pipeline.is_metaspace_prepend_first:
        step = pipeline.steps[0]
        sign = step.replace_term.removesuffix("$2")
        step.regex_search_pattern = step.regex_search_pattern.replace("| |$)", f"| |{sign}|$)")


def _exact(step: Any, pipeline: Any, tokenizer: PreTrainedTokenizerFast) -> Any:
    if isinstance(step, steps.RegexSplitStep):
        kept = replace(step, split_pattern=for_pcre2(step.split_pattern), mergeable=False)
    elif isinstance(step, steps.BPETokenizationStep) and (
        symbols := bpe_symbols(tokenizer.backend_tokenizer)
    ):
        kept = _ExactBpe(**_fields_of(step))
        kept.symbols = symbols
    else:
        return step
    kept.set_pipeline(pipeline)
    return kept


class _ExactBpe(steps.BPETokenizationStep):  # type: ignore[misc]  # no types there
    """The BPE operation over symbols of its own; the detokenizer keeps the model's vocabulary."""

    symbols: BpeSymbols

    def get_ov_subgraph(self, input_nodes: list[ov.Output]) -> list[ov.Output]:
        """Rows of words (begins, ends, and the words' begins, ends and bytes) to rows of ids."""
        self.get_pipeline().vocab_node_outputs = _strings(self.vocab)
        rows, words = input_nodes[:2], input_nodes[2:]
        if self.symbols.is_marked:
            words = _between_marks(words)
        left, right = zip(*self.symbols.merges, strict=True) if self.symbols.merges else ((), ())
        inputs = [*rows, *words, *_strings(self.symbols.strings), *_strings(left), *_strings(right)]
        if more := self.symbols.more:
            ids = ov.op.Constant(np.array(list(more.values()), np.int32)).outputs()
            inputs += [*_strings(more), *ids]
        operation = _get_factory().create(
            "BPETokenizer",
            inputs,
            {
                "unk_token": self.symbols.unk_token,
                "fuse_unk": self.fuse_unk,
                "suffix_indicator": "",
                "end_suffix": "",
                "byte_fallback": False,  # the bytes are symbols
                "cache_capacity": self.cache_capacity,
            },
        )
        outputs: list[ov.Output] = operation.outputs()
        return outputs


def _fields_of(step: Any) -> dict[str, Any]:
    """The fields of a step, for a step of another kind."""
    return {field.name: getattr(step, field.name) for field in fields(step) if field.init}


def _between_marks(words: list[ov.Output]) -> list[ov.Output]:
    pattern, replacement = _string(r"(?s)\A(.+)\z"), _string(f"{MARK}$1{MARK}")
    marked: list[ov.Output] = (
        _get_factory()
        .create("RegexNormalization", [*words, *pattern, *replacement], {"global_replace": False})
        .outputs()
    )
    return marked


def _string(text: str) -> list[ov.Output]:
    found: list[ov.Output] = tools.create_string_constant_node(text)
    return found


def _strings(texts: Any) -> list[ov.Output]:
    found: list[ov.Output] = tools.create_string_constant_node(list(texts))
    return found
