"""The shape of Qwen3.5-0.8B's language model: three gated delta nets for each layer of attention.

Owns: names and shapes of its weights. Sizes as they are reckoned from its configuration: 18 delta nets with 16
heads of 128 x 128, 6 layers of attention with 2 KV heads of 256.
"""

from dataclasses import dataclass

from bench.synthetic import Shape

LINEAR_HEADS, LINEAR_WIDTH, KERNEL, HEAD_WIDTH = 16, 128, 4, 256
PERIOD = 4


@dataclass(frozen=True, kw_only=True)
class HybridShape(Shape):
    """Every fourth layer is attention, with an output gate and norms of queries and keys."""

    def _layer(self, _index: int) -> dict[str, tuple[int, ...]]:
        hidden, wide = self.hidden, self.wide
        mixer = self._attention() if _index % PERIOD == PERIOD - 1 else self._delta_net()
        return {
            **mixer,
            "mlp.gate_proj.weight": (wide, hidden),
            "mlp.up_proj.weight": (wide, hidden),
            "mlp.down_proj.weight": (hidden, wide),
            "input_layernorm.weight": (hidden,),
            "post_attention_layernorm.weight": (hidden,),
        }

    def _delta_net(self) -> dict[str, tuple[int, ...]]:
        hidden, values = self.hidden, LINEAR_HEADS * LINEAR_WIDTH
        parts = {
            "in_proj_qkv.weight": (3 * values, hidden),
            "in_proj_z.weight": (values, hidden),
            "in_proj_b.weight": (LINEAR_HEADS, hidden),
            "in_proj_a.weight": (LINEAR_HEADS, hidden),
            "conv1d.weight": (3 * values, 1, KERNEL),
            "A_log": (LINEAR_HEADS,),
            "dt_bias": (LINEAR_HEADS,),
            "norm.weight": (LINEAR_WIDTH,),
            "out_proj.weight": (hidden, values),
        }
        return {f"linear_attn.{name}": shape for name, shape in parts.items()}

    def _attention(self) -> dict[str, tuple[int, ...]]:
        hidden, narrow, full = (
            self.hidden,
            self.kv_heads * HEAD_WIDTH,
            self.heads * HEAD_WIDTH,
        )
        parts = {
            "q_proj.weight": (2 * full, hidden),
            "k_proj.weight": (narrow, hidden),
            "v_proj.weight": (narrow, hidden),
            "o_proj.weight": (hidden, full),
            "q_norm.weight": (HEAD_WIDTH,),
            "k_norm.weight": (HEAD_WIDTH,),
        }
        return {f"self_attn.{name}": shape for name, shape in parts.items()}


QWEN3_5_0_8B = HybridShape(
    model_type="qwen3_5_text",
    hidden=1024,
    wide=3584,
    layers=24,
    heads=8,
    kv_heads=2,
    vocab=248320,
    tied=True,
    settings={
        "head_dim": HEAD_WIDTH,
        "rms_norm_eps": 1e-6,
        "max_position_embeddings": 32768,
        "rope_parameters": {
            "rope_theta": 1e7,
            "rope_type": "default",
            "partial_rotary_factor": 0.25,
        },
        "layer_types": (["linear_attention"] * (PERIOD - 1) + ["full_attention"]) * 6,
        "linear_num_key_heads": LINEAR_HEADS,
        "linear_num_value_heads": LINEAR_HEADS,
        "linear_key_head_dim": LINEAR_WIDTH,
        "linear_value_head_dim": LINEAR_WIDTH,
        "linear_conv_kernel_dim": KERNEL,
    },
)
