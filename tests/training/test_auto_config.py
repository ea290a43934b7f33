"""Settings chosen to fit the training text when there is no settings file."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.helpers.corpora import TOY, head, write_many_pairs
from tests.helpers.runs import CPU, changed, train_into
from translate import cli
from translate.api import load_translator
from translate.config.model_settings import USERS
from translate.config.settings import Config
from translate.config.toml import load_config
from translate.data.parallel_text import ParallelText
from translate.data.readers.sides import Side
from translate.data.text_scan import MIN_SPLIT_PAIRS, scan_text
from translate.data.vocab import train_vocab
from translate.errors import UserError
from translate.run.folder import Run
from translate.run.model import parameter_shapes
from translate.system.distributed import ALONE
from translate.training.auto_config import LATE, TextMeasures, choose_settings, explain, measure_text
from translate.training.estimate import steps_per_epoch
from translate.training.loop import train
from translate.training.prepare import prepare
from translate.training.resolve_config import resolve_new
from translate.training.sizes import SIZES

CUDA = torch.device("cuda")
OF_EACH_SIZE = [TextMeasures(int(min(size.max_pairs, 10**9)), 50.0, 50.0, size.vocab, 15.0) for size in SIZES]


def written(folder: Path, src: str, tgt: str) -> dict[str, object]:
    """Write two files and return them as settings for `load_config`."""
    for name, text in ("a.src", src), ("a.tgt", tgt):
        (folder / name).write_text(text, encoding="utf-8")
    return {"data.train_src": str(folder / "a.src"), "data.train_tgt": str(folder / "a.tgt")}


def measured(folder: Path, src: str, tgt: str, fixed: dict[str, object] | None = None) -> TextMeasures:
    written(folder, src, tgt)
    text = ParallelText(Side(folder / "a.src", 1), Side(folder / "a.tgt", 1))
    measures = measure_text(scan_text(text), load_config(None, fixed or {}).vocab, fixed or {})
    assert measures
    return measures


def test_measures_count_only_pairs_with_text_on_both_sides(tmp_path: Path) -> None:
    found = measured(tmp_path, "abc\n\nabcde\nx\n", "a\nb\nabc\n \n", {"vocab.algorithm": "char"})
    assert found[:3] == (2, 4.0, 2.0)
    assert found.tgt_pieces == 2.0 + 2  # the start of a word and the end of the line


def test_a_vocabulary_has_no_rare_pieces(tmp_path: Path) -> None:
    """Each word occurs as often on both sides together as twice its count says, and has letters of its own."""
    words = [f"{chr(97 + i)}{chr(65 + i)}" for i in range(26)]
    counts = {word: 30 if number < 20 else 4 for number, word in enumerate(words)}
    lines = "".join(f"{word}\n" * count for word, count in counts.items())
    size = measured(tmp_path, lines, lines).vocab_size
    pieces = train_vocab(lines.split, load_config(None, {"vocab.size": size}).vocab, 1, print).ids
    found = [word for word in words if f"▁{word}" in pieces]
    assert set(found) <= set(words[:20])
    assert len(found) >= 16  # the size is exact to within 2%


def test_a_text_without_spaces_gets_words_not_clauses(tmp_path: Path) -> None:
    subjects, verbs, objects = (
        line.split() for line in ("我 你 他 她 我们 他们", "买 卖 画 找到 洗", "苹果 灯 绳子 钟 船")
    )
    tgt = [f"{subject}{verb}{thing}。" for subject in subjects for verb in verbs for thing in objects]
    src = [f"s{i // 25} v{i // 5 % 5} o{i % 5}" for i in range(len(tgt))]
    given = written(tmp_path, "\n".join(src) + "\n", "\n".join(tgt) + "\n")
    config = resolve_new(None, given, "cpu").config
    vocab = train_vocab(lambda: src + tgt, config.vocab, seed=1, log=print)
    words = {*subjects, *verbs, *objects, *"".join(tgt)}
    assert {piece.strip("▁") for line in vocab.encode(tgt) for piece in vocab.pieces(line)} <= {"", *words}


@pytest.mark.parametrize("given", [{}, {"vocab.size": 400}, {"vocab.joint": False}], ids=str)
def test_a_vocabulary_of_the_chosen_size_can_be_trained(tmp_path: Path, given: dict[str, object]) -> None:
    src, tgt = (head(TOY / f"train.{language}", 300) for language in ("en", "fr"))
    config = resolve_new(None, written(tmp_path, src, tgt) | given, "cpu").config
    for text in src, tgt:
        assert train_vocab(lambda text=text: text.splitlines(), config.vocab, 1, print).size <= config.vocab.size
    assert given.get("vocab.size", config.vocab.size) == config.vocab.size


def test_character_pieces_need_no_size(tmp_path: Path) -> None:
    given = written(tmp_path, "the cat\n" * 60, "le chat\n" * 60) | {"vocab.algorithm": "char"}
    resolved = resolve_new(None, given, "cpu")
    assert resolved.config.vocab.size == Config().vocab.size
    assert "pieces; one per character" in resolved.reasons[1]


@pytest.mark.parametrize("num_pairs", [20, 200, 1000])
def test_a_small_text_gets_enough_steps(tmp_path: Path, num_pairs: int) -> None:
    src, tgt = (head(TOY / f"train.{language}", num_pairs) for language in ("en", "fr"))
    config = resolve_new(None, written(tmp_path, src, tgt), "cpu").config
    prepared = prepare(Run.create(tmp_path / "run", config), config)
    an_epoch = steps_per_epoch(prepared, config.train, ALONE)
    assert an_epoch >= 5
    assert an_epoch * config.train.max_epochs >= 600


def test_a_text_without_pairs_is_refused(tmp_path: Path) -> None:
    given = written(tmp_path, "a\n\n", "\nb\n")
    with pytest.raises(UserError, match=r"a\.src: no pair of lines has text on both sides"):
        resolve_new(None, given, "cpu")


def test_larger_texts_get_larger_settings_and_less_dropout() -> None:
    chosen = [choose_settings({}, figures, CUDA) for figures in OF_EACH_SIZE]
    for name in "vocab.size", "model.d_model", "train.batch_tokens":
        values = [each[name] for each in chosen]
        assert values == sorted(values)
    for name, first in ("model.dropout", 2), ("train.max_epochs", 1):  # the others are recombined, or memorized
        values = [each[name] for each in chosen[first:]]
        assert values == sorted(values, reverse=True)
    for each in chosen:
        load_config(None, each)


def test_a_training_that_is_too_short_for_the_text_gets_a_narrower_model() -> None:
    measures = TextMeasures(164_000, 30.0, 34.0, 10_000, 10.7)

    def shape(given: dict[str, Any], device: torch.device = CPU, measures: TextMeasures = measures) -> tuple[Any, ...]:
        chosen = choose_settings(given, measures, device)
        return tuple(chosen.get(f"model.{name}") for name in ("d_model", "d_ff", "num_encoder_layers"))

    shapes = (96, 288, 4), (128, 512, 4), (192, 768, 3), (256, 1024, 3)
    assert [shape({"train.max_minutes": each}) for each in (3, 10, 30, 60)] == [*shapes]
    assert [shape({"train.max_epochs": each}) for each in (1, 2, 3)] == [shapes[0], *shapes[2:]]
    assert [shape({"train.max_steps": each}) for each in (1700, 2500, 4000, 5000)] == [*shapes]
    assert shape({}, CPU) == shape({}, CPU, OF_EACH_SIZE[4]) == (256, 1024, 3)  # an hour
    assert shape({}, CPU, OF_EACH_SIZE[-1]) == (192, 768, 3)
    assert shape({}, CUDA) == shape({"train.max_minutes": 1}, CUDA) == (256, 1024, 3)
    multi30k = TextMeasures(29_000, 60.0, 65.0, 10_000, 14.0)
    assert [shape({"train.max_minutes": each}, CPU, multi30k) for each in (3, 10)] == [(96, 288, 4), (128, 384, 4)]
    assert shape({"train.max_minutes": 3, "model.d_ff": 500}) == (256, None, 3)  # a shape is not mixed from two
    assert shape({"train.max_minutes": 1}, CPU, OF_EACH_SIZE[1]) == (128, 512, 4)
    recurrent = [{"model.architecture": "recurrent", "train.max_minutes": each} for each in (3, 600)]
    assert shape(recurrent[0]) == shape(recurrent[1])
    layers = {each: choose_settings({"model.architecture": "decoder-only", "train.max_minutes": each}, measures, CPU)
              for each in (10, 600)}  # fmt: skip
    assert [each["model.num_decoder_layers"] for each in layers.values()] == [9, 7]


def test_the_command_chooses_a_narrow_model_for_a_short_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_many_pairs(tmp_path)
    texts = ["--src", str(tmp_path / "t.en"), "--tgt", str(tmp_path / "t.fr"), "--dry-run"]
    quick = ["--set", "vocab.size=300", "--set", "train.batch_tokens=64", "--set", "train.max_epochs=1"]
    assert cli._run(["train", *texts, *quick]) == 0
    assert "4 + 4 layers, width 96," in "".join(capsys.readouterr())


def test_a_small_text_is_recombined_unless_the_user_changes_it_otherwise() -> None:
    assert [choose_settings({}, figures, CPU)["train.recombine"] for figures in OF_EACH_SIZE] == [0, 0.75, 0, 0, 0, 0]
    assert OF_EACH_SIZE[0].num_pairs == MIN_SPLIT_PAIRS - 1  # a text that is validated on itself is memorized
    for name, value in (
        ("vocab.dropout", 0.1),
        ("data.train_align", "links"),
        ("train.init_from", "runs/other"),
        ("model.architecture", "recurrent"),
    ):
        assert choose_settings({name: value}, OF_EACH_SIZE[1], CPU)["train.recombine"] == 0
    assert "train.recombine" not in choose_settings({"train.recombine": 0.2}, OF_EACH_SIZE[1], CPU)


def test_the_best_weights_of_a_small_text_are_those_that_translate_best() -> None:
    chosen = [choose_settings({}, figures, CPU)["train.best_by"] for figures in OF_EACH_SIZE]
    assert chosen == ["valid_loss", "chrf", *["valid_loss"] * 4]
    for given in {"train.validate_sentences": 0}, {"train.best_by": "bleu"}:
        values = choose_settings(given, OF_EACH_SIZE[1], CPU)
        assert "train.best_by" not in values
        load_config(None, given, values)


def test_dropout_grows_with_the_number_of_times_that_training_reads_the_text() -> None:
    measures = TextMeasures(29_000, 60.0, 65.0, 10_000, 14.0)

    def dropouts(limit: str, values: Sequence[float], device: torch.device = CPU) -> list[float]:
        return [choose_settings({limit: each}, measures, device)["model.dropout"] for each in values]

    by_minutes = dropouts("train.max_minutes", [0.1, 3, 10, 60, 1e6])
    assert by_minutes[:2] == [0, 0]
    assert by_minutes == sorted(by_minutes)
    assert by_minutes[-1] == 0.4
    r_drops = [choose_settings({"train.max_minutes": each}, measures, CPU)["train.rdrop"] for each in (3, 60, 120)]
    assert r_drops == [0, 0, SIZES[2].rdrop]
    assert dropouts("train.max_epochs", [1, 3, 10, 60]) == [0, 0, 0.1, 0.24]
    assert dropouts("train.max_steps", [num * 29_000 * 14 // 1024 for num in (1, 3, 10, 60)]) == [0, 0, 0.1, 0.24]
    assert dropouts("train.max_minutes", [3], CUDA) > dropouts(
        "train.max_minutes", [3]
    )  # as it reads the text more often
    settings = {"train.max_minutes": 3, "train.max_steps": 0}
    config = load_config(None, settings, choose_settings(settings, measures, CPU))
    assert "dropout 0, weight decay 0.1; too little time to overfit" in explain(config, measures, settings)[3]
    of_two = {"train.max_epochs": 60, "train.max_minutes": 3}
    assert choose_settings(of_two, measures, CPU)["model.dropout"] == 0  # the first limit counts


@pytest.mark.parametrize(
    ("given", "optimizer", "rates"),
    [
        ({}, "muon", (0.01, 9e-3)),
        ({"train.optimizer": "adamw"}, "adamw", (None, 3e-3)),
        ({"model.architecture": "decoder-only"}, "muon", (0.01, 9e-3)),
        ({"model.architecture": "recurrent"}, "adamw", (None, 2e-3)),
        ({"train.init_from": "runs/other"}, "adamw", (None, 7.5e-4)),
        ({"train.learning_rate": 1e-3}, "muon", (0.01, 1e-3)),
    ],
    ids=str,
)
def test_the_rates_are_those_of_the_optimizer(
    given: dict[str, object], optimizer: str, rates: tuple[float | None, float]
) -> None:
    settings = {**choose_settings(given, OF_EACH_SIZE[2], CPU), **given}
    assert settings["train.optimizer"] == optimizer
    assert (settings.get("train.muon_learning_rate"), settings["train.learning_rate"]) == rates


def test_a_script_with_many_characters_gets_a_large_enough_vocabulary(tmp_path: Path) -> None:
    characters = [chr(0x4E00 + i) for i in range(3000)]
    lines = ["".join(characters[i : i + 10]) for i in range(0, 3000, 10)] * 3
    given = written(tmp_path, "\n".join(lines) + "\n", "\n".join(lines) + "\n")
    config = resolve_new(None, given, "cpu").config
    assert train_vocab(lambda: lines, config.vocab, seed=1, log=lambda _: None).size > 3000


def test_settings_chosen_by_the_user_are_kept_and_reported(tmp_path: Path) -> None:
    given = written(tmp_path, "a b\n" * 30, "b c\n" * 30) | {"model.dropout": 0.05, "train.max_steps": 700}
    resolved = resolve_new(None, given, "cpu")
    config, told = resolved.config, resolved.reasons
    assert (config.model.dropout, config.train.max_steps, config.model.d_model) == (0.05, 700, SIZES[0].shape.d_model)
    assert len(told) == 5
    assert told[0].endswith(", keeping model.dropout, train.max_steps:")
    assert "dropout 0.05" in told[3]
    assert "700 steps" in told[4]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "3 + 3 layers, width 128, rotary positions (in Transformers: trust_remote_code)"),
        ({"model.positions": "sinusoidal"}, "3 + 3 layers, width 128, sinusoidal positions"),
        ({"model.architecture": "decoder-only"}, "7 layers, width 128, rotary positions"),
        ({"model.architecture": "recurrent"}, "1 + 1 GRU layers, width 192, additive attention"),
        (
            {"model.architecture": "recurrent", "model.attention": "none", "model.num_encoder_layers": 2},
            "2 + 1 GRU layers, width 192, no attention",
        ),
        ({"model.architecture": "recurrent", "model.cell": "lstm"}, "1 + 1 LSTM layers, width 192, additive attention"),
    ],
    ids=str,
)
def test_an_architecture_gets_settings_and_reasons_in_its_own_words(
    tmp_path: Path, given: dict[str, object], words: str
) -> None:
    resolved = resolve_new(None, written(tmp_path, "a b\n" * 30, "b c\n" * 30) | given, "cpu")
    assert resolved.reasons[2] == f"    model    {words}; larger models need more text or time"
    assert "dropout 0.1; reduces" in resolved.reasons[3]
    unused = {name for name, users in USERS.items() if given.get("model.architecture", "transformer") not in users}
    assert not {f"model.{name}" for name in unused} & resolved.chosen


@pytest.mark.parametrize("measures", OF_EACH_SIZE, ids=lambda measures: f"{measures.num_pairs} pairs")
def test_a_decoder_only_model_has_about_as_many_parameters_as_the_transformer(measures: TextMeasures) -> None:
    vocab = SimpleNamespace(size=measures.vocab_size)
    vocabs: Any = SimpleNamespace(src=vocab, tgt=vocab, joint=True)
    counts = []
    for architecture in "transformer", "decoder-only":
        chosen = choose_settings({"model.architecture": architecture}, measures, CPU)
        config = load_config(None, chosen, {"model.architecture": architecture})
        counts.append(sum(map(math.prod, parameter_shapes(config, vocabs).values())))
    assert counts[1] == pytest.approx(counts[0], rel=0.05)


def test_batches_are_small_on_a_cpu() -> None:
    sizes = [choose_settings({}, figures, CPU)["train.batch_tokens"] for figures in OF_EACH_SIZE]
    assert sizes == [200 * 15 // 5, *[1024] * (len(SIZES) - 1)]  # five steps read all pieces of 200 pairs
    assert choose_settings({}, OF_EACH_SIZE[-1], CUDA)["train.batch_tokens"] == SIZES[-1].batch_tokens > 1024


@pytest.mark.parametrize(
    "given",
    [
        {"model.architecture": "recurrent"},
        {"model.architecture": "recurrent", "model.d_model": 10, "train.rdrop": 1.0},
        {"model.architecture": "recurrent", "model.attention": "none", "model.dropout": 0.0},
        {"model.architecture": "decoder-only"},
        {"model.architecture": "decoder-only", "model.num_heads": 6},
        {"model.d_model": 10},
        {"model.num_heads": 6},
        {"train.learning_rate": 1.0},
        {"train.accumulate": 2000},
        {"train.warmup_steps": 5000},
        {"train.max_steps": 0},
        {"train.max_steps": 1},
        {"train.alignment_layer": 3},
        {"train.schedule": "cosine"},
        {"train.decay_from": 0.9},
        {"model.dropout": 0.0},
        {"vocab.algorithm": "char"},
    ],
    ids=str,
)
def test_chosen_settings_agree_with_any_given_setting(given: dict[str, Any]) -> None:
    """What nobody gave must not be held against what was given."""
    for measures in OF_EACH_SIZE[1:3]:
        for device in CPU, CUDA:
            chosen = choose_settings(given, measures, device)
            assert not chosen.keys() & given.keys()
            load_config(None, given, inherited=chosen)


def test_a_given_value_is_checked_before_the_text_is_read(tmp_path: Path) -> None:
    given = written(tmp_path, "", "")
    with pytest.raises(UserError, match=r"command line: train\.max_step: unknown setting"):
        resolve_new(None, given | {"train.max_step": 1, "train.decay_from": 0.5}, "cpu")
    with pytest.raises(UserError, match=r"train\.alignment_layer = 9: the last layer is 2"):
        resolve_new(None, written(tmp_path, "a\n", "b\n") | {"train.alignment_layer": 9}, "cpu")


@pytest.mark.parametrize(
    ("given", "rdrop", "rdrop_from", "decay_from"),
    [
        ({}, SIZES[2].rdrop, LATE, LATE),
        ({"train.rdrop": 0.0}, 0.0, 0.0, LATE),
        ({"model.dropout": 0.0}, 0.0, 0.0, LATE),  # of which it makes use
        ({"train.schedule": "inverse_sqrt"}, SIZES[2].rdrop, 0.0, 0.0),  # whose end nothing gives
        ({"train.max_steps": 7000}, SIZES[2].rdrop, LATE, LATE),
        ({"train.max_steps": 7000, "train.warmup_steps": 7000}, SIZES[2].rdrop, 0.0, 0.0),  # no time to fall
        ({"train.max_minutes": 0.5}, 0.0, 0.0, LATE),  # no time to overfit
    ],
    ids=str,
)
def test_late_r_drop_and_late_decay_are_chosen_where_possible(
    tmp_path: Path, given: dict[str, object], rdrop: float, rdrop_from: float, decay_from: float
) -> None:
    given = written(tmp_path, "a b\n" * 15_000, "b c\n" * 15_000) | given
    resolved = resolve_new(None, given, "cpu")
    config, told = resolved.config, resolved.reasons
    assert (config.train.rdrop, config.train.rdrop_from, config.train.decay_from) == (rdrop, rdrop_from, decay_from)
    assert ("R-Drop" in told[3]) == bool(rdrop)
    assert ("decaying after" in told[4]) == bool(decay_from)


def test_fine_tuning_a_run_without_dropout_uses_no_r_drop(tmp_path: Path, tiny_config: Config) -> None:
    old = train_into(tmp_path / "old", changed(changed(tiny_config, "model", dropout=0.0), "train", max_steps=1))
    given = written(tmp_path, "a b\n" * 15_000, "b c\n" * 15_000) | {"train.init_from": str(old.path)}
    config = resolve_new(None, given, "cpu").config
    assert (config.model.dropout, config.train.rdrop) == (0.0, 0.0)


def test_a_few_sentences_without_spaces_are_memorized(tmp_path: Path) -> None:
    src = [f"{subject} {verb} {thing}." for subject in ("I", "You") for verb in ("buy", "draw") for thing in "abcdef"]
    tgt = [f"{subject}{verb}{thing}。" for subject in "我你" for verb in "买画" for thing in "苹灯绳钟船书"]
    given = written(tmp_path, "\n".join(src) + "\n", "\n".join(tgt) + "\n")
    resolved = resolve_new(None, given | {"train.precision": "float32", "train.max_steps": 100}, "cpu")
    run = Run.create(tmp_path / "run", resolved.config)
    train(run, resolved.config, CPU, reasons=resolved.reasons, scan=resolved.scan)
    assert load_translator(run.path, "cpu").translate(src) == tgt
    assert run.metrics()[-1]["chrf"] > 95


def test_two_texts_are_enough_to_train(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for language in "en", "fr":
        (tmp_path / f"train.{language}").write_text(head(TOY / f"train.{language}", 200), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    small = [
        "vocab.size=400",
        "train.batch_tokens=1024",
        "model.d_model=32",
        "model.d_ff=64",
        "train.max_minutes=0.005",
        "train.validate_sentences=1",
        "train.precision=float32",
    ]
    sets = [part for setting in small for part in ("--set", setting)]
    assert cli._run(["train", "--src", "train.en", "--tgt", "train.fr", *sets]) == 0
    config = load_config(tmp_path / "runs" / "train" / "config.toml")
    assert config.model.num_encoder_layers == SIZES[0].shape.layers
    assert config.train.max_steps == 0  # the schedule follows the time left
    said = capfd.readouterr().err
    assert "settings for 200 pairs of " in said
    planned = re.search(r"plus validation: about (\d+) steps of ", said)
    assert planned, said
    assert int(planned[1]) >= 2


def test_heads_of_odd_width_get_sinusoidal_positions(tmp_path: Path) -> None:
    given = written(tmp_path, "a b\n" * 30, "b c\n" * 30) | {"model.d_model": 2, "model.num_heads": 2}
    assert resolve_new(None, given, "cpu").config.model.positions == "sinusoidal"
