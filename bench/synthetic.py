"""Checkpoints with the shapes of well-known models and random weights: enough to measure speed.

Owns: the shapes, and the folder in which exported models are kept for later runs. Does not know:
what is measured. Text from such a model means nothing; its tokenizer gives one token for a byte.
"""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

FOLDER = Path("data/bench")
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# Odd, so that no two layers hold the same values: equal constants are stored, and read, only once.
_POOL_VALUES = (1 << 24) - 3


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What a model's speed depends on. Attention heads are `head_dim` wide; biases on q, k, v."""

    model_type: str
    hidden: int
    wide: int
    layers: int
    heads: int
    kv_heads: int
    vocab: int
    tied: bool
    qkv_bias: bool = False
    settings: dict[str, Any] = field(default_factory=dict)

    def config(self) -> dict[str, Any]:
        """The config.json of such a model."""
        return {
            "model_type": self.model_type,
            "hidden_size": self.hidden,
            "intermediate_size": self.wide,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "vocab_size": self.vocab,
            "tie_word_embeddings": self.tied,
            "hidden_act": "silu",
            "bos_token_id": 1,
            "eos_token_id": 2,
            **self.settings,
        }

    def tensors(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of all weights."""
        head = {} if self.tied else {"lm_head.weight": (self.vocab, self.hidden)}
        return {
            "model.embed_tokens.weight": (self.vocab, self.hidden),
            **head,
            "model.norm.weight": (self.hidden,),
            **{
                f"model.layers.{i}.{name}": shape
                for i in range(self.layers)
                for name, shape in self._layer(i).items()
            },
        }

    def _layer(self, _index: int) -> dict[str, tuple[int, ...]]:
        hidden, wide = self.hidden, self.wide
        narrow = hidden // self.heads * self.kv_heads
        outputs = {"q": hidden, "k": narrow, "v": narrow}
        biases = {f"self_attn.{name}_proj.bias": (size,) for name, size in outputs.items()}
        return {
            **{f"self_attn.{name}_proj.weight": (size, hidden) for name, size in outputs.items()},
            **(biases if self.qkv_bias else {}),
            "self_attn.o_proj.weight": (hidden, hidden),
            "mlp.gate_proj.weight": (wide, hidden),
            "mlp.up_proj.weight": (wide, hidden),
            "mlp.down_proj.weight": (hidden, wide),
            "input_layernorm.weight": (hidden,),
            "post_attention_layernorm.weight": (hidden,),
        }


LLAMA_2_7B = Shape(
    model_type="llama",
    hidden=4096,
    wide=11008,
    layers=32,
    heads=32,
    kv_heads=32,
    vocab=32000,
    tied=False,
    settings={"rms_norm_eps": 1e-5, "max_position_embeddings": 4096},
)
QWEN2_5_0_5B = Shape(
    model_type="qwen2",
    hidden=896,
    wide=4864,
    layers=24,
    heads=14,
    kv_heads=2,
    vocab=151936,
    tied=True,
    qkv_bias=True,
    settings={"rms_norm_eps": 1e-6, "rope_theta": 1e6, "max_position_embeddings": 32768},
)
SHAPES = {"llama-2-7b": LLAMA_2_7B, "qwen2.5-0.5b": QWEN2_5_0_5B}


def model_dir(name: str, folder: Path = FOLDER, shape: Shape | None = None) -> Path:
    """The int4 export of `shape`, else of SHAPES[name], made at the first call.

    7B: minutes, and 18 GB of disk for a while.
    """
    shape = shape or SHAPES[name]
    out = folder / f"{name}-int4"
    if (out / "manifest.json").is_file():
        return out
    source = folder / f"{name}-checkpoint"
    shutil.rmtree(source, ignore_errors=True)
    source.mkdir(parents=True)
    print(f"making a synthetic {name} in int4, kept in {out}", flush=True)
    write_checkpoint(source, shape)
    write_tokenizer(source, shape.vocab)
    # In a process of its own: what it takes of memory does not count where memory is measured.
    options = ["--weights", "int4", "--no-scale-search", "--out", str(out)]
    subprocess.run([sys.executable, "-m", "export", str(source), *options], check=True)
    shutil.rmtree(source)
    return out


def write_checkpoint(folder: Path, shape: Shape) -> None:
    """config.json and model.safetensors (bfloat16), written tensor by tensor."""
    (folder / "config.json").write_text(json.dumps(shape.config()), "utf-8")
    header, offset = {}, 0
    tensors = shape.tensors()
    for name, size in tensors.items():
        end = offset + 2 * int(np.prod(size))
        header[name] = {"dtype": "BF16", "shape": list(size), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        _write_values(file, offset // 2)


def write_tokenizer(folder: Path, vocab: int) -> None:
    """A tokenizer of `vocab` tokens with which each byte is one; the rest are only ever generated."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*alphabet, *(f"w{i}" for i in range(len(alphabet), vocab))]
    tokens[-3:] = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    ids = {token: i for i, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocab=ids, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(t, special=True) for t in tokens[-3:]])
    tokenizer.save(str(folder / "tokenizer.json"))
    names = {"eos_token": tokens[-1], "pad_token": tokens[-3], "chat_template": TEMPLATE}
    (folder / "tokenizer_config.json").write_text(json.dumps(names), "utf-8")


def _write_values(file: BinaryIO, count: int) -> None:
    """`count` random values, from a pool that is written over and over."""
    values = np.random.default_rng(0).standard_normal(_POOL_VALUES, np.float32)
    pool = ((values * np.float32(0.02)).view(np.uint32) >> 16).astype("<u2")
    file.writelines(pool[: count - written].data for written in range(0, count, pool.size))
