"""The confidence files of a run: written at the end of training, read by each engine, and refused if damaged."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.faults.disk import failing
from tests.helpers.runs import CPU, changed
from translate import cli
from translate.api import load_translator
from translate.confidence import stored
from translate.confidence.features import features
from translate.confidence.fit import MIN_LINES
from translate.confidence.model import Term
from translate.data.parallel_text import Pair
from translate.decoding.results import DecodeRequest
from translate.errors import UserError
from translate.run.folder import Run
from translate.training import calibrate
from translate.training.prepare import prepare
from translate.training.resume import init_from_run

PIZZA = "I love pizza."


@pytest.fixture(scope="module")
def calibrated(tiny_run: Path, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the run that was fitted at the end of its training, as if it had more validation lines."""
    path = tmp_path_factory.mktemp("calibrated") / "run"
    shutil.copytree(tiny_run, path, ignore=shutil.ignore_patterns("checkpoints", "ctranslate2"))
    end_training(Run(path), MIN_LINES + 5, corpus)
    return path


def end_training(run: Run, num_pairs: int, corpus: Path) -> None:
    texts = [(corpus / f"train.{side}").read_text(encoding="utf-8").splitlines() for side in ("en", "fr")]
    config = run.load_config()
    pairs = [Pair(*pair) for pair in zip(*texts, strict=True)]
    calibrate.calibrate_at_end(run, config, replace(prepare(run, config), valid_pairs=pairs[:num_pairs]), CPU)


