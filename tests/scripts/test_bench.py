"""The benchmark's arithmetic and report, and the reference search; other toolkits are not needed."""

from __future__ import annotations

import multiprocessing.dummy
import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from benchmarks import busy, decoding, joeynmt_settings, ours, product_speed, products, size, training
from benchmarks.decoding import Cell, Measured, Plan, Row
from benchmarks.products import PieceCounts, Product, products_alone, training_operations, weight_products
from benchmarks.report import installed, markdown_table, medians, replace_section
from benchmarks.translating import in_order_of_length
from benchmarks.work import Job, Work, lay_out
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from tests.reference_search import translate_one
from translate.config.model_settings import ModelSettings
from translate.config.settings import Config
from translate.config.toml import changed_search
from translate.data.readers.lines import read_lines
from translate.decoding.engine import Sentence
from translate.decoding.line_translator import LineTranslator
from translate.decoding.torch_engine import TorchEngine
from translate.model.recurrent import Recurrent
from translate.model.transformer import Transformer
from translate.run.folder import Run

TINY = ModelSettings(d_model=8, d_ff=16, num_heads=2, num_encoder_layers=2, num_decoder_layers=1, dropout=0.0)
NUM_PIECES = 11
PLAN = Plan(["ours"], ["float32", "float16"], [2], device="cpu", threads=1, rounds=1, num_sentences=4)

TRAINED = training.Measured(1.0, 0.0, 1.0, 1.0, 0.5, 100.0, 10**9, 1000, device_name="", versions={})


def test_operations_match_pytorchs_count_for_a_step() -> None:
    num_rows, src_length, tgt_length = 3, 5, 4
    model = Transformer(TINY, NUM_PIECES, NUM_PIECES, is_joint=True).train()
    src = torch.ones(num_rows, src_length, dtype=torch.long)
    tgt = torch.ones(num_rows, tgt_length, dtype=torch.long)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(src, src > 0, tgt).sum().backward()
    pieces = PieceCounts.of_batch([src_length] * num_rows, [tgt_length] * num_rows)
    assert training_operations(TINY, NUM_PIECES, pieces) == counter.get_total_flops()


def test_operations_of_a_recurrent_model_match_pytorchs_count() -> None:
    num_rows, src_length, tgt_length = 3, 5, 4
    settings = ModelSettings(architecture="recurrent", d_model=8, num_encoder_layers=2, num_decoder_layers=2)
    model = Recurrent(settings, NUM_PIECES, NUM_PIECES, is_joint=True).train()
    src = torch.ones(num_rows, src_length, dtype=torch.long)
    tgt = torch.ones(num_rows, tgt_length, dtype=torch.long)
    with FlopCounterMode(display=False) as counter:
        model(src, src > 0, tgt).sum().backward()
    pieces = PieceCounts.of_batch([src_length] * num_rows, [tgt_length] * num_rows)
    bridge = 3 * 2 * num_rows * model.bridge.in_features * model.bridge.out_features
    zeros = 2 * 2 * 2 * num_rows * 4 * 12  # first states of two directions of two layers, which need no gradient
    assert training_operations(settings, NUM_PIECES, pieces) + bridge - zeros == counter.get_total_flops()


def test_this_toolkit_counts_as_installed() -> None:
    assert installed(training.PACKAGES, ["ours"]) == installed(training.RECURRENT_PACKAGES, ["ours"]) == ["ours"]


def test_recurrent_models_are_compared_with_joeynmts_of_the_same_shapes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    speeds = iter([300.0, 100.0, 600.0, 800.0, 200.0, 400.0])  # in three rounds, ours and JoeyNMT's
    jobs: list[tuple[str, Work]] = []

    def in_no_process(task: str, job: Work) -> dict[str, Any]:
        jobs.append((task, job))
        return asdict(TRAINED) | {"tokens_per_second": next(speeds)}

    monkeypatch.setattr(training, "in_child", in_no_process)
    models = training.recurrent_models(ModelSettings(d_model=8, num_encoder_layers=1, num_decoder_layers=2), ["lstm"])
    plan = training.Plan(models, ["ours", "joeynmt"], ["float32"], [64], "cpu", threads=1, warm_up=1, steps=1, rounds=3)
    rows = training.measure(plan, tmp_path, Config())
    assert [task for task, _ in jobs] == ["ours.train", "joeynmt.train"] * 3
    assert {job.config.model for _, job in jobs} == {models["lstm"]}
    assert [row.times_joeynmt for row in rows] == [0.75, 1.0]  # the median of 3, 0.75 and 0.5
    report = training.report(plan, rows, Config())
    assert report.title == "Training recurrent models on the CPU: 1+2 layers, width 8, batches of 64 pieces"
    assert report.rows[0]["system"] == "ours"
    assert report.rows[0]["model"]["cell"] == "lstm"
    assert "0.75" in report.table.splitlines()[2]
    stacks = joeynmt_settings.model_settings(models["lstm"])
    assert {stacks[side]["rnn_type"] for side in ("encoder", "decoder")} == {"lstm"}
    assert (stacks["encoder"]["hidden_size"], stacks["decoder"]["hidden_size"]) == (4, 8)
    assert (stacks["encoder"]["num_layers"], stacks["decoder"]["num_layers"]) == (1, 2)


