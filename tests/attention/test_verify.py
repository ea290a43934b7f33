"""The second implementation agrees with the first and detects errors."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers.runs import changed, of_architecture, train_into, untrained
from translate import cli
from translate.alignment.sources import open_lines
from translate.api import load_translator
from translate.attention.extract import attention_maps
from translate.attention.folder import AttentionFolder, write_about
from translate.attention.maps import AttentionMaps, Stack
from translate.attention.reference.transformer import TransformerReference
from translate.attention.selection import EVERYTHING, AttentionSelection
from translate.attention.verify import default_tolerance, differences
from translate.config.settings import Config
from translate.data.vocab import VocabPair
from translate.decoding.results import DecodeRequest
from translate.errors import UserError
from translate.model.attention_kinds import KINDS, KindName, label_of
from translate.report.attention_folder import AttentionWriter
from translate.run.folder import Run
from translate.run.model import read_weights

LONG = "The cat sat on the mat. I love apples. " * 3
LINES = [
    "The cat sat on the mat.",
    "",
    "I love apples.",
    'odd "</s>" <script>\u2028 😀 x',
    LONG,
    "Cats love her uncle.",
]


def written(
    folder: Path,
    run: Path,
    beam_size: int = 1,
    num_best: int = 1,
    keep: AttentionSelection = EVERYTHING,
    batch_tokens: int = 4096,
) -> AttentionFolder:
    translator = load_translator(run, "cpu")
    translator.max_pieces = 20
    settings = translator.settings.model_copy(update={"beam_size": beam_size, "batch_tokens": batch_tokens})
    found = translator.translations(LINES, settings, DecodeRequest(num_best))
    with AttentionWriter(folder, Run(run), translator, keep) as writer:
        list(writer.add_all(found))
    return AttentionFolder.open(folder)


def test_records_name_the_weights_that_were_loaded_even_if_training_replaced_them(
    tmp_path: Path, tiny_run: Path, other_run: Path
) -> None:
    """The weights are replaced after they were loaded and before anything is recorded."""
    run, texts = shutil.copytree(tiny_run, tmp_path / "run"), [tmp_path / "src", tmp_path / "tgt"]
    for text in texts:
        text.write_text("I love apples.\n")
    loaded = hashlib.sha256((run / "model.safetensors").read_bytes()).hexdigest()
    translator = load_translator(run, "cpu")
    shutil.copy(other_run / "model.safetensors", run / "model.safetensors")
    with AttentionWriter(tmp_path / "maps", Run(run), translator, EVERYTHING):
        pass
    assert AttentionFolder.open(tmp_path / "maps").about.weights == loaded
    assert open_lines(run, *texts, lambda _: translator).weights == loaded


@pytest.mark.parametrize(
    ("beam_size", "num_best", "batch_tokens"), [(1, 1, 1), (1, 1, 4096), (5, 1, 64), (5, 5, 4096), (5, 5, 1)]
)
def test_maps_of_any_search_match_the_model(
    tiny_run: Path, tmp_path: Path, beam_size: int, num_best: int, batch_tokens: int
) -> None:
    folder = written(tmp_path / "maps", tiny_run, beam_size, num_best, batch_tokens=batch_tokens)
    found = list(differences(folder, Run(tiny_run)))
    assert len(found) == 3 * sum(bool(line) for line in LINES)
    assert max(each.largest for each in found) <= default_tolerance(folder) == 1e-5


@pytest.mark.parametrize("positions", ["sinusoidal", "rotary"])
def test_maps_of_long_lines_match_the_model(
    tiny_config: Config, tiny_run: Path, tmp_path: Path, positions: str
) -> None:
    config = changed(tiny_config, "model", positions=positions, num_encoder_layers=1, num_decoder_layers=1)
    vocabs = Run(tiny_run).load_vocabs()
    run = untrained(tmp_path / "run", config, vocabs)
    src, tgt = [*range(3, 250)] * 4, [*range(3, 250)] * 4  # 988 pieces
    maps = attention_maps(load_translator(run.path, "cpu"), [(src[:40], tgt), (src, tgt[:40])])
    weights = read_weights(run, vocabs)
    model = TransformerReference(weights.arrays, config.model, vocabs.tgt.bos_id)
    for kind, recomputed in model.maps(src, tgt[:40]).items():
        assert np.abs(maps[1].stacks[kind].weights - np.stack(recomputed)).max() <= 1e-5, kind
    long = model.maps(src[:40], tgt)["decoder"]
    assert np.abs(maps[0].stacks["decoder"].weights - np.stack(long)).max() <= 1e-5


@pytest.fixture(scope="module")
def separate_vocabs(tiny_config: Config, tmp_path_factory: pytest.TempPathFactory) -> VocabPair:
    config = changed(changed(tiny_config, "vocab", joint=False), "train", max_steps=1)
    return train_into(tmp_path_factory.mktemp("runs") / "separate", config).load_vocabs()


@pytest.mark.parametrize(
    "model",
    [
        {"num_encoder_layers": 1, "norm": "post"},
        {"num_encoder_layers": 1, "norm": "post", "positions": "rotary"},
        {"architecture": "recurrent", "num_encoder_layers": 1},
        {"architecture": "recurrent", "attention": "general", "cell": "lstm"},
        {"architecture": "decoder-only"},
        {"architecture": "decoder-only", "norm": "post", "positions": "rotary", "source_attention": "causal"},
    ],
    ids=lambda settings: " ".join(map(str, settings.values())),
)
def test_maps_of_other_models_match_the_model_too(
    tiny_config: Config, separate_vocabs: VocabPair, tmp_path: Path, model: dict[str, Any]
) -> None:
    """Two vocabularies, no tied weights, several translations per line; one line has several parts."""
    config = changed(tiny_config, "vocab", joint=False)
    config = of_architecture(config, **{"architecture": "transformer", "tie_embeddings": False, **model})
    run = untrained(tmp_path / "run", config, separate_vocabs)
    folder = written(tmp_path / "maps", run.path, beam_size=3, num_best=2)
    found = list(differences(folder, run))
    kinds = {"recurrent": {"cross"}, "decoder-only": {"self", "cross"}}
    assert {each.head.kind for each in found} == kinds.get(config.model.architecture, set(KINDS) - {"self"})
    assert max(each.largest for each in found) <= 1e-5


def test_partially_kept_maps_are_compared_partially(tiny_run: Path, tmp_path: Path) -> None:
    folder = written(tmp_path / "maps", tiny_run, keep=AttentionSelection(("cross", "encoder"), (1,), "float16"))
    found = list(differences(folder, Run(tiny_run)))
    assert {each.head.kind for each in found} == {"cross", "encoder"}
    assert {each.head.layer for each in found} == {1}
    assert 1e-5 < max(each.largest for each in found) <= default_tolerance(folder) == 1e-3


def spoil(path: Path, kind: KindName, place: tuple[int, ...], value: float) -> AttentionFolder:
    """Write another weight, with checksums that match it."""
    maps = AttentionMaps.load(path)
    weights, layers = maps.stack(kind)
    weights[place] = value
    digest = dataclasses.replace(maps, stacks={**maps.stacks, kind: Stack(weights, layers)}).save(path)
    index, folder = path.with_name("index.jsonl"), AttentionFolder.open(path.parent)
    entries = [json.loads(line) for line in index.read_text(encoding="utf-8").split("\n") if line]
    changed_entries = [{**each, "sha256": digest} if each["file"] == path.name else each for each in entries]
    index.write_text("".join(f"{json.dumps(each)}\n" for each in changed_entries), encoding="utf-8")
    write_about(path.parent, folder.about)
    return AttentionFolder.open(path.parent)


def test_a_wrong_weight_is_found_at_its_position(tiny_run: Path, tmp_path: Path) -> None:
    written(tmp_path / "maps", tiny_run)
    place = (1, 0, 2, 3)
    folder = spoil(tmp_path / "maps" / "000003.npz", "cross", place, 0.5)
    worst = max(differences(folder, Run(tiny_run)), key=lambda each: each.largest)
    assert (worst.entry.id, worst.head.kind) == (3, "cross")
    assert (worst.head.layer, worst.head.head, worst.row, worst.column) == place
    assert worst.largest > 1e-3


def test_weights_between_parts_of_a_split_line_are_wrong(any_run: Path, tmp_path: Path) -> None:
    folder = written(tmp_path / "maps", any_run)
    for kind in folder.about.kinds:
        folder = spoil(tmp_path / "maps" / "000005.npz", kind, (0, 0, 0, -1), 0.25)
    found = {each.head.kind: each for each in differences(folder, Run(any_run)) if each.entry.id == 5}
    for worst in found.values():
        assert worst.largest == pytest.approx(0.25)
        assert (worst.head.layer, worst.head.head, worst.row) == (0, 0, 0)
    assert found.keys() == set(folder.about.kinds)


def test_the_command_names_the_largest_difference_of_each_kind(
    any_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, command = written(tmp_path / "maps", any_run), ["attention", "verify", str(tmp_path / "maps"), str(any_run)]
    assert cli._run(command) == 0
    out, err = capsys.readouterr()
    kinds = folder.about.kinds
    assert all(f"{label_of(kind, kinds)}: largest difference" in out for kind in kinds)
    assert len(out.splitlines()) == len(kinds)
    assert "5 lines: all maps match the model to within 1e-05" in err
    spoil(tmp_path / "maps" / "000003.npz", kinds[-1], (0, 0, 2, 0), 0.875)
    assert cli._run(command) == 2
    assert "000003.npz, layer 0, head 0, row 2, column 0" in capsys.readouterr().err


def test_maps_from_other_weights_or_other_text_are_refused(tiny_run: Path, other_run: Path, tmp_path: Path) -> None:
    folder = written(tmp_path / "maps", tiny_run)
    with pytest.raises(UserError, match="does not match the weights in"):
        next(differences(folder, Run(other_run)))
    index = tmp_path / "maps" / "index.jsonl"
    lines = index.read_text(encoding="utf-8").split("\n")
    lines[2] = json.dumps({**json.loads(lines[2]), "source": "I hate apples."})
    index.write_text("\n".join(lines), encoding="utf-8")
    write_about(folder.path, folder.about)
    folder = AttentionFolder.open(folder.path)
    with pytest.raises(UserError, match=r"000003\.npz: the source pieces spell 'I love apples.', but .* 'I hate"):
        list(differences(folder, Run(tiny_run)))
