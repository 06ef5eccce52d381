"""What a family of models is: how its configuration is read and its tensors renamed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from export.layouts import Tensors
from export.sources.checkpoint import Config
from export.spec import DecoderSpec


@dataclass(frozen=True)
class Family:
    """One of them."""

    spec: Callable[[Config], DecoderSpec]
    canonical: Callable[[DecoderSpec, Tensors], Tensors]
    # What Hugging Face's configuration class assumes where config.json is silent.
    defaults: Config = field(default_factory=dict)
