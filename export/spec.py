"""The numbers that define a decoder, whatever family it comes from, and its canonical weights.

Every family is reduced to one shape: decoder with norms before, behind or around attention and MLP, RMSNorm,
half-split rotary embedding, grouped-query attention, SwiGLU. Names are those of Hugging Face's llama. Knows neither config
files nor OpenVINO.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from export.errors import ExportError
from export.experts import Experts
from export.recurrent import Recurrence
from export.tensors import StoredTensor

EMBEDDING = "model.embed_tokens.weight"
FINAL_NORM = "model.norm.weight"
LM_HEAD = "lm_head.weight"


@dataclass(frozen=True)
class DecoderSpec:
    """Sizes and switches of one decoder; `inv_freq` has rotary_dim / 2 angles per position.

    rotary_scale: of cosines and sines. unrotated: layers without rotary embedding. windowed: layers that look
    back at `window` tokens, their own included; local_inv_freq: their angles, where they have others. pre_norms, post_norms:
    whether attention and MLP have a norm before them, and behind them. qk_norm: of each head; flat_qk_norm: of
    all heads at once; late_qk_norm: behind the rotary embedding. The scales multiply embeddings, what each layer adds, and logits; attention_scale
    multiplies scores in place of 1 / sqrt(head_dim). norm_offset: is added to the weights of norms. activation:
    of the gate, `silu` or `gelu_tanh`, or without one `relu2`. experts: in the place of some layers' MLP. sinks:
    each head has a score of its own beside those of the keys, whose share of attention is lost. logit_cap: logits stay
    below it, bent by tanh. score_growth: scores of a token that has n times so many before it are multiplied by
    1 + (the first number) * log(1 + n). gated: whether MLPs have a gate. output_gate: what attention gives is
    multiplied by a sigmoid of the layer's input. recurrent: layers with a `recurrence` in the place of attention.
    """

    family: str
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocab: int
    eps: float
    inv_freq: tuple[float, ...]
    max_positions: int
    tied: bool = False
    qkv_bias: bool = False
    o_bias: bool = False
    mlp_bias: bool = False
    qk_norm: bool = False
    flat_qk_norm: bool = False
    late_qk_norm: bool = False
    pre_norms: bool = True
    post_norms: bool = False
    rotary_scale: float = 1.0
    unrotated: frozenset[int] = frozenset()
    window: int | None = None
    windowed: frozenset[int] = frozenset()
    local_inv_freq: tuple[float, ...] | None = None
    embedding_scale: float = 1.0
    residual_scale: float = 1.0
    attention_scale: float | None = None
    logit_scale: float = 1.0
    norm_offset: float = 0.0
    activation: str = "silu"
    experts: Experts | None = None
    sinks: bool = False
    logit_cap: float | None = None
    score_growth: tuple[float, int] | None = None
    gated: bool = True
    output_gate: bool = False
    recurrence: Recurrence | None = None
    recurrent: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        """Raise ExportError for sizes that do not fit each other."""
        recurrent = (1, 1) if self.recurrence is None else self.recurrence.shares
        for heads, key_heads in ((self.heads, self.kv_heads), recurrent):
            if heads % key_heads:
                raise ExportError(
                    f"The configuration's {heads} attention heads do not divide among "
                    f"{key_heads} key heads; it is damaged or belongs to another model."
                )
        if not 0 < self.rotary_dim <= self.head_dim:
            raise ExportError(
                f"The configuration rotates {self.rotary_dim} of {self.head_dim} dimensions of a "
                "head; it is damaged or belongs to another model."
            )

    @property
    def rotary_dim(self) -> int:
        """How many of a head's dimensions rotate."""
        return 2 * len(self.inv_freq)

    @property
    def keys_turn_alike(self) -> bool:
        """Whether turning a key moves it to another position, by the same angles in every layer."""
        is_plain = not self.unrotated and self.local_inv_freq is None
        return is_plain and not self.late_qk_norm and not self.recurrent

    def weight_shapes(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Every weight that the graph reads, by canonical name."""
        yield EMBEDDING, (self.vocab, self.hidden)
        yield FINAL_NORM, (self.hidden,)
        if not self.tied:
            yield LM_HEAD, (self.vocab, self.hidden)
        for layer in range(self.layers):
            for name, shape in self._layer_shapes(layer):
                yield f"model.layers.{layer}.{name}", shape

    def _layer_shapes(self, layer: int) -> Iterator[tuple[str, tuple[int, ...]]]:
        if self.recurrence is not None and layer in self.recurrent:
            yield from self.recurrence.weight_shapes(self.hidden)
        else:
            yield from self._attention_shapes()
        if self.experts is not None and layer in self.experts.layers:
            yield from self.experts.weight_shapes(self.hidden)
        else:
            wide, narrow = self.intermediate, self.hidden
            if self.gated:
                yield from self._projection("mlp.gate_proj", wide, narrow, bias=self.mlp_bias)
            yield from self._projection("mlp.up_proj", wide, narrow, bias=self.mlp_bias)
            yield from self._projection("mlp.down_proj", narrow, wide, bias=self.mlp_bias)
        for norm in self._layer_norms():
            yield f"{norm}.weight", (self.hidden,)

    def _attention_shapes(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        q, kv = self.heads * self.head_dim, self.kv_heads * self.head_dim
        yield from self._projection("self_attn.q_proj", q, self.hidden, bias=self.qkv_bias)
        yield from self._projection("self_attn.k_proj", kv, self.hidden, bias=self.qkv_bias)
        yield from self._projection("self_attn.v_proj", kv, self.hidden, bias=self.qkv_bias)
        yield from self._projection("self_attn.o_proj", self.hidden, q, bias=self.o_bias)
        if self.output_gate:
            yield from self._projection("self_attn.g_proj", q, self.hidden, bias=self.qkv_bias)
        if self.sinks:
            yield "self_attn.sinks", (self.heads,)
        if self.qk_norm or self.flat_qk_norm:
            yield "self_attn.q_norm.weight", (q if self.flat_qk_norm else self.head_dim,)
            yield "self_attn.k_norm.weight", (kv if self.flat_qk_norm else self.head_dim,)

    def _layer_norms(self) -> tuple[str, ...]:
        before = ("input_layernorm", "post_attention_layernorm") if self.pre_norms else ()
        behind = ("post_self_attn_layernorm", "post_mlp_layernorm") if self.post_norms else ()
        return (*before, *behind)

    @staticmethod
    def _projection(
        name: str, rows: int, columns: int, *, bias: bool
    ) -> Iterator[tuple[str, tuple[int, ...]]]:
        yield f"{name}.weight", (rows, columns)
        if bias:
            yield f"{name}.bias", (rows,)


@dataclass(frozen=True)
class Decoder:
    """A spec and the tensors it names, checked against each other when made."""

    spec: DecoderSpec
    tensors: dict[str, StoredTensor] = field(repr=False)

    def __post_init__(self) -> None:
        """Raise ExportError for a missing, misshapen or unknown tensor."""
        expected = dict(self.spec.weight_shapes())
        for name, shape in expected.items():
            _check_tensor(self.tensors.get(name), name, shape)
        if unknown := sorted(self.tensors.keys() - expected.keys()):
            raise ExportError(
                f"The checkpoint holds {self.tensors[unknown[0]].name}, which the family "
                f"{self.spec.family} does not model; this model cannot be exported."
            )


def lacking(name: str) -> ExportError:
    """The error for a tensor that is not there."""
    return ExportError(f"The checkpoint lacks {name}; download it again, all its files included.")


def _check_tensor(tensor: StoredTensor | None, name: str, shape: tuple[int, ...]) -> None:
    if tensor is None:
        raise lacking(name)
    if not tensor.readable:
        raise ExportError(
            f"{tensor.name} is stored as {tensor.encoding}, which is not supported; "
            "get the model in bfloat16, float16 or float32."
        )
    if tensor.shape != shape:
        raise ExportError(
            f"{tensor.name} has shape {list(tensor.shape)}, but the configuration asks for "
            f"{list(shape)}; the configuration and the weights belong to different models."
        )
