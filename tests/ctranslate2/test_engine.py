from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import sentencepiece
import torch
from safetensors.numpy import load_file, save_file

from tests.faults.damage import damaged
from tests.helpers.runs import changed, train_into, untrained
from translate.api import load_translator
from translate.config.settings import Config, DecodeSettings, VocabSettings
from translate.ctranslate2.cached_model import ready_model
from translate.ctranslate2.convert import export_ctranslate2, sinusoidal_positions
from translate.ctranslate2.engine import CTranslate2Engine
from translate.ctranslate2.fingerprint import FORMAT, MAX_POSITIONS, RECORD
from translate.data.vocab import VocabPair, train_vocab
from translate.decoding.engine import Hypothesis, Sentence, length_limit
from translate.decoding.results import DecodeRequest
from translate.decoding.torch_engine import TorchEngine
from translate.errors import UserError
from translate.model.layers import sinusoidal_positions as sinusoidal_positions_in_torch
from translate.run.folder import Run
from translate.system.checked_json import read_record, write_record

ctranslate2 = pytest.importorskip("ctranslate2", reason="CTranslate2 is an extra: pip install ctranslate2")

GREEDY = DecodeSettings(beam_size=1)
BEAM = DecodeSettings(beam_size=5)


def both(path: Path) -> tuple[CTranslate2Engine, TorchEngine]:
    run = Run(path)
    config, vocabs = run.load_config(), run.load_vocabs()
    return CTranslate2Engine(run, config, vocabs, "cpu"), TorchEngine.load([run], vocabs, "cpu")


def read_sentences(path: Path, vocabs: VocabPair) -> list[Sentence]:
    rows = vocabs.src.encode(path.read_text(encoding="utf-8").splitlines())
    return [Sentence((*row, vocabs.src.eos_id)) for row in rows]


@pytest.fixture(scope="module")
def engines(tiny_run: Path) -> tuple[CTranslate2Engine, TorchEngine]:
    return both(tiny_run)


@pytest.fixture(scope="module")
def sentences(corpus: Path, tiny_run: Path) -> list[Sentence]:
    """Unsorted sentences of many lengths."""
    return read_sentences(corpus / "train.en", Run(tiny_run).load_vocabs())


@pytest.fixture
def copied_run(tiny_run: Path, tmp_path: Path) -> Run:
    """A separate copy of the run, without a CTranslate2 model."""
    path = tmp_path / "run"
    shutil.copytree(tiny_run, path, ignore=shutil.ignore_patterns("ctranslate2", "checkpoints"))
    return Run(path)


def pieces(found: list[list[Hypothesis]]) -> list[list[list[int]]]:
    return [[hypothesis.pieces for hypothesis in hypotheses] for hypotheses in found]


def num_worse(found: list[list[Hypothesis]], expected: list[list[Hypothesis]]) -> int:
    """Return the number of sentences whose best hypothesis has a lower score than expected."""
    return sum(row[0].score < other[0].score - 1e-4 for row, other in zip(found, expected, strict=True))


def test_greedy_search_matches_the_torch_engine(
    engines: tuple[CTranslate2Engine, TorchEngine], sentences: list[Sentence]
) -> None:
    found, expected = (engine.search(sentences, GREEDY, 1) for engine in engines)
    assert pieces(found) == pieces(expected)
    scores = [[hypothesis.score for hypothesis in row] for row in found]
    np.testing.assert_allclose(scores, [[hypothesis.score for hypothesis in row] for row in expected], atol=1e-5)


@pytest.mark.parametrize(
    "section", [{"norm": "post", "num_decoder_layers": 1}, {"tie_embeddings": False}, {"positions": "rotary"}], ids=str
)
def test_other_model_shapes_match_the_torch_engine(
    section: dict[str, object], tiny_config: Config, tmp_path: Path, corpus: Path
) -> None:
    config = changed(changed(tiny_config, "train", max_steps=15), "model", **section)
    run = train_into(tmp_path / "run", config)
    engine, ours = both(run.path)
    some = read_sentences(corpus / "valid.en", run.load_vocabs())
    assert pieces(engine.search(some, GREEDY, 1)) == pieces(ours.search(some, GREEDY, 1))