def decoded(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[list[dict[str, Any]], str]:
    """The records that `translate decode --json` prints, and what it writes to standard error."""
    capsys.readouterr()
    assert cli._run(["decode", *arguments, "--json", "--device", "cpu"]) == 0
    out, err = capsys.readouterr()
    return [json.loads(line) for line in out.splitlines()], err


def test_the_end_of_training_logs_the_fit_or_why_there_is_none(tiny_run: Path, calibrated: Path) -> None:
    log = (tiny_run / "train.log").read_text(encoding="utf-8")
    assert log.count("no confidence.json: 3 translated validation pairs are too few (30 are needed)") == 1
    assert not (tiny_run / "confidence.json").exists()
    log = (calibrated / "train.log").read_text(encoding="utf-8")
    assert "calibration error" in log
    assert f"cross-validation on {MIN_LINES + 5} lines" in log
    record = json.loads((calibrated / "confidence.json").read_text(encoding="utf-8"))
    assert record["model"]["fit"]["num_lines"] == MIN_LINES + 5
    assert list(record["model"]["terms"]) == ["log_prob", "length", "ratio", "affinity", "surprisal"]


def test_a_resumed_training_that_found_nothing_better_fits_nothing(calibrated: Path, corpus: Path) -> None:
    end_training(Run(calibrated), MIN_LINES, corpus)
    assert (calibrated / "train.log").read_text(encoding="utf-8").count("confidence of translations") == 1


def test_memorized_validation_text_is_not_used(tiny_run: Path, tmp_path: Path) -> None:
    run = Run(tmp_path)
    config = changed(Run(tiny_run).load_config(), "data", valid_src="", valid_tgt="")
    prepared = replace(prepare(Run(tiny_run), Run(tiny_run).load_config()), valid_pairs=[Pair("a", "b")] * MIN_LINES)
    calibrate.calibrate_at_end(run, config, prepared, CPU)
    assert "memorized" in run.log_path.read_text(encoding="utf-8")


def test_a_disk_error_does_not_fail_the_training(
    tiny_run: Path, tmp_path: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(tiny_run, tmp_path / "run", ignore=shutil.ignore_patterns("checkpoints"))

    def fails(*arguments: object) -> None:
        raise UserError("the disk is full")

    monkeypatch.setattr(calibrate, "store", fails)
    end_training(Run(tmp_path / "run"), MIN_LINES, corpus)
    log = (tmp_path / "run" / "train.log").read_text(encoding="utf-8")
    assert "warning: training continues without confidence.json: the disk is full" in log


def test_decode_warns_of_words_that_were_never_seen(calibrated: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (found, blank), err = decoded(capsys, str(calibrated), PIZZA, "")
    warning = "unsure: 'pizza' was never seen in training"
    assert warning in found["warnings"]
    assert f"warning: line 1: {warning}" in err
    assert found["confidence"]["reasons"] == [warning]
    assert found["confidence"]["unseen"] == ["pizza"]
    assert 0 <= found["confidence"]["chance"] <= 0.5
    assert 0 <= found["confidence"]["chrf"] <= 50
    assert "confidence" not in blank


def test_runs_without_the_file_translate_as_before(tiny_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (found,), err = decoded(capsys, str(tiny_run), PIZZA)
    assert list(found) == ["id", "source", "translations", "warnings"]
    assert "unsure" not in err


def test_an_ensemble_has_no_confidence(calibrated: Path, other_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (found,), _ = decoded(capsys, str(calibrated), PIZZA, "--ensemble", str(other_run))
    assert "confidence" not in found


@pytest.mark.parametrize("options", [(), ("--n-best", "2"), ("--beam-size", "1"), ("--sample", "--seed", "3")])
def test_confidence_is_that_of_the_best_translation(
    calibrated: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...]
) -> None:
    (found,), _ = decoded(capsys, str(calibrated), "The cat sat on the mat.", *options)
    run = Run(calibrated)
    vocab, best = run.load_vocabs().src, found["translations"][0]
    estimator = stored.load_estimator(run, vocab, run.digest_of_weights())
    assert estimator
    ids = [*vocab.encode([found["source"]])[0], vocab.eos_id]
    signals, num_tgt = estimator.source.signals(ids), len(best["log_probs"])
    # With a length penalty of 0 the score is the log-probability.
    expected = estimator.model.confidence(features(sum(best["log_probs"]), 0, len(ids), num_tgt, signals), signals)
    assert found["confidence"]["reasons"] == list(expected.reasons)
    assert found["confidence"]["chance"] == pytest.approx(expected.chance, abs=0.01)
    assert found["confidence"]["chrf"] == pytest.approx(expected.chrf, abs=0.2)


def test_the_engines_agree(calibrated: Path) -> None:
    pytest.importorskip("ctranslate2", reason="CTranslate2 is an extra: pip install ctranslate2")
    lines = [PIZZA, "", "The cat sat on the mat.", "Der Hund schläft. " * 60]
    ours, theirs = (
        [*load_translator(calibrated, "cpu", engine).translations(lines)] for engine in ("torch", "ctranslate2")
    )
    for mine, other in zip(ours, theirs, strict=True):
        assert (mine.confidence is None) == (other.confidence is None) == (not mine.source)
        if mine.text == other.text and mine.confidence and other.confidence:
            assert mine.confidence.chrf == pytest.approx(other.confidence.chrf, abs=0.2)
            assert mine.confidence.reasons == other.confidence.reasons
    greedy = load_translator(calibrated, "cpu", "ctranslate2")
    settings = greedy.settings.model_copy(update={"beam_size": 1})
    (found,) = greedy.translations([PIZZA], settings, DecodeRequest(scores=False))  # as for plain text
    assert found.confidence is None or found.confidence.reasons
    assert "unsure: 'pizza' was never seen in training" in found.warnings


def damaged(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"1", b"2", 1))


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("confidence.json", damaged, "confidence.json: damaged"),
        ("confidence.json", lambda path: path.write_text("[]"), "confidence.json: damaged"),
        ("confidence.safetensors", damaged, "confidence.safetensors: damaged, .*; or delete confidence.json"),
        ("confidence.safetensors", Path.unlink, "confidence.safetensors: missing"),
    ],
)
def test_damaged_files_are_named(
    calibrated: Path, tmp_path: Path, name: str, damage: Callable[[Path], object], message: str
) -> None:
    run = copied(calibrated, tmp_path)
    damage(run.path / name)
    with pytest.raises(UserError, match=message):
        stored.load_estimator(run, run.load_vocabs().src, run.digest_of_weights())
    assert stored.fitted_to(run) is None


@pytest.mark.parametrize("content", [b"", b"garbage that is no table", (2).to_bytes(8, "little") + b"{}"])
def test_tables_that_are_none_are_named_even_if_their_checksum_is_right(
    calibrated: Path, tmp_path: Path, content: bytes
) -> None:
    run = copied(calibrated, tmp_path)
    vocab, weights = run.load_vocabs().src, run.digest_of_weights()
    estimator = stored.load_estimator(run, vocab, weights)
    assert estimator
    stored.store(run, estimator.model, content, weights)
    with pytest.raises(UserError, match=r"confidence\.safetensors: damaged"):
        stored.load_estimator(run, vocab, weights)


def test_a_disk_that_is_full_between_the_files_leaves_a_run_that_translates(calibrated: Path, tmp_path: Path) -> None:
    run = copied(calibrated, tmp_path)
    vocab, weights = run.load_vocabs().src, run.digest_of_weights()
    estimator = stored.load_estimator(run, vocab, weights)
    assert estimator
    tables = run.confidence_tables_path.read_bytes()
    for changed_tables in tables, tables[:-1] + b"x":
        with failing(run.path, "write", 2), pytest.raises(UserError, match=r"confidence\.json: cannot be written"):
            stored.store(run, estimator.model, changed_tables, weights)
        assert (stored.load_estimator(run, vocab, weights) is not None) == (changed_tables == tables)


@pytest.mark.parametrize("change", [{"other": Term(1, 0, 1)}, {"length": Term(1, 0, 0)}])
def test_terms_that_cannot_be_computed_are_damage(calibrated: Path, tmp_path: Path, change: dict[str, Term]) -> None:
    run = copied(calibrated, tmp_path)
    vocab, weights = run.load_vocabs().src, run.digest_of_weights()
    estimator = stored.load_estimator(run, vocab, weights)
    assert estimator
    terms = {**estimator.model.terms, **change}
    stored.store(run, replace(estimator.model, terms=terms), run.confidence_tables_path.read_bytes(), weights)
    with pytest.raises(UserError, match=r"confidence\.json: damaged"):
        stored.load_estimator(run, vocab, weights)


def test_files_for_other_weights_are_not_used(
    calibrated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = copied(calibrated, tmp_path)
    assert stored.load_estimator(run, run.load_vocabs().src, "other") is None
    assert "belongs to other weights" in capsys.readouterr().err


def copied(calibrated: Path, folder: Path) -> Run:
    for pattern in "confidence.*", "vocab*.model", "config.toml", "model.safetensors":
        for path in calibrated.glob(pattern):
            shutil.copy(path, folder)
    return Run(folder)


def test_evaluate_fits_a_run_of_an_earlier_version(
    tiny_run: Path, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run, ignore=shutil.ignore_patterns("checkpoints", "ctranslate2"))
    texts = []
    for side in "en", "fr":
        texts.append(tmp_path / side)
        lines = (corpus / f"train.{side}").read_text(encoding="utf-8").splitlines(keepends=True)
        texts[-1].write_text("".join([*lines[:MIN_LINES], "\n"]), encoding="utf-8")
    command = ["evaluate", str(run), "--src", str(texts[0]), "--ref", str(texts[1]), "--no-ter", "--device", "cpu"]
    assert cli._run([*command, "--calibrate"]) == 0
    assert f"cross-validation on {MIN_LINES} lines" in capsys.readouterr().err
    assert cli._run(command) == 0
    assert "unsure: " not in capsys.readouterr().err  # counted, not listed
    (found,), _ = decoded(capsys, str(run), PIZZA)
    assert found["confidence"]["unseen"] == ["pizza"]
    for path, options, message in [
        (texts[1], [], "is a file of translations; pass the run that translated"),
        (run, ["--beam-size", "1"], "fits the run's own search; leave out --beam-size"),
    ]:
        assert cli._run(["evaluate", str(path), *command[2:], "--calibrate", *options]) == 2
        assert message in capsys.readouterr().err
    shutil.rmtree(run / "corpus")
    assert cli._run([*command, "--calibrate"]) == 2
    assert "has no encoded training text" in capsys.readouterr().err


def test_words_of_the_run_that_weights_come_from_count_as_seen(
    calibrated: Path, tiny_run: Path, corpus: Path, tmp_path: Path
) -> None:
    config = changed(Run(calibrated).load_config(), "train", init_from=str(calibrated))
    run = Run.create(tmp_path / "tuned", config)
    init_from_run(run, config)
    shutil.copy(calibrated / "model.safetensors", run.weights_path)
    src = [f"My {animal} sleeps." for animal in ("dog", "cat", "zebra") for _ in range(MIN_LINES)]
    for side in "src", "tgt":
        (tmp_path / side).write_text("\n".join([*src, ""]), encoding="utf-8")
    config = changed(config, "data", train_src=str(tmp_path / "src"), train_tgt=str(tmp_path / "tgt"))
    run.write_config(config)
    prepared = replace(prepare(run, config), valid_pairs=[Pair(line, line) for line in src])
    calibrate.calibrate_at_end(run, config, prepared, CPU)
    (found,) = load_translator(run.path, "cpu").translations(["The zebra and I love pizza."])
    assert found.confidence
    assert found.confidence.unseen == ("pizza",)
    assert "note" not in (run.path / "train.log").read_text(encoding="utf-8")
    run.confidence_path.unlink()
    run.confidence_tables_path.unlink()
    calibrate.calibrate_at_end(run, config, prepared, CPU)
    assert "count as never seen" in (run.path / "train.log").read_text(encoding="utf-8")
