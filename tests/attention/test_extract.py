"""Attention maps, compared with step-by-step decoding; their files and views."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from translate.api import load_translator
from translate.attention.extract import attention_maps, engine_of, joined_maps
from translate.attention.folder import AttentionFolder
from translate.attention.maps import AttentionMaps, Stack
from translate.attention.selection import EVERYTHING, AttentionSelection
from translate.attention.views import view
from translate.data.parallel_text import Pair
from translate.data.pieces import words_of
from translate.decoding.line_translator import LineTranslator
from translate.decoding.results import DecodeRequest, Translation
from translate.decoding.torch_engine import TorchEngine
from translate.errors import UserError
from translate.model.attention_kinds import KindName
from translate.model.hooks import recording
from translate.report.attention_folder import LINES_TOGETHER, AttentionWriter, TextSample
from translate.run.folder import Run


def maps_of(translator: LineTranslator, translation: Translation) -> AttentionMaps:
    return joined_maps(attention_maps(translator, translation.parts))


def write_folder(
    folder: Path,
    run: Path,
    translator: LineTranslator,
    translations: Iterable[Translation],
    keep: AttentionSelection = EVERYTHING,
    **options: Any,
) -> list[Translation]:
    """Write an attention folder; return the translations with their attention warnings."""
    with AttentionWriter(folder, Run(run), translator, keep, **options) as writer:
        return list(writer.add_all(translations))


LINES = ["The cat sat on the mat.", "I love apples.", "Does the old woman see three red birds?"]


def translated(translator: LineTranslator, beam_size: int, num_best: int = 1) -> list[Translation]:
    settings = translator.settings.model_copy(update={"beam_size": beam_size})
    return list(translator.translations(LINES, settings, DecodeRequest(num_best)))


@pytest.mark.parametrize(("beam_size", "num_best"), [(1, 1), (4, 4)])
def test_maps_match_step_by_step_decoding(any_run: Path, beam_size: int, num_best: int) -> None:
    """The weights that the cached decoder computes, one row per step."""
    translator = load_translator(any_run, "cpu")
    model = engine_of(translator).model
    for translation in translated(translator, beam_size, num_best):
        (maps,) = attention_maps(translator, translation.parts)
        src = torch.tensor([translation.parts[0][0]])
        num_src = src.size(1)
        assert maps.stacks.keys() >= model.attention.keys()
        with torch.no_grad(), recording(model) as encoded:
            state = model.encode(src, torch.ones_like(src, dtype=torch.bool))
        for kind, layers in encoded.items():
            for layer, weights in layers.items():
                found = maps.stack(kind).weights[layer, :, :num_src, :num_src]
                assert np.allclose(weights[0].numpy(), found, atol=1e-6)
        pieces = [translator.vocabs.tgt.bos_id, *translation.parts[0][1]]
        for t, piece in enumerate(pieces[:-1]):
            with torch.no_grad(), recording(model) as step:
                features, state = model.step(torch.tensor([[piece]]), state)
                logits = model.output(features)
            for kind, layers in step.items():
                for layer, weights in layers.items():
                    row = maps.stack(kind).weights[layer, :, num_src + t if kind == "self" else t]
                    num_keys = weights.size(3)
                    assert np.allclose(weights[0, :, 0].numpy(), row[:, :num_keys], atol=1e-5)
                    assert not row[:, num_keys:].any()
            if beam_size == 1 and t < len(pieces) - 2:
                assert int(logits[0, -1].argmax()) == pieces[t + 1]


def test_cross_is_the_part_of_self_attention_in_which_the_target_attends_to_the_source(
    decoder_only_run: Path,
) -> None:
    translator = load_translator(decoder_only_run, "cpu")
    pairs = [part for translation in translated(translator, 4) for part in translation.parts]
    alone = attention_maps(translator, pairs, AttentionSelection(("cross",), (1,)))
    for maps, only in zip(attention_maps(translator, pairs), alone, strict=True):
        num_src, num_tgt = len(maps.source), len(maps.target)
        whole = maps.stack("self").weights
        assert np.allclose(whole.sum(axis=3), 1, atol=1e-5)
        assert whole.shape[2:] == (num_src + num_tgt, num_src + num_tgt)
        assert np.array_equal(maps.cross, whole[:, :, num_src:, :num_src])
        assert (maps.cross.sum(axis=3) < 1).all()
        assert np.allclose(only.cross, maps.cross[1:])
        assert maps.rows("self") == maps.source + maps.target
        assert maps.columns("self") == (*maps.source, "<s>", *maps.target[:-1])


def test_maps_have_the_documented_shapes_and_labels(translator: LineTranslator) -> None:
    settings = translator.engine.model.encoder_layers, translator.engine.model.decoder_layers
    for translation in translated(translator, 4):
        maps = maps_of(translator, translation)
        s, t = map(len, translation.parts[0])
        heads = translator.engine.model.encoder_layers[0].self_attn.num_heads
        assert maps.stacks["encoder"].weights.shape == (len(settings[0]), heads, s, s)
        assert maps.stacks["decoder"].weights.shape == (len(settings[1]), heads, t, t)
        assert maps.cross.shape == (len(settings[1]), heads, t, s)
        assert maps.source[-1] == maps.target[-1] == "</s>"
        assert "".join(maps.target[:-1]).replace("▁", " ").strip() == translation.text.strip()
        for weights in maps.stacks["encoder"].weights, maps.stacks["decoder"].weights, maps.cross:
            assert weights.dtype == np.float32
            assert np.allclose(weights.sum(-1), 1, atol=1e-5)
        assert not np.triu(maps.stacks["decoder"].weights, 1).any()  # no row looks at a piece that was not read yet


def test_nothing_is_recorded_outside_the_block(translator: LineTranslator) -> None:
    with recording(translator.engine.model) as maps:
        pass
    translator.translate(["The cat."])
    assert maps == {"cross": {}, "encoder": {}, "decoder": {}}
    assert not any(module._forward_hooks for module in translator.engine.model.modules())


def test_the_folder_has_one_file_per_line_and_an_index(
    translator: LineTranslator, tiny_run: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "maps"
    lines = ["I love apples.", "", 'odd "</s>" <script>\u2028 😀']
    for _ in range(2):  # writing it again replaces it
        found = write_folder(folder, tiny_run, translator, translator.translations(lines))
        assert [translation.source for translation in found] == lines
    assert sorted(path.name for path in folder.iterdir()) == [
        "000001.npz",
        "000003.npz",
        "about.json",
        "index.html",
        "index.jsonl",
    ]
    index = [json.loads(line) for line in (folder / "index.jsonl").read_text(encoding="utf-8").split("\n")[:-1]]
    assert [line["id"] for line in index] == [1, 2, 3]
    assert [line["file"] for line in index] == ["000001.npz", None, "000003.npz"]
    assert [line["source"] for line in index] == lines
    with np.load(folder / "000003.npz", allow_pickle=False) as arrays:
        assert sorted(arrays) == ["cross", "decoder", "encoder", "source", "target"]
    maps, expected = AttentionMaps.load(folder / "000003.npz"), maps_of(translator, found[2])
    assert (maps.source, maps.target) == (expected.source, expected.target)
    assert np.allclose(maps.cross, expected.cross, atol=1e-6)


def test_a_folder_with_other_files_is_left_unchanged(
    translator: LineTranslator, tiny_run: Path, tmp_path: Path
) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="which is not an attention file"):
        write_folder(tmp_path, tiny_run, translator, translator.translations(["x"]))
    with pytest.raises(UserError, match="this is a file"):
        write_folder(tmp_path / "thesis.txt", tiny_run, translator, translator.translations(["x"]))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def some_maps() -> AttentionMaps:
    random = np.random.default_rng(1)

    def weights(rows: int, columns: int) -> np.ndarray:
        return random.dirichlet(np.ones(columns), size=(2, 3, rows)).astype(np.float32)

    source, target = ("▁I", "▁love", "▁app", "les", ".", "</s>"), ("▁J", "'", "aime", "▁les", "</s>")
    shapes: dict[KindName, tuple[int, int]] = {"encoder": (6, 6), "decoder": (5, 5), "cross": (5, 6)}
    return AttentionMaps(source, target, {kind: Stack(weights(*shape), (0, 1)) for kind, shape in shapes.items()})


def test_a_view_is_one_head_or_the_mean_over_unspecified_layers_and_heads() -> None:
    maps = some_maps()
    assert np.array_equal(view(maps, "cross", 1, 2, words=False).weights, maps.cross[1, 2])
    assert np.allclose(
        view(maps, "encoder", None, 2, words=False).weights, maps.stacks["encoder"].weights[:, 2].mean(0)
    )
    every = view(maps, "cross", None, None, words=False)
    assert np.allclose(every.weights, maps.cross.mean((0, 1)))
    assert every.title == "encoder-decoder attention, mean of 2 layers, mean of 3 heads"
    assert (every.rows, every.columns) == (list(maps.target), list(maps.source))
    one_kept = AttentionMaps(maps.source, maps.target, {"cross": Stack(maps.cross[1:], (1,))})
    assert view(one_kept, "cross", None, None, words=False).title.endswith("attention, layer 1, mean of 3 heads")
    for wrong in 2, -1:
        with pytest.raises(UserError, match=rf"--layer {wrong}: no such layer; available layers: 0, 1"):
            view(maps, "cross", wrong, None, words=False)


@pytest.mark.parametrize("is_causal", [False, True])
def test_a_view_of_self_attention_over_both_sides_knows_what_a_row_cannot_see(is_causal: bool) -> None:
    source, target = ("▁a", "b", "</s>"), ("▁c", "d", "</s>")
    weights = np.tril(np.ones((1, 1, 6, 6), dtype=np.float32))
    weights[..., :3, :3] = np.tril(weights[..., :3, :3]) if is_causal else 1
    maps = AttentionMaps(source, target, {"self": Stack(weights, (0,))})
    shown = view(maps, "self", 0, 0, words=False)
    assert shown.masked_from == ((1, 2, 3) if is_causal else (3, 3, 3)) + (4, 5, 6)
    words = view(maps, "self", 0, 0, words=True)
    assert (words.rows, words.columns) == (["ab", "</s>", "cd", "</s>"], ["ab", "</s>", "<s>", "cd"])
    assert words.masked_from == ((1, 2) if is_causal else (2, 2)) + (4, 4)


def test_decoder_columns_are_the_input_pieces() -> None:
    shown = view(some_maps(), "decoder", 0, 0, words=False)
    assert shown.rows == ["▁J", "'", "aime", "▁les", "</s>"]
    assert shown.columns == ["<s>", "▁J", "'", "aime", "▁les"]


def test_word_views_sum_columns_and_average_rows() -> None:
    maps = some_maps()
    shown = view(maps, "cross", 0, 0, words=True)
    assert shown.rows == ["J'aime", "les", "</s>"]
    assert shown.columns == ["I", "love", "apples.", "</s>"]
    pieces = maps.cross[0, 0]
    assert shown.weights[0, 2] == pytest.approx(pieces[0:3, 2:5].sum(1).mean(), abs=1e-6)
    assert np.allclose(shown.weights.sum(1), 1, atol=1e-6)
    assert view(maps, "decoder", 0, 0, words=True).columns == ["<s>", "J'aime", "les"]


def test_bytes_are_decoded_and_a_lone_word_start_is_a_word() -> None:
    pieces = ["<s>", "▁", "<0xF0>", "<0x9F>", "<0x98>", "<0x80>", "!", "▁", "▁x", "</s>"]
    assert [word for word, _ in words_of(pieces)] == ["<s>", "😀!", "▁", "x", "</s>"]
    assert [word for word, _ in words_of(["▁a", "</s>", "b", "▁c", "</s>"])] == [
        "a",
        "</s>",
        "b",
        "c",
        "</s>",
    ]  # two parts


def test_the_maps_of_a_split_line_combine_the_maps_of_its_parts(any_run: Path) -> None:
    translator = load_translator(any_run, "cpu")
    line = "The cat sat on the mat. I love apples. " * 20
    (whole,) = translator.translations([line])
    maps = maps_of(translator, whole)
    texts = ("The cat sat on the mat.", "I love apples.")
    parts = [maps_of(translator, next(translator.translations([text]))) for text in texts] * 20
    num_src, num_tgt = sum(len(part.source) for part in parts), sum(len(part.target) for part in parts)
    assert (len(maps.source), len(maps.target)) == (num_src, num_tgt)
    for kind, (found, _) in maps.stacks.items():
        left, src, tgt = found.copy(), 0, 0
        for part in parts:
            source, target = [*range(src, src + len(part.source))], [*range(tgt, tgt + len(part.target))]
            both = source + [num_src + place for place in target]
            sides = {"encoder": (source, source), "decoder": (target, target), "self": (both, both)}
            rows, columns = sides.get(kind, (target, source))
            assert np.allclose(found[:, :, rows][..., columns], part.stack(kind).weights, atol=1e-5)
            left[:, :, np.array(rows)[:, None], columns] = 0
            src, tgt = src + len(part.source), tgt + len(part.target)
        assert not left.any()
    assert maps.source.count("</s>") == maps.target.count("</s>") == len(whole.parts) == 40


@pytest.mark.parametrize("together", [1, 3])
def test_maps_do_not_depend_on_batching(any_run: Path, monkeypatch: pytest.MonkeyPatch, together: int) -> None:
    translator = load_translator(any_run, "cpu")
    pairs = [part for translation in translated(translator, 4) for part in translation.parts]
    longest = max(len(side) for pair in pairs for side in pair)
    alone = [attention_maps(translator, [pair])[0] for pair in pairs]
    monkeypatch.setattr("translate.attention.extract.MAX_WEIGHTS", together * longest**2)
    for found, expected in zip(attention_maps(translator, pairs), alone, strict=True):
        assert (found.source, found.target) == (expected.source, expected.target)
        for kind, (weights, _) in expected.stacks.items():
            assert np.allclose(found.stack(kind).weights, weights, atol=1e-6)


def test_maps_that_were_not_kept_are_named_and_the_others_are_unchanged(
    translator: LineTranslator, tiny_run: Path, tmp_path: Path
) -> None:
    keep = AttentionSelection(("cross", "encoder"), (1, 7), "float16")
    write_folder(tmp_path / "maps", tiny_run, translator, translator.translations(LINES), keep)
    folder = AttentionFolder.open(tmp_path / "maps")
    assert (folder.about.kinds, folder.about.layers) == (("cross", "encoder"), (1, 7))
    maps = folder.maps(next(folder.entries()))
    assert maps.stack("cross").layers == (1,)
    assert maps.cross.dtype == np.float32
    shown = view(maps, "cross", 1, 0, words=False)
    with pytest.raises(UserError, match="--layer 0: no such layer; available layers: 1"):
        view(maps, "cross", 0, None, words=False)
    with pytest.raises(UserError, match="these maps contain no decoder self-attention; available: cross, encoder"):
        view(maps, "decoder", None, None, words=False)
    (same,) = attention_maps(translator, next(translator.translations(LINES)).parts)
    assert np.allclose(shown.weights, same.cross[1, 0], atol=1e-3)
    with pytest.raises(UserError, match="--attention-layers: no layer of the encoder-decoder attention is selected"):
        write_folder(tmp_path / "no", tiny_run, translator, [], AttentionSelection(layers=(2,)))


@pytest.mark.parametrize("keep", [EVERYTHING, AttentionSelection(("cross",), (0,), "float16")])
def test_the_logged_size_estimate_is_close_to_the_folder_size(
    translator: LineTranslator, tiny_run: Path, tmp_path: Path, keep: AttentionSelection
) -> None:
    lines = [*LINES, "", *(f"{line} {line}" for line in LINES)] * 8
    said: list[str] = []
    translations = list(translator.translations(lines))
    with AttentionWriter(
        tmp_path / "maps", Run(tiny_run), translator, keep, TextSample.of(lines), said.append
    ) as writer:
        writer.add(translations[:LINES_TOGETHER])
        assert len(said) == 1  # with the first lines
        list(writer.add_all(translations[LINES_TOGETHER:]))
    assert len(said) == 1
    size, unit = said[0].split("about ")[1].split()[:2]
    promised = float(size) * {"kB": 1e3, "MB": 1e6}[unit]
    files = [path.stat().st_size for path in (tmp_path / "maps").iterdir()]
    assert promised == pytest.approx(sum(files), rel=0.25)


def test_the_size_estimate_is_close_even_if_the_first_lines_are_the_shortest(
    translator: LineTranslator, tiny_run: Path, tmp_path: Path
) -> None:
    """The translations are given, because those of the tiny model are shorter than their sources."""
    lines = ["Cats sat.", ""] * 8 + [" ".join(LINES)] * 16
    said: list[str] = []
    given = (
        scored.as_translation(number)
        for number, scored in enumerate(translator.score([Pair(line, line) for line in lines]), start=1)
    )
    write_folder(tmp_path / "maps", tiny_run, translator, given, sample=TextSample.of(lines), log=said.append)
    size, unit = said[0].split("about ")[1].split()[:2]
    files = [path.stat().st_size for path in (tmp_path / "maps").iterdir()]
    assert float(size) * {"kB": 1e3, "MB": 1e6}[unit] == pytest.approx(sum(files), rel=0.25)


def test_maps_that_are_not_finite_are_refused(tiny_run: Path) -> None:
    translator = load_translator(tiny_run, "cpu")
    assert isinstance(translator.engine, TorchEngine)
    with torch.no_grad():
        for weight in translator.engine.model.parameters():
            weight *= 1e30
    with pytest.raises(UserError, match="not finite"):
        attention_maps(translator, [((5, 2), (6, 7, 2))])