def test_operations_of_a_single_pair_match_a_manual_count() -> None:
    one_layer = ModelSettings(d_model=2, d_ff=3, num_heads=1, num_encoder_layers=1, num_decoder_layers=1)
    encoder = 4 * 2 * 2 + 2 * 2 * 3 + 2 * 1 * 2  # projections, feed-forward, one pair of pieces in two products
    decoder = 8 * 2 * 2 + 2 * 2 * 3 + 2 * 2 * 2
    logits = 2 * 7
    assert training_operations(one_layer, 7, PieceCounts.of_batch([1], [1])) == 3 * 2 * (encoder + decoder + logits)


def test_padding_does_not_count_as_work() -> None:
    together = PieceCounts.of_batch([2, 6], [3, 3])
    apart = PieceCounts.of_batch([2], [3]) + PieceCounts.of_batch([6], [3])
    assert training_operations(TINY, NUM_PIECES, together) == training_operations(TINY, NUM_PIECES, apart)
    assert together.padding == pytest.approx(4 / 18)
    assert apart.padding == 0


def test_matrix_products_have_a_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.products.LOOP_SECONDS", 0.001)
    assert products_alone(weight_products(TINY, NUM_PIECES, 4, 3), "cpu", "float32") > 0
    assert products_alone([Product(4, 8, 8, 1)], "cpu", "bfloat16") > 0


def test_the_products_of_each_library_have_a_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(product_speed, "SECONDS", 0.0)
    monkeypatch.setattr(product_speed, "SHAPES", [(8, 16)])
    rows = product_speed.measure([4], torch.get_num_threads()).rows
    assert [row["library"] for row in rows][:: len(rows) - 1] == ["MKL, float32", "oneDNN, bfloat16"]
    assert all(row["forward"] > 0 and row["input_gradient"] > 0 and row["weight_gradient"] > 0 for row in rows)


def test_table_is_aligned_markdown() -> None:
    assert markdown_table(["system", "tokens/s"], [["ours", "1,000"], ["another one", "7"]]).splitlines() == [
        "| system      | tokens/s |",
        "|-------------|---------:|",
        "| ours        |    1,000 |",
        "| another one |        7 |",
    ]


def test_section_is_replaced_in_place_or_appended() -> None:
    document = "# Title\n\nText.\n\n## One\n\nold\n\n### Part\n\n## Two\n\nkept\n"
    assert replace_section(document, "One", "new\n") == "# Title\n\nText.\n\n## One\n\nnew\n\n## Two\n\nkept\n"
    assert replace_section(document, "Two", "new") == document.replace("kept", "new")
    assert replace_section(document, "Three", "new") == document + "\n## Three\n\nnew\n"
    again = replace_section(replace_section(document, "Three", "new"), "Three", "new")
    assert again == replace_section(document, "Three", "new")


@pytest.mark.parametrize("beam_size", [1, 2, 5])
@pytest.mark.parametrize("length_penalty", [0.0, 1.0])
def test_reference_search_matches_beam_search(
    translator: LineTranslator, corpus: Path, beam_size: int, length_penalty: float
) -> None:
    settings = changed_search(translator.settings, {"beam_size": beam_size, "length_penalty": length_penalty})
    rows = translator.vocabs.src.encode(list(read_lines(corpus / "valid.en"))[::4])
    sentences = [Sentence((*row, translator.vocabs.src.eos_id)) for row in rows]
    engine, tgt = translator.engine, translator.vocabs.tgt
    assert isinstance(engine, TorchEngine)
    for sentence, hypotheses in zip(sentences, engine.search(sentences, settings, beam_size), strict=True):
        reference = translate_one(engine.model, sentence, settings, tgt.bos_id, tgt.eos_id)
        assert [hypothesis.pieces for hypothesis in reference] == [hypothesis.pieces for hypothesis in hypotheses]
        scores = [hypothesis.score for hypothesis in hypotheses]
        assert [hypothesis.score for hypothesis in reference] == pytest.approx(scores, abs=1e-4)


def test_lines_sorted_by_length_are_returned_in_order() -> None:
    seen: list[str] = []

    def translate(lines: Sequence[str]) -> list[str]:
        seen.extend(lines)
        return [line.upper() for line in lines]

    assert in_order_of_length(["bb", "a", "cccc", "ddd"], translate) == ["BB", "A", "CCCC", "DDD"]
    assert seen == ["cccc", "ddd", "bb", "a"]


