"""Output line N is the translation of input line N, regardless of lines, order and batch."""

from __future__ import annotations

import math
import os
import signal
import threading
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.helpers.runs import changed
from translate import load
from translate.api import load_translator
from translate.attention.extract import attention_maps
from translate.config.settings import Config, DecodeSettings, VocabSettings
from translate.data.readers.lines import read_lines
from translate.data.vocab import VocabPair, train_vocab
from translate.decoding.engine import SearchStep
from translate.decoding.line_translator import LineTranslator
from translate.decoding.results import DecodeRequest
from translate.decoding.sampling import _draw
from translate.decoding.torch_engine import TorchEngine
from translate.decoding.windows import FIRST_WINDOW, WINDOW_CHARACTERS, WINDOW_LINES
from translate.errors import UserError
from translate.run.model import build_model

ODD_LINES = [
    "",
    "The cat sat on the mat.",
    "   ",
    "\ufeffI love apples.",
    "emoji 😀👩‍👩‍👧 and ﷺ",
    "שלום עולם, what?",
    "</s>",
    "<s> <pad> </s> <unk>",
    "<script>alert(1)</script>",
    "a\u2028b\x85c\x00d",
    "\u200b",
    "x",
]


def test_python_api_translates(tiny_run: Path) -> None:
    texts = load(str(tiny_run), "cpu").translate(["I love apples.", ""])
    assert len(texts) == 2
    assert texts[0]
    assert texts[1] == ""