def test_separate_vocabularies_match_the_torch_engine(tiny_config: Config, tmp_path: Path, corpus: Path) -> None:
    config = changed(changed(tiny_config, "train", max_steps=15), "vocab", joint=False)
    run = train_into(tmp_path / "run", config)
    engine, ours = both(run.path)
    some = read_sentences(corpus / "valid.en", run.load_vocabs())
    assert pieces(engine.search(some, GREEDY, 1)) == pieces(ours.search(some, GREEDY, 1))
    assert {path.name for path in (run.path / "ctranslate2" / "float32").iterdir()} == {
        *("model.bin", "config.json", "source_vocabulary.json", "target_vocabulary.json", RECORD),
        *("vocab.src.model", "vocab.tgt.model"),
    }


def test_a_character_vocabulary_matches_the_torch_engine(tiny_config: Config, tmp_path: Path, corpus: Path) -> None:
    lines = (corpus / "valid.en").read_text(encoding="utf-8").splitlines()
    vocab = train_vocab(lambda: lines, VocabSettings(algorithm="char"), 1, print)
    run = untrained(tmp_path / "run", tiny_config, VocabPair(vocab, vocab))
    engine, ours = both(run.path)
    some = read_sentences(corpus / "valid.en", run.load_vocabs())[:5]
    settings = DecodeSettings(beam_size=1, max_length=20)
    assert pieces(engine.search(some, settings, 1)) == pieces(ours.search(some, settings, 1))


@pytest.mark.parametrize("length_penalty", [0.0, 0.6, 1.0])
def test_beam_search_matches_the_torch_engine(
    length_penalty: float, engines: tuple[CTranslate2Engine, TorchEngine], sentences: list[Sentence]
) -> None:
    settings = DecodeSettings(beam_size=5, length_penalty=length_penalty)
    found, expected = (engine.search(sentences[::2], settings, 5) for engine in engines)
    assert num_worse(found, expected) == 0
    assert all(row == sorted(row, key=lambda hypothesis: -hypothesis.score) for row in found)
    assert all(len({tuple(hypothesis.pieces) for hypothesis in row}) == len(row) for row in found)


@pytest.mark.parametrize(
    "change",
    [{"beam_size": 2}, {"beam_size": 5}, {"length_penalty": 0.5}, {"beam_size": 5, "max_length": 8}],
    ids=str,
)
def test_no_score_is_lower_than_the_torch_engines(
    change: dict[str, float], copied_run: Run, sentences: list[Sentence]
) -> None:
    """Early ends are made probable, so that many hypotheses finish before the best one does."""
    weights, eos_id = load_file(copied_run.weights_path), copied_run.load_vocabs().tgt.eos_id
    end = weights["tgt_embedding.weight"][eos_id]
    weights["decoder_norm.bias"] += 6 * end / (end @ end)  # adds 6 to the logit of `</s>`
    save_file(weights, copied_run.weights_path)
    settings = DecodeSettings(**{"max_length": 40, **change})
    found, expected = (engine.search(sentences[:60], settings, 1) for engine in both(copied_run.path))
    assert num_worse(found, expected) == 0


def test_scores_match_the_torch_engine(
    engines: tuple[CTranslate2Engine, TorchEngine], sentences: list[Sentence]
) -> None:
    engine, ours = engines
    found = ours.search(sentences[:20], BEAM, 1)
    pairs = [(sentence.src, row[0].pieces) for sentence, row in zip(sentences, found, strict=False)]
    pairs.append(([engine._eos_id], found[0][0].pieces))  # of an empty line
    scores, expected = engine.score(pairs), ours.score(pairs)
    assert [len(row) for row in scores] == [len(tgt) for _, tgt in pairs]
    for row, expected_row in zip(scores, expected, strict=True):
        np.testing.assert_allclose(row, expected_row, atol=1e-4)


