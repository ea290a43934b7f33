"""The benchmark's arithmetic and its report; no peer is needed."""

from __future__ import annotations

import pytest
import torch
from benchmarks.products import PieceCounts, Product, products_alone, training_operations, weight_products
from benchmarks.table import markdown_table, replace_section
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from translate.model import Transformer
from translate.settings import ModelSettings

TINY = ModelSettings(d_model=8, d_ff=16, num_heads=2, num_encoder_layers=2, num_decoder_layers=1, dropout=0.0)
NUM_PIECES = 11


def test_operations_are_those_that_pytorch_counts_in_a_step() -> None:
    num_rows, src_length, tgt_length = 3, 5, 4
    model = Transformer(TINY, NUM_PIECES, NUM_PIECES, is_joint=True).train()
    src = torch.ones(num_rows, src_length, dtype=torch.long)
    tgt = torch.ones(num_rows, tgt_length, dtype=torch.long)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(src, src > 0, tgt).sum().backward()
    pieces = PieceCounts.of_batch([src_length] * num_rows, [tgt_length] * num_rows)
    assert training_operations(TINY, NUM_PIECES, pieces) == counter.get_total_flops()


def test_operations_of_a_single_pair_by_hand() -> None:
    one_layer = ModelSettings(d_model=2, d_ff=3, num_heads=1, num_encoder_layers=1, num_decoder_layers=1)
    encoder = 4 * 2 * 2 + 2 * 2 * 3 + 2 * 1 * 2  # projections, feed-forward, one pair of pieces in two products
    decoder = 8 * 2 * 2 + 2 * 2 * 3 + 2 * 2 * 2
    logits = 2 * 7
    assert training_operations(one_layer, 7, PieceCounts.of_batch([1], [1])) == 3 * 2 * (encoder + decoder + logits)


def test_padding_is_no_work() -> None:
    together = PieceCounts.of_batch([2, 6], [3, 3])
    apart = PieceCounts.of_batch([2], [3]) + PieceCounts.of_batch([6], [3])
    assert training_operations(TINY, NUM_PIECES, together) == training_operations(TINY, NUM_PIECES, apart)
    assert together.padding == pytest.approx(4 / 18)
    assert apart.padding == 0


def test_the_products_alone_have_a_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.products.LOOP_SECONDS", 0.001)
    assert products_alone(weight_products(TINY, NUM_PIECES, 4, 3), "cpu", "float32") > 0
    assert products_alone([Product(4, 8, 8, 1)], "cpu", "bfloat16") > 0


def test_a_table_is_aligned_markdown() -> None:
    assert markdown_table(["system", "tokens/s"], [["ours", "1,000"], ["another one", "7"]]).splitlines() == [
        "| system      | tokens/s |",
        "|-------------|---------:|",
        "| ours        |    1,000 |",
        "| another one |        7 |",
    ]


def test_a_section_is_replaced_where_it_stands_or_added_at_the_end() -> None:
    document = "# Title\n\nText.\n\n## One\n\nold\n\n### Part\n\n## Two\n\nkept\n"
    assert replace_section(document, "One", "new\n") == "# Title\n\nText.\n\n## One\n\nnew\n\n## Two\n\nkept\n"
    assert replace_section(document, "Two", "new") == document.replace("kept", "new")
    assert replace_section(document, "Three", "new") == document + "\n## Three\n\nnew\n"
    again = replace_section(replace_section(document, "Three", "new"), "Three", "new")
    assert again == replace_section(document, "Three", "new")
