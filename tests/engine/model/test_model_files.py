"""What config.json says, under whatever name it says it."""

from pathlib import Path
from typing import Any

import pytest

from engine.errors import ModelUnsupported
from engine.model.model_files import read_context_length, read_window

HERE = Path("model")
LONG = {"rope_type": "longrope", "original_max_position_embeddings": 4096}


@pytest.mark.parametrize(
    ("settings", "length"),
    [
        ({"max_position_embeddings": 2048}, 2048),
        ({"seq_length": 8192}, 8192),
        ({"n_positions": 1024}, 1024),
        ({"n_ctx": 512}, 512),
        ({"max_seq_len": 4096}, 4096),
        ({"max_sequence_length": 2048}, 2048),
        ({"text_config": {"max_position_embeddings": 32768}}, 32768),
        ({"max_position_embeddings": None, "n_ctx": 512}, 512),
        ({"max_position_embeddings": True, "n_ctx": 512}, 512),
        ({"model_type": "bloom"}, 2048),
        ({"model_type": "falcon", "alibi": True}, 2048),
    ],
)
def test_how_long_the_context_is(settings: dict[str, Any], length: int) -> None:
    assert read_context_length(settings, HERE) == length


@pytest.mark.parametrize(
    "settings",
    [
        {"max_position_embeddings": 131072, "rope_scaling": LONG},
        {"max_position_embeddings": 131072, "rope_parameters": LONG},
        {
            "max_position_embeddings": 131072,
            "original_max_position_embeddings": 4096,
            "rope_scaling": {"type": "su"},
        },
    ],
)
def test_longrope_ends_where_its_short_factors_do(settings: dict[str, Any]) -> None:
    assert read_context_length(settings, HERE) == 4096


def test_other_scaling_takes_the_whole_context() -> None:
    yarn = {"rope_type": "yarn", "original_max_position_embeddings": 4096}
    assert (
        read_context_length({"max_position_embeddings": 16384, "rope_scaling": yarn}, HERE) == 16384
    )


def test_a_model_that_says_nothing_of_its_context_is_refused() -> None:
    with pytest.raises(ModelUnsupported, match="how long"):
        read_context_length({"model_type": "llama"}, HERE)


@pytest.mark.parametrize(
    ("settings", "window"),
    [
        ({}, None),
        ({"sliding_window": None}, None),
        ({"window_size": 256}, 256),
        ({"sliding_window": 4096}, 4096),
    ],
)
def test_how_far_layers_look_back(settings: dict[str, Any], window: int | None) -> None:
    assert read_window(settings) == window