def test_translations_are_in_line_order(translator: LineTranslator) -> None:
    lines = [*ODD_LINES, *(f"The cat {'really ' * (i % 9)}sat." for i in range(WINDOW_LINES // 2))]
    settings = translator.settings.model_copy(update={"beam_size": 1, "max_length": 12})
    found = list(translator.translations(lines, settings))
    assert [translation.id for translation in found] == list(range(1, len(lines) + 1))
    assert [translation.source for translation in found] == lines
    for i in 0, 2:  # a zero-width space is a character like any other
        assert found[i].text == ""
        assert found[i].parts == ()
    for translation in found:
        assert "\n" not in translation.text
    alone = next(translator.translations([lines[1]], settings))
    assert found[1].text == alone.text


@pytest.mark.parametrize("beam_size", [1, 4])
def test_batches_do_not_change_translations(each_translator: LineTranslator, beam_size: int) -> None:
    lines = [f"{subject} sees the {noun}." for subject in ("She", "The old man") for noun in ("cat", "red house")]
    lines += ODD_LINES
    found = []
    for batch_tokens in 1, 2048:
        changes = {"beam_size": beam_size, "batch_tokens": batch_tokens, "max_length": 20}
        settings = each_translator.settings.model_copy(update=changes)
        found.append(list(each_translator.translations(lines, settings, DecodeRequest(num_best=beam_size))))
    for translations in zip(*found, strict=True):
        assert len({tuple(candidate.text for candidate in t.translations) for t in translations}) == 1
        scores = torch.tensor([[candidate.score for candidate in t.translations] for t in translations])
        assert torch.allclose(scores, scores[:1].expand_as(scores), atol=1e-4)


def test_greedy_decoding_matches_the_argmax_without_a_cache(each_translator: LineTranslator) -> None:
    """The reference runs the full prefix through the model for each piece, without cache, search or batches."""
    settings = each_translator.settings.model_copy(update={"beam_size": 1})
    vocabs, model = each_translator.vocabs, each_translator.engine.model
    for line in "The cat sat on the mat.", "Does she see the cat?":
        found = next(each_translator.translations([line], settings))
        src = torch.tensor([[*vocabs.src.encode([line])[0], vocabs.src.eos_id]])
        pieces, total = [vocabs.tgt.bos_id], 0.0
        tgt_ids = found.parts[0][1]
        for _ in tgt_ids:
            with torch.no_grad():
                logits = model(src, torch.ones_like(src, dtype=torch.bool), torch.tensor([pieces]))
            log_probs = logits[0, -1].log_softmax(0)
            at_limit = len(pieces) == len(tgt_ids) and found.warnings
            best = vocabs.tgt.eos_id if at_limit else int(log_probs.argmax())
            total += log_probs[best].item()
            pieces.append(best)
        assert pieces[1:] == tgt_ids
        assert found.translations[0].score == pytest.approx(total / len(tgt_ids), abs=1e-4)


def test_long_line_is_translated_sentence_by_sentence_with_a_warning(translator: LineTranslator) -> None:
    sentences = ["The cat sat on the mat.", "I love apples.", "Does she see the cat?"] * 60
    whole, after = translator.translations([" ".join(sentences), "I love apples."])
    assert "translated in 180 parts" in whole.warnings[0]
    assert whole.text.split() == " ".join(translator.translate(sentences)).split()
    assert len(whole.parts) == 180
    assert after.text == translator.translate(["I love apples."])[0]
    assert not any("parts" in warning for warning in after.warnings)


@pytest.mark.parametrize("line", ["apples " * 10_000, "x" * 100_000, "。" * 5000, "the cat, " * 3000])
def test_long_line_is_translated_in_parts_that_fit_the_model(translator: LineTranslator, line: str) -> None:
    settings = translator.settings.model_copy(update={"beam_size": 1, "max_length": 5})
    before, found, after = translator.translations(["I love apples.", line, "She sings."], settings)
    assert [before.id, found.id, after.id] == [1, 2, 3]
    assert "\n" not in found.text
    assert len(found.parts) > 1
    assert all(len(src) <= translator.max_pieces + 1 for src, _ in found.parts)
    assert sum(len(src) - 1 for src, _ in found.parts) >= len(translator.vocabs.src.encode([line])[0])


def test_n_best_translations_are_distinct_and_sorted(translator: LineTranslator) -> None:
    settings = translator.settings.model_copy(update={"beam_size": 5})
    found = next(translator.translations(["The cat sat on the mat."], settings, DecodeRequest(num_best=5)))
    assert len(found.translations) == 5
    assert len({candidate.pieces for candidate in found.translations}) == 5
    scores = [candidate.score for candidate in found.translations]
    assert scores == sorted(scores, reverse=True)
    with pytest.raises(UserError, match="add --beam-size 6"):
        next(translator.translations(["x"], settings, DecodeRequest(num_best=6)))


def test_first_lines_are_translated_early_and_long_lines_one_by_one(translator: LineTranslator) -> None:
    read = 0

    def endless(line: str) -> object:
        nonlocal read
        read = 0
        while True:
            read += 1
            yield line

    assert next(translator.translations(endless("The cat sat."))).id == 1
    assert read == FIRST_WINDOW
    assert next(translator.translations(endless(" " * WINDOW_CHARACTERS))).id == 1
    assert read == 1


def test_lines_before_one_that_cannot_be_read_are_translated(translator: LineTranslator, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"She sings.\n" * (FIRST_WINDOW + 2) + b"\xff\n")
    found = translator.translations(read_lines(tmp_path / "in"))
    assert [each.id for each in islice(found, FIRST_WINDOW + 2)] == [*range(1, FIRST_WINDOW + 3)]
    with pytest.raises(UserError, match=f"line {FIRST_WINDOW + 3} is not UTF-8"):
        next(found)


def test_run_folder_can_be_copied_and_moved(tiny_run: Path, tmp_path: Path, translator: LineTranslator) -> None:
    for name in "config.toml", "vocab.model", "model.safetensors":
        (tmp_path / name).write_bytes((tiny_run / name).read_bytes())
    assert load_translator(tmp_path, "cpu").translate(["She sings."]) == translator.translate(["She sings."])


def test_invalid_run_folder_is_named(tmp_path: Path, tiny_run: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        load_translator(tmp_path / "nothing")
    with pytest.raises(UserError, match="not a run folder"):
        load_translator(tmp_path)
    for name in "config.toml", "vocab.model":
        (tmp_path / name).write_bytes((tiny_run / name).read_bytes())
    with pytest.raises(UserError, match=r"model\.safetensors: no weights found"):
        load_translator(tmp_path, "cpu")
    (tmp_path / "model.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(UserError, match=r"model\.safetensors: damaged"):
        load_translator(tmp_path, "cpu")
    (tmp_path / "model.safetensors").write_bytes((tiny_run / "model.safetensors").read_bytes())
    text = (tmp_path / "config.toml").read_text().replace("d_ff = 64", "d_ff = 65")
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(UserError, match="weights do not match the model"):
        load_translator(tmp_path, "cpu")


LINES = ["The cat sat on the mat.", "I love apples.", "Does the old woman see three red birds?", "", "She sings."]


def sampled(translator: LineTranslator, lines: list[str], num_best: int = 3, **changes: object) -> list[list[str]]:
    settings = translator.settings.model_copy(update={"sample": True, **changes})
    found = translator.translations(lines, settings, DecodeRequest(num_best))
    return [[candidate.text for candidate in translation.translations] for translation in found]


def test_samples_depend_only_on_the_seed_and_the_line(each_translator: LineTranslator) -> None:
    first = sampled(each_translator, LINES, seed=1)
    assert first == sampled(each_translator, LINES, seed=1, batch_tokens=1)
    assert first != sampled(each_translator, LINES, seed=2)
    twice = sampled(each_translator, [LINES[0], LINES[0]], seed=1)
    assert twice[0] == first[0]
    assert twice[1] != twice[0]
    assert len(set(first[0])) > 1


def test_a_sample_does_not_depend_on_which_of_two_pieces_is_more_probable_by_rounding() -> None:
    logits = torch.tensor([0.0, 2.0, -torch.inf, 2.0, 1.0, -torch.inf])
    numbers = torch.linspace(0, 1, 1001)
    rounded = logits + torch.tensor([0.0, 1e-6, 0.0, 0.0, 0.0, 0.0])
    for settings in DecodeSettings(), DecodeSettings(top_k=3), DecodeSettings(top_p=0.9):
        one, other = (_draw(each.expand(1, 1001, 6), numbers[None], settings) for each in (logits, rounded))
        assert int((one != other).sum()) == 0
        assert sorted({*one[0].tolist()}) == ([1, 3, 4] if settings.top_k or settings.top_p < 1 else [0, 1, 3, 4])


def test_sampling_from_one_piece_is_greedy_search(translator: LineTranslator) -> None:
    greedy = translator.settings.model_copy(update={"beam_size": 1})
    expected = [[translation.text] for translation in translator.translations(LINES, greedy)]
    assert sampled(translator, LINES, 1, top_k=1) == expected
    assert sampled(translator, LINES, 1, top_p=1e-6) == expected
    assert sampled(translator, LINES, 1, temperature=0.001) == expected


def test_sample_frequencies_match_the_model() -> None:
    torch.manual_seed(3)
    logits = torch.randn(1, 1, 8).expand(1, 20_000, 8) * 2
    settings = DecodeSettings(temperature=0.7, top_k=6, top_p=0.9)
    drawn = _draw(logits / settings.temperature, torch.rand(1, 20_000), settings)
    probabilities = (logits[0, 0] / 0.7).softmax(0)
    order = probabilities.argsort(descending=True)[:6]
    best = probabilities[order] / probabilities[order].sum()
    kept = order[: int((best.cumsum(0) < 0.9).sum()) + 1]
    expected = torch.zeros(8)
    expected[kept] = probabilities[kept] / probabilities[kept].sum()
    counted = torch.bincount(drawn.flatten(), minlength=8) / 20_000
    assert len(kept) < 6
    assert torch.equal(counted > 0, expected > 0)
    assert torch.allclose(counted, expected, atol=0.015)


def test_detailed_log_probabilities_sum_to_the_score(translator: LineTranslator) -> None:
    settings = translator.settings.model_copy(update={"length_penalty": 0.7})
    found = list(translator.translations(LINES, settings, DecodeRequest(num_best=2, details=True)))
    for candidate in (candidate for translation in found for candidate in translation.translations if candidate.text):
        assert len(candidate.log_probs) == len(candidate.pieces) + 1
        total = sum(candidate.log_probs)
        assert candidate.score == pytest.approx(total / len(candidate.log_probs) ** 0.7, abs=1e-4)
    scored = list(translator.score([(t.source, t.text) for t in found if t.text]))
    assert [each.source for each in scored] == [t.source for t in found if t.text]
    for each in scored:
        assert each.pieces[-1] == "</s>"
        assert each.perplexity == pytest.approx(math.exp(-sum(each.log_probs) / len(each.pieces)))


def test_pieces_and_log_probabilities_of_a_line_in_parts_are_in_step(each_translator: LineTranslator) -> None:
    """Each log-probability is that of the piece of the same index, as scoring the parts alone finds it."""
    line, tgt = "The cat sat on the mat. I love apples. " * 40, each_translator.vocabs.tgt
    (found,) = each_translator.translations([line], request=DecodeRequest(num_best=2, details=True))
    assert len(found.parts) > 1
    for candidate in found.translations:
        assert len(candidate.log_probs or ()) == len(candidate.pieces) + 1
        assert candidate.pieces.count("</s>") == len(found.parts) - 1
    best = found.translations[0]
    assert (*best.pieces, "</s>") == tuple(piece for _, ids in found.parts for piece in tgt.pieces(ids))
    expected = [value for log_probs in each_translator.engine.score(found.parts) for value in log_probs]
    assert best.log_probs == pytest.approx(expected, abs=1e-5)


def test_a_character_that_is_cut_is_reported(tiny_run: Path) -> None:
    translator = load_translator(tiny_run, "cpu")
    translator.max_pieces = 2
    for line in "😀", "漢😀":
        (found,) = translator.translations([line])
        assert any("a character has more than 2 pieces" in warning for warning in found.warnings)


@pytest.mark.parametrize("max_pieces", [100, 5])
def test_words_that_the_vocabulary_lacks_are_reported_on_both_sides(max_pieces: int) -> None:
    """Without byte fallback; the vocabulary has no letters but a to d."""
    settings = VocabSettings(size=30, byte_fallback=False, algorithm="unigram")
    vocab = train_vocab(lambda: ["abc abd bcd", "dcba cab bad"] * 20, settings, 1, lambda text: None)
    sizes = {"d_model": 8, "d_ff": 8, "num_heads": 1, "num_encoder_layers": 1, "num_decoder_layers": 1, "dropout": 0.0}
    config = changed(changed(Config(), "model", **sizes), "data", max_pieces=max_pieces)
    vocabs = VocabPair(vocab, vocab)
    model = build_model(config, vocabs).eval()
    translator = LineTranslator(TorchEngine([model], vocabs, torch.device("cpu")), vocabs, config)
    known, unknown = translator.translations(["abc dab", "abc 日本 cab ézé cab 日本"])
    assert not any("vocabulary" in warning for warning in known.warnings)
    assert "not in the source vocabulary: 日本, ézé" in unknown.warnings
    prefixed = translator.translations(["abc", "cab"], request=DecodeRequest(prefix="日 a"))
    assert all("the output contains the unknown piece (⁇)" in found.warnings for found in prefixed)
    sound, lacking = translator.score([("abc", "cab"), ("é a", "cab 本 日")])
    assert sound.warnings == ()
    assert lacking.warnings == ("not in the source vocabulary: é", "not in the target vocabulary: 本, 日")
    assert lacking.as_translation(1).warnings == lacking.as_dict()["warnings"] == lacking.warnings


def test_translations_have_the_prefix_and_the_terms(each_translator: LineTranslator) -> None:
    lines = ["The cat sat on the mat.", "I love apples."]
    found = list(
        each_translator.translations(lines, request=DecodeRequest(prefix="Nous sommes", terms=("pommes", "le chat")))
    )
    for translation in found:
        assert translation.text.startswith("Nous sommes")
        assert "pommes" in translation.text
        assert "le chat" in translation.text
        assert not any("required" in warning for warning in translation.warnings)


@pytest.mark.parametrize("changes", [{"beam_size": 4}, {"beam_size": 1}, {"sample": True}])
def test_translations_begin_with_the_prefix_ids(translator: LineTranslator, changes: dict[str, object]) -> None:
    tgt, settings = translator.vocabs.tgt, translator.settings.model_copy(update=changes)
    num_best = 1 if changes.get("beam_size") == 1 else 3
    written = tuple(tgt.encode(["Nous sommes"])[0])
    by_text, by_ids = (
        list(translator.translations(["The cat sat.", "", "She sings."], settings, request))
        for request in (DecodeRequest(num_best, prefix="Nous sommes"), DecodeRequest(num_best, prefix_ids=written))
    )
    assert by_ids == by_text
    # Pieces that no text is encoded as, and a translation that is given to its end.
    for prefix in ([7, 7, tgt.unk_id, 9], [*written, tgt.eos_id], [tgt.eos_id]):
        request = DecodeRequest(num_best, details=True, prefix_ids=tuple(prefix))
        (found,) = translator.translations(["The cat sat."], settings, request)
        for candidate in found.translations:
            assert [*candidate.pieces, "</s>"][: len(prefix)] == tgt.labels(prefix)
            mean = sum(candidate.log_probs) / len(candidate.log_probs)
            assert candidate.score == pytest.approx(mean, abs=1e-4)
        assert found.text.startswith(tgt.decode([piece for piece in prefix if piece != tgt.eos_id]))
        assert (found.parts[0][1] == prefix) == (prefix[-1] == tgt.eos_id)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ((3, -1), "-1 is not a target piece; the ids are 0 to "),
        ((10**30,), f"{10**30} is not a target piece"),
        ((3, 2, 3), "</s> ends a translation, so it can only be the last piece$"),
        ((3,) * 1001, "1,001 pieces exceed the maximum of 1,000; use fewer$"),
    ],
)
def test_prefix_ids_that_cannot_be_enforced_are_refused(
    translator: LineTranslator, ids: tuple[int, ...], message: str
) -> None:
    assert translator.vocabs.tgt.eos_id == 2
    with pytest.raises(UserError, match=f"^the prefix: {message}"):
        next(translator.translations(["x"], request=DecodeRequest(prefix_ids=ids)))


def test_length_and_repetition_limits_are_enforced(translator: LineTranslator) -> None:
    settings = translator.settings.model_copy(update={"min_length": 12, "max_length": 15, "no_repeat_ngram": 1})
    for translation in translator.translations(["The cat sat on the mat.", "I love apples."], settings):
        pieces = translation.translations[0].pieces
        assert 12 <= len(pieces) <= 15
        assert len(set(pieces)) == len(pieces)
    with pytest.raises(UserError, match=r"^\[decode\] min_length 20 exceeds max_length 15; change one$"):
        next(translator.translations(["x"], settings.model_copy(update={"min_length": 20})))


def test_ensemble_of_one_model_twice_matches_the_model(tiny_run: Path, translator: LineTranslator) -> None:
    twice = load_translator(tiny_run, "cpu", ensemble=[tiny_run])
    for alone, together in zip(translator.translations(LINES), twice.translations(LINES), strict=True):
        assert alone.text == together.text
        assert alone.translations[0].score == pytest.approx(together.translations[0].score, abs=1e-5)


@pytest.mark.parametrize("others", [[""], ["recurrent", "without attention", "decoder-only"]])
def test_ensemble_averages_probabilities(
    tiny_run: Path, other_run: Path, run_of: Callable[[str], Path], others: list[str]
) -> None:
    """Its models share a vocabulary. Their architectures may differ."""
    runs = [tiny_run, *(run_of(name) if name else other_run for name in others)]
    ensemble = load_translator(tiny_run, "cpu", ensemble=runs[1:])
    apart = [load_translator(run, "cpu") for run in runs]
    pairs = [("I love apples.", "J'aime les pommes."), ("She sings.", "Elle chante.")]
    for together, *each in zip(ensemble.score(pairs), *(one.score(pairs) for one in apart), strict=True):
        expected = np.log(np.mean([np.exp(one.log_probs) for one in each], axis=0))
        assert np.allclose(together.log_probs, expected, atol=1e-5)
    for translation in ensemble.translations(LINES, request=DecodeRequest(details=True)):
        candidate = translation.translations[0]
        if candidate.text:
            assert candidate.score == pytest.approx(sum(candidate.log_probs) / len(candidate.log_probs), abs=1e-4)


def test_an_ensemble_has_models_of_any_architecture(
    tiny_run: Path, recurrent_run: Path, decoder_only_run: Path, no_attention_run: Path
) -> None:
    """Its maps are those of the first model; the coverage is averaged over all layers of the models with attention."""
    runs = [decoder_only_run, no_attention_run, recurrent_run, tiny_run]
    ensemble = load_translator(runs[0], "cpu", ensemble=runs[1:])
    first, _, *others = apart = [load_translator(run, "cpu") for run in runs]
    settings = ensemble.settings.model_copy(update={"coverage_penalty": 0.4, "beam_size": 3})
    for found in ensemble.translations(["I love apples.", "She sings."], settings, DecodeRequest(details=True)):
        candidate, (pair,) = found.translations[0], found.parts
        expected = np.mean([np.exp(each.engine.score([pair])[0]) for each in apart], axis=0)
        assert np.allclose(candidate.log_probs, np.log(expected), atol=1e-4)
        maps = [attention_maps(each, [pair])[0] for each in (ensemble, *others)]
        assert maps[0].stacks.keys() == {"cross", "self"}
        assert np.array_equal(maps[0].cross, attention_maps(first, [pair])[0].cross)
        layers = np.concatenate([each.cross.mean(axis=1) for each in maps]).mean(axis=0)
        attended = (layers / layers.sum(axis=1, keepdims=True)).sum(axis=0)
        bonus = 0.4 * np.log(np.minimum(attended, 1.0)).sum()
        assert candidate.score == pytest.approx(np.log(expected).mean() + bonus, abs=1e-4)


def test_coverage_penalty_matches_the_attention_maps(any_run: Path) -> None:
    """In one batch, too, in which short sentences end first and the cache drops their padding."""
    weight, translator = 0.4, load_translator(any_run, "cpu")
    settings = translator.settings.model_copy(update={"coverage_penalty": weight, "beam_size": 4})
    for batch_tokens in 1, 2048:
        changed = settings.model_copy(update={"batch_tokens": batch_tokens})
        for translation in translator.translations(LINES, changed, DecodeRequest(details=True)):
            candidate = translation.translations[0]
            if candidate.text:
                cross = attention_maps(translator, translation.parts)[0].cross.mean(axis=(0, 1))
                attended = (cross / cross.sum(axis=1, keepdims=True)).sum(axis=0)
                bonus = weight * np.log(np.minimum(attended, 1.0)).sum()
                log_prob = sum(candidate.log_probs) / len(candidate.log_probs)
                assert candidate.score == pytest.approx(log_prob + bonus, abs=1e-4)


def test_watch_receives_the_growing_translation(translator: LineTranslator) -> None:
    steps: list[SearchStep] = []
    settings = translator.settings.model_copy(update={"beam_size": 1})
    (found,) = translator.translations(["The cat sat on the mat."], settings, watch=steps.append)
    (pieces,) = (pieces for _, pieces in found.parts)
    assert [step.prefix for step in steps[:-1]] == [pieces[:length] for length in range(1, len(pieces))]


@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
def test_fast_precisions_are_close_to_float32(each_run: Path, each_translator: LineTranslator, precision: str) -> None:
    near = load_translator(each_run, "cpu", precision=precision)
    pairs = [("I love apples.", "J'aime les pommes."), ("She sings.", "Elle chante.")]
    for exact, found in zip(each_translator.score(pairs), near.score(pairs), strict=True):
        assert np.allclose(exact.log_probs, found.log_probs, atol=0.1)
        assert exact.log_probs != found.log_probs
    assert len(near.translate(LINES)) == len(LINES)
    with pytest.raises(UserError, match="torch supports float32, bfloat16 and int8"):
        load_translator(each_run, "cpu", precision="float16")


def test_interrupted_search_ends_at_its_next_step(translator: LineTranslator, monkeypatch: pytest.MonkeyPatch) -> None:
    """This works even while other threads run the search, which would take a long time."""
    lines = [f"The cat {'really ' * i}sat." for i in range(40)]
    settings = translator.settings.model_copy(update={"min_length": 900, "batch_tokens": 1})
    model, num_steps = translator.engine.model, 0
    step = model.step

    def counted(*arguments: object) -> object:
        nonlocal num_steps
        num_steps += 1
        if num_steps == 10:
            os.kill(os.getpid(), signal.SIGINT)
        return step(*arguments)

    monkeypatch.setattr(model, "step", counted)
    threads = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        list(translator.translations(lines, settings))
    assert threading.active_count() == threads
    assert num_steps < 450  # half of what one batch alone would take


def test_number_of_forced_pieces_is_limited(translator: LineTranslator) -> None:
    settings = translator.settings.model_copy(update={"min_length": 100_000})
    with pytest.raises(UserError, match=r"^decode\.min_length = 100000: should be less than or equal to 1000$"):
        next(translator.translations(["x"], settings))
    with pytest.raises(UserError, match="the prefix"):
        next(translator.translations(["x"], request=DecodeRequest(prefix="la " * 2000)))
