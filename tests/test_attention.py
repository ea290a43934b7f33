"""Maps against step-by-step decoding; their files; what is made of them to look at."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from translate.attention import AttentionMaps, attention_maps, view, words_of, write_attention
from translate.decode import Translator
from translate.errors import UserError
from translate.recording import recording
from translate.translation import Translation, Wishes

LINES = ["The cat sat on the mat.", "I love apples.", "Does the old woman see three red birds?"]


def translated(translator: Translator, beam_size: int, num_best: int = 1) -> list[Translation]:
    settings = translator.settings.model_copy(update={"beam_size": beam_size})
    return list(translator.translations(LINES, settings, Wishes(num_best)))


@pytest.mark.parametrize(("beam_size", "num_best"), [(1, 1), (4, 1), (4, 4)])
def test_maps_are_those_of_step_by_step_decoding(translator: Translator, beam_size: int, num_best: int) -> None:
    """Each step's own weights, as the cached decoder computes them on its way, one row a step."""
    for translation in translated(translator, beam_size, num_best):
        maps = attention_maps(translator, translation)
        src = torch.tensor([translation.parts[0][0]])
        with torch.no_grad(), recording(translator.engine.model) as encoded:
            state = translator.engine.model.encode(src, torch.ones_like(src, dtype=torch.bool))
        assert np.allclose(torch.cat(encoded.encoder).numpy(), maps.encoder, atol=1e-6)
        pieces = [translator.vocabs.tgt.bos_id, *translation.parts[0][1]]
        for t, piece in enumerate(pieces[:-1]):
            with torch.no_grad(), recording(translator.engine.model) as step:
                features, state = translator.engine.model.step(torch.tensor([[piece]]), state)
                logits = translator.engine.model.output(features)
            assert np.allclose(torch.cat(step.cross)[:, :, 0].numpy(), maps.cross[:, :, t], atol=1e-5)
            assert np.allclose(torch.cat(step.decoder)[:, :, 0].numpy(), maps.decoder[:, :, t, : t + 1], atol=1e-5)
            if beam_size == 1 and t < len(pieces) - 2:
                assert int(logits[0, -1].argmax()) == pieces[t + 1]


def test_maps_have_the_shapes_and_labels_of_the_contract(translator: Translator) -> None:
    settings = translator.engine.model.encoder_layers, translator.engine.model.decoder_layers
    for translation in translated(translator, 4):
        maps = attention_maps(translator, translation)
        s, t = map(len, translation.parts[0])
        heads = translator.engine.model.encoder_layers[0].self_attn.num_heads
        assert maps.encoder.shape == (len(settings[0]), heads, s, s)
        assert maps.decoder.shape == (len(settings[1]), heads, t, t)
        assert maps.cross.shape == (len(settings[1]), heads, t, s)
        assert maps.source[-1] == maps.target[-1] == "</s>"
        assert "".join(maps.target[:-1]).replace("▁", " ").strip() == translation.text.strip()
        for weights in maps.encoder, maps.decoder, maps.cross:
            assert weights.dtype == np.float32
            assert np.allclose(weights.sum(-1), 1, atol=1e-5)
        assert not np.triu(maps.decoder, 1).any()  # no row looks at a piece that was not read yet


def test_nothing_is_recorded_outside_the_block(translator: Translator) -> None:
    with recording(translator.engine.model) as maps:
        pass
    translator.translate(["The cat."])
    assert maps == ([], [], [])
    assert not any(module._forward_hooks for module in translator.engine.model.modules())


def test_the_folder_holds_a_file_a_line_and_an_index(translator: Translator, tmp_path: Path) -> None:
    folder = tmp_path / "maps"
    lines = ["I love apples.", "", 'odd "</s>" <script>\u2028 😀']
    for _ in range(2):  # writing it again replaces it
        found = list(write_attention(folder, translator, translator.translations(lines)))
        assert [translation.source for translation in found] == lines
    assert sorted(path.name for path in folder.iterdir()) == ["000001.npz", "000003.npz", "index.jsonl"]
    index = [json.loads(line) for line in (folder / "index.jsonl").read_text(encoding="utf-8").split("\n")[:-1]]
    assert [line["id"] for line in index] == [1, 2, 3]
    assert [line["file"] for line in index] == ["000001.npz", None, "000003.npz"]
    assert [line["source"] for line in index] == lines
    with np.load(folder / "000003.npz", allow_pickle=False) as arrays:
        assert sorted(arrays) == ["cross", "decoder", "encoder", "source", "target"]
    maps, expected = AttentionMaps.load(folder / "000003.npz"), attention_maps(translator, found[2])
    assert (maps.source, maps.target) == (expected.source, expected.target)
    assert np.allclose(maps.cross, expected.cross, atol=1e-6)


def test_a_folder_of_other_things_is_left_alone(translator: Translator, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="holds other files than attention"):
        list(write_attention(tmp_path, translator, translator.translations(["x"])))
    with pytest.raises(UserError, match="this is a file"):
        list(write_attention(tmp_path / "thesis.txt", translator, translator.translations(["x"])))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x03\x04 garbage"])