@pytest.mark.parametrize("change", [{"min_length": 6}, {"no_repeat_ngram": 2}, {"max_length": 5}, {"max_length": 1}])
@pytest.mark.parametrize("beam_size", [1, 4])
def test_scores_under_constraints_match_the_model(
    change: dict[str, int],
    beam_size: int,
    engines: tuple[CTranslate2Engine, TorchEngine],
    sentences: list[Sentence],
) -> None:
    engine, ours = engines
    settings = DecodeSettings(beam_size=beam_size, **change)
    some = sentences[:30]
    for sentence, row in zip(some, engine.search(some, settings, beam_size), strict=True):
        assert row
        for hypothesis in row:
            assert hypothesis.pieces[-1] == engine._eos_id
            assert settings.min_length < len(hypothesis.pieces) <= length_limit(sentence, settings)
            log_prob = sum(ours.score([(sentence.src, hypothesis.pieces)])[0])
            assert hypothesis.score == pytest.approx(log_prob / len(hypothesis.pieces), abs=1e-4)
            if size := settings.no_repeat_ngram:
                runs = list(zip(*(hypothesis.pieces[i:] for i in range(size)), strict=False))
                assert len(runs) == len(set(runs))


def test_length_limits_match_the_torch_engine(
    engines: tuple[CTranslate2Engine, TorchEngine], sentences: list[Sentence]
) -> None:
    settings = DecodeSettings(beam_size=1, max_length=3)  # without `</s>`
    found, expected = (engine.search(sentences, settings, 1) for engine in engines)
    assert pieces(found) == pieces(expected)
    assert {len(row[0].pieces) for row in found} == {4}
    ratio = DecodeSettings(beam_size=5, max_length_ratio=0.01)
    found, expected = (engine.search(sentences, ratio, 1) for engine in engines)
    assert num_worse(found, expected) == 0


def test_a_translation_starts_with_its_prefix(
    engines: tuple[CTranslate2Engine, TorchEngine], sentences: list[Sentence]
) -> None:
    engine, ours = engines
    prefix = tuple(ours.search(sentences[:1], GREEDY, 1)[0][0].pieces[:3])
    for settings in GREEDY, BEAM:
        for sentence in sentences[:5]:
            (free, held) = engine.search([sentence, sentence._replace(prefix=prefix)], settings, 1)
            assert tuple(held[0].pieces[:3]) == prefix
            assert pieces([free]) == pieces(engine.search([sentence], settings, 1))
            log_prob = sum(ours.score([(sentence.src, held[0].pieces)])[0])
            assert held[0].score == pytest.approx(log_prob / len(held[0].pieces), abs=1e-4)
    full = sentences[0]._replace(prefix=prefix * 20)  # longer than the limit would allow
    assert engine.search([full], DecodeSettings(max_length=5), 1)[0][0].pieces[:60] == list(prefix * 20)


def test_order_and_batching_do_not_change_translations(
    engines: tuple[CTranslate2Engine, TorchEngine], sentences: list[Sentence]
) -> None:
    engine, _ = engines
    settings = DecodeSettings(beam_size=1, batch_tokens=64)
    together = engine.search(sentences, settings, 1)
    assert pieces(engine.search(sentences[::-1], settings, 1)) == pieces(together[::-1])
    assert pieces(together[:20]) == [pieces(engine.search([sentence], GREEDY, 1))[0] for sentence in sentences[:20]]
    assert engine.search([], settings, 1) == []


def test_a_beam_larger_than_the_vocabulary_returns_only_real_hypotheses(
    engines: tuple[CTranslate2Engine, TorchEngine], sentences: list[Sentence]
) -> None:
    settings = DecodeSettings(beam_size=500, max_length=2)
    (row,) = engines[0].search(sentences[:1], settings, 500)
    assert len({tuple(hypothesis.pieces) for hypothesis in row}) == len(row)
    assert all(hypothesis.score > -1000 for hypothesis in row)


def test_samples_depend_only_on_the_seed(
    engines: tuple[CTranslate2Engine, TorchEngine], sentences: list[Sentence]
) -> None:
    engine, ours = engines
    some = sentences[:8]
    draws = [
        engine.search(some, DecodeSettings(beam_size=1, sample=True, seed=seed, temperature=2.0), 1)
        for seed in (1, 1, 2)
    ]
    assert pieces(draws[0]) == pieces(draws[1]) != pieces(draws[2])
    for sentence, row in zip(some, draws[0], strict=True):
        log_prob = sum(ours.score([(sentence.src, row[0].pieces)])[0])
        assert row[0].score == pytest.approx(log_prob / len(row[0].pieces), abs=1e-4)
    likeliest = engine.search(some, DecodeSettings(beam_size=1, sample=True, top_k=1), 1)
    assert pieces(likeliest) == pieces(engine.search(some, GREEDY, 1))
    assert len(engine.search(some, DecodeSettings(sample=True, top_p=0.9), 3)[0]) == 3


