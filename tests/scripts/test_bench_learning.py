"""The measurements of `scripts/bench learn`; of the other toolkits, only Hugging Face, if installed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from benchmarks import learning, ours
from benchmarks.learning import BEST, LAST, Files, Learned, LearnJob, Lesson, Outcome, Plan, Row
from benchmarks.work import lay_out, write_lines

from translate.config.settings import Config
from translate.config.toml import changed_search, load_config, parse_override
from translate.data.parallel_text import ParallelText
from translate.data.readers.lines import read_lines
from translate.data.readers.sides import Side
from translate.data.vocab import Vocab
from translate.decoding.line_translator import LineTranslator
from translate.errors import UserError
from translate.evaluation.metrics import Score

PLAN = Plan(["ours", "huggingface"], minutes=0.001, device="cpu", threads=1)
NUM_LINES = 4


@pytest.fixture
def job(tmp_path: Path, corpus: Path, tiny_config: Config) -> LearnJob:
    """A job with the tiny corpus, tiny sizes and validation text to translate."""
    texts = {part: _sides(corpus, part) for part in ("train", "valid")}
    config = lay_out(tmp_path, texts, load_config(None, _sizes(tiny_config)))
    found = LearnJob(folder=tmp_path, config=config, device="cpu", threads=1, minutes=0.001)
    write_lines(found.test_src, texts["valid"][0][:NUM_LINES])
    return found


def test_training_time_is_the_only_setting(
    job: LearnJob, tiny_run: Path, translator: LineTranslator, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []

    def trained(command: list[str], check: bool) -> None:
        assert check
        commands.append(command)
        shutil.copytree(tiny_run, command[command.index("--out") + 1])
        (Path(command[command.index("--out") + 1]) / "train.log").write_text("1 training on the CPU, float32\n")

    monkeypatch.setattr("benchmarks.ours.subprocess.run", trained)
    learned = ours.learn(job)
    (command,) = commands
    assert command[1:4] == ["-m", "translate", "train"]
    assert [word for i, word in enumerate(command) if command[i - 1] == "--set"] == ["train.max_minutes=0.001"]
    assert str(job.folder / "train.de") == command[command.index("--tgt") + 1]
    assert str(job.folder / "valid.en") == command[command.index("--valid-src") + 1]
    beam = changed_search(translator.settings, {"beam_size": 5})
    expected = translator.translations(list(read_lines(job.test_src)), beam)
    (outcome,) = learned.outcomes
    assert outcome.translations == [found.text for found in expected]
    assert (learned.updates, learned.precision) == (60, "float32")
    assert 1 <= outcome.update <= 60


def test_hugging_face_loop_keeps_its_best_weights(job: LearnJob) -> None:
    pytest.importorskip("transformers")
    from benchmarks import huggingface

    learned = huggingface.learn(job)
    assert [outcome.weights for outcome in learned.outcomes] == [LAST, BEST]
    assert [len(outcome.translations) for outcome in learned.outcomes] == [NUM_LINES, NUM_LINES]
    assert learned.outcomes[0].update == learned.updates >= 1
    assert learned.minutes >= 0.001


def test_length_sorted_batches_have_every_pair_once_within_the_budget(job: LearnJob) -> None:
    pytest.importorskip("transformers")
    from benchmarks.huggingface import encoded_pairs, marian, of_like_length, piece_loss

    vocab = Vocab.load(Path(job.config.vocab.model))
    pairs = encoded_pairs(job.text("train"), vocab, 100)
    batches = of_like_length(pairs, 128)
    assert sorted(pair for batch in batches for pair in batch) == sorted(pairs)
    assert all(max(len(side) for pair in batch for side in pair) * len(batch) <= 128 for batch in batches)
    torch.manual_seed(1)
    model = marian(job.config, vocab).eval()
    with torch.inference_mode():
        together = float(piece_loss(model, pairs[:5], 0.0, "sum"))
        alone = [float(piece_loss(model, [pair], 0.0, "sum")) for pair in pairs[:5]]
    assert together == pytest.approx(sum(alone), rel=1e-4)


def test_files_that_are_not_parallel_are_rejected(tmp_path: Path, corpus: Path) -> None:
    (tmp_path / "short.fr").write_text("un\n", encoding="utf-8")
    (tmp_path / "empty").write_text("\n", encoding="utf-8")
    pair = (corpus / "valid.en", corpus / "valid.fr")
    with pytest.raises(UserError, match=r"short\.fr has 1"):
        learning.measure(PLAN, tmp_path, Files(*pair, *pair, corpus / "valid.en", tmp_path / "short.fr"))
    with pytest.raises(UserError, match="no pair of lines"):
        learning.measure(PLAN, tmp_path, Files(*pair, tmp_path / "empty", tmp_path / "empty", *pair))


def test_learning_row_is_reported_as_json_and_as_a_table() -> None:
    lesson = Lesson([_row("ours", BEST, 20), _row("huggingface", LAST, 30)], 5000, 1014, 2)
    report = learning.report(lesson, PLAN)
    told = report.rows[1]
    assert (told["system"], told["weights"], told["weights_update"]) == ("huggingface", LAST, 30)
    assert (told["bleu"], told["bleu_signature"], told["train_pairs"]) == (20.5, "how", 5000)
    assert "outcomes" not in told
    line = report.table.splitlines()[-2]
    assert [cell.strip() for cell in line.strip("|").split("|")] == [
        *("ours", "best, 20", "20.50", "45.00", "100.0%", "2.1 M", "float32", "10.00", "1,300", "14", "1.90")
    ]


def test_caption_describes_the_choices_of_measured_systems() -> None:
    both = learning.caption(Lesson([_row("ours", BEST, 20), _row("huggingface", LAST, 30)], 5000, 1014, 2), PLAN)
    assert max(map(len, both.splitlines())) <= 120
    both = " ".join(both.split())
    assert "5,000 pairs to train on" in both
    assert "--set train.max_minutes=0.001`" in both
    assert both.count("as chosen.") == 2
    assert "`last`" in both
    alone = learning.caption(Lesson([_row("ours", BEST, 20)], 5000, 1014, 2), PLAN)
    assert "huggingface" not in alone
    assert "peer" not in alone


def test_settings_of_the_peers_are_described() -> None:
    words = learning.describe_settings(load_config(None, dict(map(parse_override, learning.PEER_SETTINGS.split()))))
    assert words.startswith("8,000 joint BPE pieces, 3+3 layers, width 256, feed-forward 1,024, 4 heads, dropout 0.1")
    assert "of BPE merges" not in words


def test_all_that_affects_learning_is_described() -> None:
    given = {"model.dropout": 0.0, "train.optimizer": "muon", "train.muon_learning_rate": 0.01, "train.recombine": 0.75}
    given |= {"train.learning_rate": 9e-3, "train.schedule": "cosine", "train.decay_from": 0.55}
    given |= {"train.warmup_steps": 1000, "train.weight_decay": 0.2, "train.max_minutes": 10, "train.max_steps": 0}
    words = learning.describe_settings(load_config(None, given))
    assert "heads, 75% of the pairs recombined, label smoothing" in words
    assert (
        "Muon with learning rate 0.01 for weight matrices, Adam with learning rate 0.009 for the other weights" in words
    )
    assert "weight decay 0.2, 1,000 updates of warm-up (at most a tenth of all), cosine from 55% on, gradients" in words


def _sides(corpus: Path, part: str) -> tuple[list[str], list[str]]:
    text = list(ParallelText(Side(corpus / f"{part}.en", 1), Side(corpus / f"{part}.fr", 1)))
    return [pair.src for pair in text], [pair.tgt for pair in text]


def _sizes(config: Config) -> dict[str, object]:
    return {
        f"{section}.{name}": value
        for section in ("vocab", "model", "train")
        for name, value in config.model_dump()[section].items()
    }


def _row(system: str, weights: str, update: int) -> Row:
    learned = Learned(
        settings="as chosen",
        parameters=2_100_000,
        precision="float32",
        minutes=10.0,
        updates=1300,
        epochs=14,
        cores_used=1.9,
        outcomes=[],
        device_name="",
        versions={},
    )
    outcome = Outcome(weights, update, ["Ein Hund.", "Eine Katze."])
    return Row(system, learned, outcome, Score(20.5, "how"), Score(45.0, "how too"), 1.0)
