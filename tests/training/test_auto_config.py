"""Settings chosen to fit the training text when there is no settings file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.helpers.corpora import TOY, head
from tests.helpers.runs import CPU, changed, train_into
from translate import cli
from translate.config.settings import Config
from translate.config.toml import load_config
from translate.data.parallel_text import ParallelText
from translate.data.readers.sides import Side
from translate.data.text_scan import scan_text
from translate.data.vocab import train_vocab
from translate.errors import UserError
from translate.training.auto_config import LATE, SIZES, TextMeasures, choose_settings, measure_text
from translate.training.resolve_config import resolve_new

CUDA = torch.device("cuda")
OF_EACH_SIZE = [TextMeasures(int(min(size.max_pairs, 10**9)), 50.0, 50.0, 100) for size in SIZES]


def written(folder: Path, src: str, tgt: str) -> dict[str, object]:
    """Write two files and return them as settings for `load_config`."""
    for name, text in ("a.src", src), ("a.tgt", tgt):
        (folder / name).write_text(text, encoding="utf-8")
    return {"data.train_src": str(folder / "a.src"), "data.train_tgt": str(folder / "a.tgt")}


def test_measures_count_only_pairs_with_text_on_both_sides(tmp_path: Path) -> None:
    written(tmp_path, "abc\n\nabcde\nx\n", "a\nb\nabc\n \n")
    text = ParallelText(Side(tmp_path / "a.src", 1), Side(tmp_path / "a.tgt", 1))
    assert measure_text(scan_text(text)) == TextMeasures(
        num_pairs=2, src_length=4.0, tgt_length=2.0, num_characters=6
    )  # a line end, too


def test_rare_characters_need_no_piece(tmp_path: Path) -> None:
    written(tmp_path, "aaaaaaaaab\n" * 1000 + "c\n", "ab\n" * 1001)
    text = ParallelText(Side(tmp_path / "a.src", 1), Side(tmp_path / "a.tgt", 1))
    assert measure_text(scan_text(text)).num_characters == 3  # but c, which is one of 14,000


def test_a_text_without_pairs_is_refused(tmp_path: Path) -> None:
    given = written(tmp_path, "a\n\n", "\nb\n")
    with pytest.raises(UserError, match=r"a\.src: no pair of lines has text on both sides"):
        resolve_new(None, given, "cpu")


def test_larger_texts_get_larger_settings_and_less_dropout() -> None:
    chosen = [choose_settings(Config(), {}, figures, CUDA) for figures in OF_EACH_SIZE]
    for name in "vocab.size", "model.d_model", "train.batch_tokens":
        values = [each[name] for each in chosen]
        assert values == sorted(values)
    for name in "model.dropout", "train.max_epochs":
        values = [each[name] for each in chosen]
        assert values == sorted(values, reverse=True)
    for each in chosen:
        load_config(None, each)


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
    assert (config.model.dropout, config.train.max_steps, config.model.d_model) == (0.05, 700, SIZES[0].d_model)
    assert len(told) == 5
    assert told[0].endswith(", keeping model.dropout, train.max_steps:")
    assert "dropout 0.05" in told[3]
    assert "700 steps" in told[4]


def test_batches_are_small_on_a_cpu() -> None:
    assert {choose_settings(Config(), {}, figures, CPU)["train.batch_tokens"] for figures in OF_EACH_SIZE} == {1024}
    assert choose_settings(Config(), {}, OF_EACH_SIZE[-1], CUDA)["train.batch_tokens"] == SIZES[-1].batch_tokens > 1024


@pytest.mark.parametrize(
    ("given", "rdrop", "rdrop_from", "decay_from"),
    [
        ({}, SIZES[1].rdrop, LATE, LATE),
        ({"train.rdrop": 0.0}, 0.0, 0.0, LATE),
        ({"model.dropout": 0.0}, 0.0, 0.0, LATE),  # of which it makes use
        ({"train.schedule": "inverse_sqrt"}, SIZES[1].rdrop, 0.0, 0.0),  # whose end nothing gives
        ({"train.max_steps": 700}, SIZES[1].rdrop, LATE, LATE),
        ({"train.max_steps": 7, "train.warmup_steps": 7}, SIZES[1].rdrop, 0.0, 0.0),  # no time to fall
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


def test_two_texts_are_enough_to_train(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for language in "en", "fr":
        (tmp_path / f"train.{language}").write_text(head(TOY / f"train.{language}", 200), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    small = ["vocab.size=400", "model.d_model=32", "model.d_ff=64", "train.max_minutes=0.01", "train.precision=float32"]
    sets = [part for setting in small for part in ("--set", setting)]
    assert cli._run(["train", "--src", "train.en", "--tgt", "train.fr", *sets]) == 0
    config = load_config(tmp_path / "runs" / "train" / "config.toml")
    assert config.model.num_encoder_layers == SIZES[0].layers
    assert config.train.max_steps >= 2
    said = capfd.readouterr().err
    assert "settings for 200 pairs of " in said
    assert f"plus validation: {config.train.max_steps} steps of " in said