def test_decoding_benchmark_measures_a_separate_process(
    tmp_path: Path, tiny_run: Path, translator: LineTranslator, corpus: Path
) -> None:
    for language, name in ("en", "valid.en"), ("de", "valid.fr"):
        (tmp_path / f"test_2016_flickr.{language}").write_bytes((corpus / name).read_bytes())
    (row,) = decoding.measure(PLAN, tmp_path, tmp_path, Run.open(tiny_run))
    settings = changed_search(translator.settings, {"beam_size": 2})
    lines = list(read_lines(corpus / "valid.en"))[:4]
    assert row.measured.translations == [found.text for found in translator.translations(lines, settings)]
    assert (*row.cell, row.num_same_as_ours) == ("ours", "float32", 2, 4)
    assert row.first_translation_seconds > row.measured.load_seconds > 0


def test_busy_benchmark_trains_and_decodes_under_every_condition(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tiny_run: Path, tiny_config: Config, corpus: Path
) -> None:
    monkeypatch.setenv(busy.SPIN_COUNT, "5")
    monkeypatch.setattr(products, "LOOP_SECONDS", 0.001)
    spins = []

    def in_this_process(task: str, job: Job) -> dict[str, Any]:
        spins.append(os.environ[busy.SPIN_COUNT])
        return asdict(getattr(ours, task.removeprefix("ours."))(job))

    monkeypatch.setattr(busy, "in_child", in_this_process)
    text = [list(read_lines(corpus / f"train.{language}")) for language in ("en", "fr")]
    config = lay_out(tmp_path, {"train": (text[0], text[1]), "valid": (text[0][:4], text[1][:4])}, tiny_config)
    plan = busy.Plan([9, 3], [0, 1], threads=1, rounds=1, warm_up=1, steps=1)
    report = busy.measure(plan, tmp_path, config, tiny_run, corpus / "valid.en")
    assert spins == ["9", "9", "3", "3"] * 2
    assert os.environ[busy.SPIN_COUNT] == "5"
    cells = [(row["task"], row["busy"], row["spin_count"]) for row in report.rows]
    assert cells == [(task, count, spin) for task in ("decoding", "training") for count in (0, 1) for spin in (3, 9)]
    assert [row["relative"] for row in report.rows if (row["busy"], row["spin_count"]) == (0, 9)] == [1.0, 1.0]


def test_decoding_row_is_reported_as_json_and_as_a_table() -> None:
    report = decoding.report(PLAN, [_row("ours", bleu=40.0)], Config())
    (told,) = report.rows
    assert told["system"] == "ours"
    assert told["precision"] == "float32"
    assert told["device"] == "cpu"
    assert told["beam_size"] == 2
    assert told["sentences_per_second"] == 100.0
    assert told["bleu"] == 40.0
    assert told["peak_memory_bytes"] == 300_000_000
    assert told["num_sentences"] == 2
    assert "translations" not in told
    assert report.title == "Decoding on the CPU: 3+3 layers, width 256"
    line = report.table.splitlines()[-1]
    assert [cell.strip() for cell in line.strip("|").split("|")] == [
        *("ours", "float32", "2", "100.0", "40.00", "50.0%", "1.00", "0.30 GB", "1.50 s")
    ]


def test_medians_use_all_measurements() -> None:
    rounds = [replace(_row("ours", bleu=40.0).measured, sentences_per_second=speed) for speed in (3.0, 1.0, 8.0)]
    assert medians(rounds) == rounds[0]
    assert medians(rounds[1:]).sentences_per_second == 4.5
    assert medians(rounds[1:]).peak_memory_bytes == 300_000_000


def test_corpus_size_benchmark_trains_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads, which start sooner than processes, write the corpus."""
    monkeypatch.setattr(size, "get_context", lambda method: multiprocessing.dummy)
    report = size.measure(tmp_path, [400], threads=1)
    (row,) = report.rows
    assert row["pairs"] == 400
    assert row["encoded_pairs_per_second"] > 100
    assert row["peak_mb"] > 50
    assert row["seconds_to_first_step"] > 0
    assert len((tmp_path / "toy-400.fr").read_text().splitlines()) == 400


def _row(system: str, bleu: float) -> Row:
    measured = Measured(
        sentences_per_second=100.0,
        load_seconds=0.1,
        cores_used=1.0,
        peak_memory_bytes=300_000_000,
        num_pieces=20,
        translations=["Ein Hund.", "Eine Katze."],
        device_name="",
        versions={},
    )
    return Row(Cell(system, "float32", 2), measured, 1.5, [100.0], bleu, num_same_as_ours=1)
