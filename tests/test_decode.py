"""Line N out belongs to line N in, whatever the lines, the order, the batch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from translate import load
from translate.decode import WINDOW_LINES, Translator
from translate.errors import UserError

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


def test_every_line_has_its_translation_in_order(translator: Translator) -> None:
    lines = [*ODD_LINES, *(f"The cat {'really ' * (i % 9)}sat." for i in range(WINDOW_LINES))]
    found = list(translator.translations(lines))
    assert [translation.id for translation in found] == list(range(1, len(lines) + 1))
    assert [translation.source for translation in found] == lines
    for i in 0, 2, 10:
        assert found[i].text == ""
        assert found[i].src_ids == ()
    for translation in found:
        assert "\n" not in translation.text
    alone = next(translator.translations([lines[1]]))
    assert found[1].text == alone.text


@pytest.mark.parametrize("beam_size", [1, 4])
def test_batches_do_not_change_translations(translator: Translator, beam_size: int) -> None:
    lines = [f"{subject} sees the {noun}." for subject in ("She", "The old man") for noun in ("cat", "red house")]
    lines += ODD_LINES
    found = []
    for batch_tokens in 1, 50, 2048:
        changes = {"beam_size": beam_size, "batch_tokens": batch_tokens}
        settings = translator.settings.model_copy(update=changes)
        found.append(list(translator.translations(lines, settings, num_best=beam_size)))
    for translations in zip(*found, strict=True):
        assert len({tuple(candidate.text for candidate in t.translations) for t in translations}) == 1
        scores = torch.tensor([[candidate.score for candidate in t.translations] for t in translations])
        assert torch.allclose(scores, scores[:1].expand_as(scores), atol=1e-4)


def test_greedy_decoding_is_the_argmax_of_the_whole_models_logits(translator: Translator) -> None:
    """Without cache, search or batches: the whole prefix through the model for each piece."""
    settings = translator.settings.model_copy(update={"beam_size": 1})
    vocabs, model = translator.vocabs, translator.engine.model
    for line in "The cat sat on the mat.", "Does she see the cat?":
        found = next(translator.translations([line], settings))
        src = torch.tensor([[*vocabs.src.encode([line])[0], vocabs.src.eos_id]])
        pieces, total = [vocabs.tgt.bos_id], 0.0
        for _ in found.tgt_ids:
            with torch.no_grad():
                logits = model(src, torch.ones_like(src, dtype=torch.bool), torch.tensor([pieces]))
            log_probs = logits[0, -1].log_softmax(0)
            at_limit = len(pieces) == len(found.tgt_ids) and found.warnings
            best = vocabs.tgt.eos_id if at_limit else int(log_probs.argmax())
            total += log_probs[best].item()
            pieces.append(best)
        assert tuple(pieces[1:]) == found.tgt_ids
        assert found.translations[0].score == pytest.approx(total / len(found.tgt_ids), abs=1e-4)


def test_a_long_line_is_cut_with_a_warning(translator: Translator) -> None:
    found = list(translator.translations(["apples " * 5000, "I love apples."]))
    assert "input cut" in found[0].warnings[0]
    assert len(found[0].src_ids) == translator.max_pieces + 1
    assert not any("cut" in warning for warning in found[1].warnings)


def test_n_best_are_different_and_sorted(translator: Translator) -> None:
    settings = translator.settings.model_copy(update={"beam_size": 5})
    found = next(translator.translations(["The cat sat on the mat."], settings, num_best=5))
    assert len(found.translations) == 5
    assert len({candidate.pieces for candidate in found.translations}) == 5
    scores = [candidate.score for candidate in found.translations]
    assert scores == sorted(scores, reverse=True)
    with pytest.raises(UserError, match=r"raise decode\.beam_size"):
        next(translator.translations(["x"], settings, num_best=6))


def test_input_is_read_a_window_at_a_time(translator: Translator) -> None:
    read = 0

    def endless() -> object:
        nonlocal read
        while True:
            read += 1
            yield "The cat sat."

    assert next(translator.translations(endless())).id == 1
    assert read == WINDOW_LINES


def test_a_run_folder_can_be_copied_and_moved(tiny_run: Path, tmp_path: Path, translator: Translator) -> None:
    for name in "config.toml", "vocab.model", "model.safetensors":
        (tmp_path / name).write_bytes((tiny_run / name).read_bytes())
    assert Translator.load(tmp_path, "cpu").translate(["She sings."]) == translator.translate(["She sings."])


def test_what_is_no_run_is_named(tmp_path: Path, tiny_run: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        Translator.load(tmp_path / "nothing")
    with pytest.raises(UserError, match="not a run folder"):
        Translator.load(tmp_path)
    for name in "config.toml", "vocab.model":
        (tmp_path / name).write_bytes((tiny_run / name).read_bytes())
    with pytest.raises(UserError, match=r"model\.safetensors: no such weights"):
        Translator.load(tmp_path, "cpu")
    (tmp_path / "model.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(UserError, match=r"model\.safetensors: damaged"):
        Translator.load(tmp_path, "cpu")
    (tmp_path / "model.safetensors").write_bytes((tiny_run / "model.safetensors").read_bytes())
    text = (tmp_path / "config.toml").read_text().replace("d_ff = 64", "d_ff = 65")
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(UserError, match="weights are of another model"):
        Translator.load(tmp_path, "cpu")
