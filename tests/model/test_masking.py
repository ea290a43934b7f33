"""Head masking, compared with a model whose heads are multiplied by zero, and the commands that use it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from translate import cli
from translate.api import load_translator
from translate.attention.extract import attention_maps, engine_of
from translate.attention.head_ablation import effect_of, head_importances, loss_of
from translate.data.parallel_text import Pair
from translate.decoding.line_translator import LineTranslator
from translate.model.attention_kinds import Head
from translate.model.hooks import heads_of
from translate.run.folder import Run

LINES = ["The cat sat on the mat.", "I love apples.", "Does the old woman see three red birds?"]
OFF = [Head("cross", 1, 0), Head("encoder", 0, 1), Head("decoder", 1, 1)]


@pytest.fixture
def pairs(corpus: Path) -> list[Pair]:
    sides = ((corpus / f"valid.{side}").read_text("utf-8").splitlines() for side in ("en", "fr"))
    return [Pair(*pair) for pair in zip(*sides, strict=True)]


@pytest.fixture
def zeroed(tiny_run: Path) -> LineTranslator:
    return with_zeros(tiny_run, OFF)


def with_zeros(run: Path, heads: list[Head]) -> LineTranslator:
    """A run with the outputs of these heads set to zero before the output projection."""
    translator = load_translator(run, "cpu")

    def zero(module: nn.Module, head: int) -> None:
        def hook(_: nn.Module, arguments: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
            by_head = arguments[0].clone().unflatten(2, (module.num_heads, -1))
            by_head[:, :, head] = 0
            return (by_head.flatten(2),)

        module.output.register_forward_pre_hook(hook)

    for kind, layer, head in heads:
        zero(engine_of(translator).model.attention[kind][layer], head)
    return translator


@pytest.mark.parametrize("beam_size", [1, 4])
def test_masking_equals_setting_the_outputs_of_heads_to_zero(any_run: Path, pairs: list[Pair], beam_size: int) -> None:
    translator = load_translator(any_run, "cpu")
    off = [
        head
        for head in (*OFF, Head("self", 1, 0), Head("cross", 0, 0))
        if head in heads_of(engine_of(translator).model)
    ]
    zeroed = with_zeros(any_run, off)
    settings = translator.settings.model_copy(update={"beam_size": beam_size})
    expected = list(zeroed.translations(LINES, settings))
    masked = translator.without(off[:1]).without(off[1:])
    found = list(masked.translations(LINES, settings))
    scored = list(masked.score(pairs))
    maps = attention_maps(masked, expected[0].parts)
    assert [each.text for each in found] == [each.text for each in expected]
    for one, other in zip(scored, zeroed.score(pairs), strict=True):
        assert np.allclose(one.log_probs, other.log_probs, atol=1e-5)
    assert np.allclose(maps[0].cross, attention_maps(zeroed, expected[0].parts)[0].cross, atol=1e-5)


def test_masking_leaves_the_translator_as_it_was_and_shares_its_parameters(
    translator: LineTranslator, pairs: list[Pair]
) -> None:
    before = loss_of(translator, pairs)
    masked = translator.without(OFF)
    assert loss_of(masked, pairs) != pytest.approx(before, abs=1e-4)
    assert loss_of(translator, pairs) == before
    assert loss_of(translator.without([]), pairs) == before
    sets = [{p.data_ptr() for p in engine_of(each).model.parameters()} for each in (translator, masked)]
    assert len(sets[1] - sets[0]) == len(OFF)


def test_greedy_search_with_masked_heads_matches_teacher_forcing(
    translator: LineTranslator,
) -> None:
    greedy = translator.settings.model_copy(update={"beam_size": 1})
    masked = translator.without(OFF)
    model, bos = engine_of(masked).model, translator.vocabs.tgt.bos_id
    with torch.inference_mode():
        for translation in masked.translations(LINES, greedy):
            ((src, tgt),) = translation.parts
            source = torch.tensor([src])
            logits = model(source, torch.ones_like(source, dtype=torch.bool), torch.tensor([[bos, *tgt[:-1]]]))
            assert tuple(logits[0, : len(tgt) - 1].argmax(dim=1).tolist()) == tuple(tgt[:-1])


def test_effects_match_two_separate_models(
    translator: LineTranslator, zeroed: LineTranslator, pairs: list[Pair]
) -> None:
    sacrebleu = pytest.importorskip("sacrebleu")
    text = [*pairs, Pair("", "vide")]  # which does not count
    effect = effect_of(translator, OFF, text)
    sources, references = [pair.src for pair in pairs], [pair.tgt for pair in pairs]
    old, new = translator.translate(sources), zeroed.translate(sources)
    assert effect.whole.bleu == sacrebleu.corpus_bleu(old, [references]).score
    assert effect.without.bleu == sacrebleu.corpus_bleu(new, [references]).score
    assert effect.without.chrf == sacrebleu.corpus_chrf(new, [references]).score
    assert effect.without.loss == pytest.approx(loss_of(zeroed, pairs), abs=1e-5)
    assert effect.num_lines == len(pairs)
    assert {change.line for change in effect.changes} == {
        number for number, (one, other) in enumerate(zip(old, new, strict=True), start=1) if one != other
    }
    assert [change.likeness for change in effect.changes] == sorted(change.likeness for change in effect.changes)


def test_head_importance_is_the_loss_without_the_head(translator: LineTranslator, pairs: list[Pair]) -> None:
    importances = list(head_importances(translator, pairs))
    assert [head for head, _ in importances] == heads_of(engine_of(translator).model)
    head = Head("encoder", 1, 0)
    assert dict(importances)[head] == loss_of(translator.without([head]), pairs)


def errors(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert cli._run([str(argument) for argument in arguments]) == 2
    said = capsys.readouterr()
    assert not said.out
    assert said.err.count("\n") == 1
    return said.err


@pytest.mark.parametrize("name", ["cross", "cross.1", "nonsense.0.0", "cross.2.0", "encoder.0.2", "cross.-1.0", "1.0"])
def test_an_unknown_head_is_reported_with_the_available_heads(
    tiny_run: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = errors(capsys, "decode", tiny_run, "x", "--mask", name)
    assert f"--mask {name}: " in said
    assert "cross.0.0 to cross.1.1; encoder.0.0 to encoder.1.1; decoder.0.0 to decoder.1.1" in said


def test_the_heads_of_a_block_are_masked_as_a_whole(decoder_only_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = errors(capsys, "decode", decoder_only_run, "x", "--mask", "cross.1.0")
    assert "--mask cross.1.0: masking works for whole heads, so pass self.1.0; available heads: self.0.0" in said


def test_each_usage_error_is_reported_on_one_line(
    tiny_run: Path, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = ("--src", corpus / "valid.en", "--ref", corpus / "valid.fr")
    assert "--engine torch" in errors(capsys, "decode", tiny_run, "x", "--mask", "cross.0.0", "--engine", "ctranslate2")
    assert "leave out --attention" in errors(
        capsys, "decode", tiny_run, "x", "--mask", "cross.0.0", "--attention", tmp_path / "maps"
    )
    assert "--src" in errors(capsys, "attention", tiny_run, "--mask", "cross.0.0")
    assert "No such option" in errors(capsys, "attention", tmp_path, *texts)
    assert "not a run folder" in errors(capsys, "attention", tmp_path, "--mask", "cross.0.0", *texts)
    assert "leave out" in errors(capsys, "attention", tiny_run, "--mask", "every", "--mask", "cross.0.0", *texts)


def test_the_command_reports_what_changes(tiny_run: Path, corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = ["--src", str(corpus / "valid.en"), "--ref", str(corpus / "valid.fr")]
    command = ["attention", str(Run(tiny_run).path), "--mask", "cross.1.0", "--mask=cross.1.1", *texts]
    assert cli._run(command) == 0
    text = capsys.readouterr().out
    assert "without cross.1.0, cross.1.1; 20 lines" in text
    assert cli._run([*command, "--json", "--examples", "1"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert f"{told['without']['loss']:.4f}" in text
    assert len(told["changes"]) == min(1, told["num_changed"])
    assert cli._run(["attention", str(tiny_run), "--mask", "every", *texts]) == 0
    rows = capsys.readouterr().out.splitlines()[3:]
    assert sorted(row.split()[0] for row in rows) == sorted(
        f"{kind}.{layer}.{head}" for kind in ("cross", "encoder", "decoder") for layer in (0, 1) for head in (0, 1)
    )
    losses = [float(row.split()[1]) for row in rows]
    assert losses == sorted(losses, reverse=True)