def test_unsupported_settings_are_rejected(
    engines: tuple[CTranslate2Engine, TorchEngine], sentences: list[Sentence], tiny_run: Path
) -> None:
    engine, _ = engines
    with pytest.raises(UserError, match="--engine torch"):
        engine.search(sentences[:1], DecodeSettings(coverage_penalty=0.2), 1)
    with pytest.raises(UserError, match="the prefix: CTranslate2 cannot end it with </s>; use --engine torch"):
        engine.search([sentences[0]._replace(prefix=(3, engine._eos_id))], GREEDY, 1)
    translator = load_translator(tiny_run, "cpu", "ctranslate2")
    with pytest.raises(UserError, match=r"required terms: .* --engine torch"):  # even of what is found anyway
        next(translator.translations(["I love apples."], GREEDY, DecodeRequest(terms=("a",))))
    with pytest.raises(UserError, match="4096 positions, but 5001 are needed"):
        engine.search(sentences[:1], DecodeSettings(max_length=5000), 1)
    run = Run(tiny_run)
    with pytest.raises(UserError, match="precision float16"):
        CTranslate2Engine(run, run.load_config(), run.load_vocabs(), "cpu", "float16")
    with pytest.raises(UserError, match="--device mps"):
        CTranslate2Engine(run, run.load_config(), run.load_vocabs(), "mps")


def test_special_pieces_in_the_input_are_plain_text(
    engines: tuple[CTranslate2Engine, TorchEngine], tiny_run: Path
) -> None:
    vocabs = Run(tiny_run).load_vocabs()
    sentence = Sentence((*vocabs.src.encode(["I love </s> and <unk> and <s> apples."])[0], vocabs.src.eos_id))
    assert sentence.src.count(vocabs.src.eos_id) == 1
    found, expected = (engine.search([sentence], GREEDY, 1) for engine in engines)
    assert pieces(found) == pieces(expected)


def test_the_model_is_converted_once_and_again_when_the_weights_change(copied_run: Run) -> None:
    config, vocabs = copied_run.load_config(), copied_run.load_vocabs()
    record = ready_model(copied_run, config, vocabs, "float32").path / RECORD
    first = record.stat().st_mtime_ns
    ready_model(copied_run, config, vocabs, "float32")
    assert record.stat().st_mtime_ns == first

    os.utime(copied_run.weights_path)  # the same weights, as after copying the run
    made = (record.parent / "model.bin").stat().st_mtime_ns
    ready_model(copied_run, config, vocabs, "float32")
    assert (record.parent / "model.bin").stat().st_mtime_ns == made
    assert visible(record.parent.parent) == ["float32"]


