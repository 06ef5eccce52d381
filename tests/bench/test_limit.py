"""The pure parts of the limit benchmark: bytes that a token reads, shares, reading memory."""

import numpy as np
import pytest

from bench.bare import WeightPort, bytes_per_token, step_inputs
from bench.limit import METHODS, Bandwidth, Decoding, share


def test_a_gather_reads_one_row_and_a_matrix_all() -> None:
    embedding = WeightPort("Gather", (49152, 576), 8)
    head = WeightPort("FullyConnected", (49152, 576), 8)
    assert (embedding.bytes_read, head.bytes_read) == (576, 49152 * 576)


def test_four_bit_codes_are_two_to_a_byte_and_kv_counts() -> None:
    ports = [WeightPort("FullyConnected", (64, 32), 4), WeightPort("FullyConnected", (64, 1), 32)]
    assert bytes_per_token(ports, 100.0) == 1024 + 256 + 100


def test_a_decode_at_the_bandwidth_has_a_share_of_one() -> None:
    assert share(100.0, 4e8, 4e10) == pytest.approx(1)
    figures = Decoding(4 * 10**8, 2 * 10**8, [0.02, 0.02, 9.0], [0.0125]).figures(4e10)
    assert (figures["share"], figures["bare_share"], figures["share_of_stored"]) == (0.5, 0.8, 0.25)


def test_sequences_of_a_bare_step_share_no_block() -> None:
    inputs = step_inputs([31, 32, 100], 1, 32, 1000)
    blocks = inputs["block_indices"].tolist()
    assert len(set(blocks)) == len(blocks) == 1 + 2 + 4
    assert inputs["past_lens"].tolist() == [31, 32, 100]
    assert inputs["logit_indices"].tolist() == [0, 1, 2]


def test_every_way_to_read_memory_reads_all_of_it() -> None:
    chunk = np.full(1 << 12, 7, np.uint8)
    assert METHODS["memchr"](chunk) is None
    assert METHODS["memcmp"](chunk) == 0
    chunk[-1] = 1
    assert METHODS["memchr"](chunk) == chunk.ctypes.data + chunk.size - 1
    assert METHODS["memcmp"](chunk) != 0


def test_every_rate_of_each_method_is_kept() -> None:
    bandwidth = Bandwidth(threads=2, num_bytes=1 << 16)
    for _ in range(3):
        bandwidth.measure()
    bandwidth.close()
    assert {name: len(rates) for name, rates in bandwidth.rates.items()} == dict.fromkeys(
        METHODS, 3
    )
    assert all(rate > 0 for rates in bandwidth.rates.values() for rate in rates)


def test_a_single_high_rate_is_the_peak_but_not_the_median() -> None:
    bandwidth = Bandwidth(threads=2, num_bytes=1 << 16)
    bandwidth.close()
    bandwidth.rates = {"slow": [1.0, 9.0, 2.0], "steady": [3.0, 3.0, 3.0]}
    assert bandwidth.medians == {"slow": 2.0, "steady": 3.0}
    assert bandwidth.peak == 9.0