def test_a_file_without_maps_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "000001.npz"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"000001\.npz: not an attention file"):
        AttentionMaps.load(path)
    np.savez(path, other=np.zeros(3))
    with pytest.raises(UserError, match=r"000001\.npz: not an attention file"):
        AttentionMaps.load(path)


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("cross", np.zeros(3, np.float32)),
        ("cross", np.zeros((1, 1, 2, 4), np.float32)),
        ("cross", np.zeros((0, 1, 2, 3), np.float32)),
        ("encoder", np.zeros((1, 1, 3, 3), "U1")),
        ("source", np.zeros((3, 1), "U1")),
        ("target", np.zeros(2)),
    ],
)
def test_a_malformed_array_is_named(tmp_path: Path, name: str, array: np.ndarray) -> None:
    arrays = {
        "source": np.array(["a", "b", "</s>"]),
        "target": np.array(["c", "</s>"]),
        "encoder": np.zeros((1, 1, 3, 3), np.float32),
        "decoder": np.zeros((1, 1, 2, 2), np.float32),
        "cross": np.zeros((1, 1, 2, 3), np.float32),
    }
    path = tmp_path / "000001.npz"
    np.savez(path, **arrays)
    AttentionMaps.load(path)
    np.savez(path, **{**arrays, name: array})
    with pytest.raises(UserError, match=r"000001\.npz: not an attention file .* is malformed"):
        AttentionMaps.load(path)


def some_maps() -> AttentionMaps:
    random = np.random.default_rng(1)

    def weights(rows: int, columns: int) -> np.ndarray:
        return random.dirichlet(np.ones(columns), size=(2, 3, rows)).astype(np.float32)

    source, target = ("▁I", "▁love", "▁app", "les", ".", "</s>"), ("▁J", "'", "aime", "▁les", "</s>")
    return AttentionMaps(source, target, weights(6, 6), weights(5, 5), weights(5, 6))


def test_a_view_is_one_head_or_the_mean_of_what_is_not_chosen() -> None:
    maps = some_maps()
    assert np.array_equal(view(maps, "cross", 1, 2, words=False).weights, maps.cross[1, 2])
    assert np.allclose(view(maps, "encoder", None, 2, words=False).weights, maps.encoder[:, 2].mean(0))
    every = view(maps, "cross", None, None, words=False)
    assert np.allclose(every.weights, maps.cross.mean((0, 1)))
    assert every.title == "encoder-decoder attention, mean of 2 layers, mean of 3 heads"
    assert (every.rows, every.columns) == (list(maps.target), list(maps.source))
    for wrong in 2, -1:
        with pytest.raises(UserError, match=rf"--layer {wrong}: this model has layers 0 to 1"):
            view(maps, "cross", wrong, None, words=False)


def test_decoder_columns_are_the_pieces_read() -> None:
    shown = view(some_maps(), "decoder", 0, 0, words=False)
    assert shown.rows == ["▁J", "'", "aime", "▁les", "</s>"]
    assert shown.columns == ["<s>", "▁J", "'", "aime", "▁les"]


def test_words_sum_their_columns_and_average_their_rows() -> None:
    maps = some_maps()
    shown = view(maps, "cross", 0, 0, words=True)
    assert shown.rows == ["J'aime", "les", "</s>"]
    assert shown.columns == ["I", "love", "apples.", "</s>"]
    pieces = maps.cross[0, 0]
    assert shown.weights[0, 2] == pytest.approx(pieces[0:3, 2:5].sum(1).mean(), abs=1e-6)
    assert np.allclose(shown.weights.sum(1), 1, atol=1e-6)
    assert view(maps, "decoder", 0, 0, words=True).columns == ["<s>", "J'aime", "les"]


def test_bytes_are_spelled_and_a_start_sign_is_a_word() -> None:
    pieces = ["<s>", "▁", "<0xF0>", "<0x9F>", "<0x98>", "<0x80>", "!", "▁", "▁x", "</s>"]
    assert [word for word, _ in words_of(pieces)] == ["<s>", "😀!", "▁", "x", "</s>"]


def test_the_maps_of_a_line_in_parts_are_those_of_its_parts_side_by_side(translator: Translator) -> None:
    line = "The cat sat on the mat. I love apples. " * 20
    (whole,) = translator.translations([line])
    maps = attention_maps(translator, whole)
    first, last = (
        attention_maps(translator, next(translator.translations([text])))
        for text in ("The cat sat on the mat.", "I love apples.")
    )
    for kind in "encoder", "decoder", "cross":
        found, start, end = (getattr(each, kind) for each in (maps, first, last))
        assert np.allclose(found.sum(-1), 1, atol=1e-5)
        assert np.allclose(found[:, :, : start.shape[2], : start.shape[3]], start, atol=1e-5)
        assert np.allclose(found[:, :, -end.shape[2] :, -end.shape[3] :], end, atol=1e-5)
        assert not found[:, :, : start.shape[2], start.shape[3] :].any()
    assert maps.source.count("</s>") == maps.target.count("</s>") == len(whole.parts) == 40