def test_new_weights_of_the_same_size_and_time_are_noticed(copied_run: Run) -> None:
    vocab = copied_run.load_vocabs().src
    sentence = [Sentence((*vocab.encode(["I love apples."])[0], vocab.eos_id))]
    set_weight(copied_run, 0)
    before, times = both(copied_run.path)[0].search(sentence, GREEDY, 1), copied_run.weights_path.stat()
    set_weight(copied_run, 3)
    os.utime(copied_run.weights_path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert copied_run.weights_path.stat().st_size == times.st_size
    engine, ours = both(copied_run.path)
    after = engine.search(sentence, GREEDY, 1)
    assert after[0][0].score == pytest.approx(ours.search(sentence, GREEDY, 1)[0][0].score, abs=1e-5)
    assert after[0][0].score != before[0][0].score


def set_weight(run: Run, value: float) -> None:
    """Overwrite the last weight of the target embedding; the file then has no checksum."""
    weights = load_file(run.weights_path)
    weights["tgt_embedding.weight"][-1, -1] = value
    save_file(weights, run.weights_path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_rejected(value: float, copied_run: Run) -> None:
    set_weight(copied_run, value)
    with pytest.raises(UserError, match=r"model\.safetensors: .*(NaN|finite)"):
        ready_model(copied_run, copied_run.load_config(), copied_run.load_vocabs(), "float32")
    assert visible(copied_run.path / "ctranslate2") == []


def test_weights_that_overflow_float16_are_rejected_only_in_float16(copied_run: Run, tmp_path: Path) -> None:
    set_weight(copied_run, 65_520.0)  # rounds to infinity; 65,504 is the largest number of float16
    with pytest.raises(UserError, match="use --precision float32"):
        export_ctranslate2(copied_run, tmp_path / "out", "float16")
    export_ctranslate2(copied_run, tmp_path / "out", "float32")


def test_probabilities_that_are_not_finite_are_reported(copied_run: Run) -> None:
    weights = load_file(copied_run.weights_path)
    largest = np.float32(1e30)  # finite, but not the products
    scaled = {name: array * largest if "feed_forward." in name else array for name, array in weights.items()}
    save_file(scaled, copied_run.weights_path)
    vocabs = copied_run.load_vocabs()
    theirs = CTranslate2Engine(copied_run, copied_run.load_config(), vocabs, "cpu")
    pieces = (*vocabs.src.encode(["I love apples."])[0], vocabs.src.eos_id)
    for engine in theirs, TorchEngine.load([copied_run], vocabs, "cpu"):
        for settings in GREEDY, BEAM, DecodeSettings(sample=True):
            with pytest.raises(UserError, match="probabilities are not finite"):
                engine.search([Sentence(pieces)], settings, 1)
        with pytest.raises(UserError, match="probabilities are not finite"):
            engine.score([(pieces, pieces)])


def test_the_position_table_stays_small_whatever_max_pieces_is(copied_run: Run) -> None:
    config = changed(copied_run.load_config(), "data", max_pieces=2**31 - 1)
    copied_run.write_config(config)
    engine = CTranslate2Engine(copied_run, config, copied_run.load_vocabs(), "cpu")
    assert (copied_run.path / "ctranslate2" / "float32" / "model.bin").stat().st_size < 50_000_000
    with pytest.raises(UserError, match=f"{MAX_POSITIONS} positions, but {MAX_POSITIONS + 1} are needed"):
        engine.score([([5] * MAX_POSITIONS + [3], [3])])


def test_a_run_folder_may_have_any_name_in_any_locale(copied_run: Run, tmp_path: Path) -> None:
    path = copied_run.path.rename(tmp_path / "exécution-模型")
    command = [sys.executable, "-m", "translate", "decode", path, "Où sont les pommes ?", "--engine", "ctranslate2"]
    environment = os.environ | {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    for _ in "convert", "reuse":
        result = subprocess.run([*command, "--device", "cpu"], env=environment, capture_output=True, check=False)
        assert result.returncode == 0, result.stderr
        assert result.stdout.count(b"\n") == 1


def visible(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if not path.name.startswith(".")]


def test_several_processes_can_request_the_model_at_once(copied_run: Run) -> None:
    config, vocabs = copied_run.load_config(), copied_run.load_vocabs()
    for _ in range(2):  # where there is none, and where there is one of other weights
        with ThreadPoolExecutor(4) as pool:
            models = list(pool.map(lambda _: ready_model(copied_run, config, vocabs, "int8"), range(4)))
        assert {model.path for model in models} == {copied_run.path / "ctranslate2" / "int8"}
        assert visible(copied_run.path / "ctranslate2") == ["int8"]
        (models[0].path / RECORD).write_text("{}")


def test_the_model_of_a_read_only_run_is_stored_in_a_temporary_folder(
    copied_run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    (copied_run.path / "ctranslate2").write_text("a file, so that no folder can be made; root may write anywhere")
    model = ready_model(copied_run, copied_run.load_config(), copied_run.load_vocabs(), "float32")
    assert "cannot be written" in capsys.readouterr().err
    assert (model.path / "model.bin").exists()
    path = model.path
    del model
    assert not path.exists()


@pytest.mark.parametrize("precision", ["float32", "float16", "int8"])
def test_an_exported_model_needs_only_ctranslate2(precision: str, copied_run: Run, tmp_path: Path) -> None:
    export_ctranslate2(copied_run, tmp_path / "out", precision)
    export_ctranslate2(copied_run, tmp_path / "out", precision)  # an earlier one is replaced
    assert [path.name for path in tmp_path.glob(".*")] == []
    vocab = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "out" / "vocab.model"))
    source = vocab.encode("I love apples.", out_type=str)  # nothing is appended
    translator = ctranslate2.Translator(str(tmp_path / "out"))
    result = translator.translate_batch([source], beam_size=1, max_decoding_length=10)
    settings = changed(copied_run.load_config(), "decode", beam_size=1, max_length=10).decode
    (ours,) = load_translator(copied_run.path, "cpu").translations(["I love apples."], settings)
    assert result[0].hypotheses[0]
    if precision == "float32":
        assert vocab.decode(result[0].hypotheses[0]) == ours.text


def test_a_model_of_an_earlier_format_is_converted_again(copied_run: Run) -> None:
    config, vocabs = copied_run.load_config(), copied_run.load_vocabs()
    model = ready_model(copied_run, config, vocabs, "float32").path
    record = read_record(model / RECORD, FORMAT, "")
    write_record(model / RECORD, record, FORMAT - 1)  # its sources had to end with `</s>`
    (model / "config.json").write_text("{}")
    assert ready_model(copied_run, config, vocabs, "float32").path == model
    assert json.loads((model / "config.json").read_text())["add_source_eos"] is True


def test_an_export_does_not_overwrite_other_files(copied_run: Run, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("...")
    with pytest.raises(UserError, match="already exists and contains other files"):
        export_ctranslate2(copied_run, tmp_path)
    for _ in range(2):  # the second export replaces the first
        export_ctranslate2(copied_run, tmp_path / "model", readme=lambda _: "")
    (tmp_path / "model" / "thesis.tex").write_text("...")
    with pytest.raises(UserError, match="already exists and contains other files"):
        export_ctranslate2(copied_run, tmp_path / "model", readme=lambda _: "")
    assert (tmp_path / "model" / "thesis.tex").exists()
    with pytest.raises(UserError, match="choose one of"):
        export_ctranslate2(copied_run, tmp_path / "out", "int3")
    copied_run.weights_path.write_bytes(copied_run.weights_path.read_bytes()[:-4])
    with pytest.raises(UserError, match="damaged"):
        export_ctranslate2(copied_run, tmp_path / "out")
    copied_run.weights_path.unlink()
    with pytest.raises(UserError, match="no weights found"):
        export_ctranslate2(copied_run, tmp_path / "out")


def test_weights_of_a_different_model_are_rejected(copied_run: Run, tmp_path: Path) -> None:
    config = copied_run.load_config()
    copied_run.write_config(changed(config, "model", num_encoder_layers=3))
    with pytest.raises(UserError, match=r"config\.toml describes"):
        export_ctranslate2(copied_run, tmp_path / "out")


def test_positional_encodings_match_the_model() -> None:
    expected = sinusoidal_positions_in_torch(torch.arange(4000), 64).numpy()
    np.testing.assert_allclose(sinusoidal_positions(4000, 64), expected, atol=1e-7)
    assert sinusoidal_positions(600, 64).dtype == np.float32


def test_a_missing_package_is_reported_with_the_install_command(
    copied_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ctranslate2", None)
    with pytest.raises(UserError, match=r": pip install ctranslate2$"):
        CTranslate2Engine(copied_run, copied_run.load_config(), copied_run.load_vocabs())


def test_a_damaged_model_is_converted_again(copied_run: Run) -> None:
    config, vocabs = copied_run.load_config(), copied_run.load_vocabs()
    path = ready_model(copied_run, config, vocabs, "float32").path
    sound = (path / "model.bin").read_bytes()
    names = sorted(file.name for file in path.iterdir())
    for seed, name in enumerate(names * 2):
        (path / name).write_bytes(damaged((path / name).read_bytes(), random.Random(seed)))
        ready_model(copied_run, config, vocabs, "float32")
        assert sorted(file.name for file in path.iterdir()) == names
        assert (path / "model.bin").read_bytes() == sound, name
    (path / "more").touch()
    (path / "model.bin").unlink()
    ready_model(copied_run, config, vocabs, "float32")
    assert sorted(file.name for file in path.iterdir()) == names


def test_unfinished_models_of_killed_processes_are_removed(copied_run: Run) -> None:
    config, vocabs = copied_run.load_config(), copied_run.load_vocabs()
    unfinished = copied_run.path / "ctranslate2" / ".int8.1234abcd.partial"
    unfinished.mkdir(parents=True)
    (unfinished / "model.bin").touch()
    ready_model(copied_run, config, vocabs, "int8")
    assert not unfinished.exists()
