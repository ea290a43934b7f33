"""Guided attention: the alignment loss, and training with it."""

from __future__ import annotations

import math
import shutil
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from tests.helpers.corpora import TOY, head
from tests.helpers.processes import of_one_process, settings_file, two_at_once
from tests.helpers.runs import CPU, changed, of_architecture, train_into
from tests.helpers.states import assert_close_weights, assert_equal_states
from translate import cli
from translate.api import load_translator
from translate.attention.extract import attention_maps
from translate.config.settings import Config
from translate.config.toml import load_config, parse_override
from translate.data.batches import Batch, make_batch, pad
from translate.errors import UserError
from translate.model.attention_kinds import Head
from translate.model.hooks import recording, recording_head
from translate.run.folder import Run
from translate.system.distributed import ALONE
from translate.training.checkpoint import Progress
from translate.training.feed import feed
from translate.training.loss import SummedLoss, alignment_sum
from translate.training.prepare import Prepared, prepare
from translate.training.step import Trainer, _is_worth_compiling, guided_head
from translate.training.validation import validate


@pytest.fixture(scope="module")
def alignment(corpus: Path) -> Path:
    """The alignment of the tiny corpus without the first link of every third line, so that some words are unaligned."""
    lines = head(TOY / "train.align", 200).splitlines()
    lines[::3] = [line.partition(" ")[2] for line in lines[::3]]
    path = corpus / "train.align"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def config(tiny_config: Config, alignment: Path) -> Config:
    """Guided more strongly than by default, because training is short."""
    aligned = changed(tiny_config, "data", train_align=str(alignment))
    return changed(aligned, "train", alignment_weight=1.0, alignment_head=1)


@pytest.fixture(scope="module")
def guided(tmp_path_factory: pytest.TempPathFactory, config: Config) -> Run:
    """A run of 60 steps with guided head 1 in layer 1, the last layer."""
    return train_into(tmp_path_factory.mktemp("runs") / "guided", changed(config, "train", max_steps=60))


@pytest.fixture(scope="module")
def prepared(guided: Run, config: Config) -> Prepared:
    return prepare(guided, config)


def plain(config: Config) -> Config:
    """The settings without guidance."""
    return changed(changed(config, "train", alignment_weight=0.05), "data", train_align="")


ROWS = np.array([3, 0, 17, 150])


def batch_of(prepared: Prepared) -> Batch:
    return make_batch(prepared.train, ROWS, prepared.vocabs.tgt.bos_id)


def maps_of(run: Path, batch: Batch) -> tuple[list[Tensor], list[Tensor]]:
    """The cross-attention maps of each layer, and the query and key matrices that they depend on."""
    model = load_translator(run, "cpu").engine.model
    with recording(model) as maps:
        model.features(batch.src, batch.src_mask, batch.tgt_in)
    projections = [p for layer in model.decoder_layers for p in (layer.cross_attn.query, layer.cross_attn.key)]
    return maps["cross"], [projection.weight.requires_grad_() for projection in projections]


def losses_of(run: Path, batch: Batch, guided: Head) -> tuple[Tensor, list[Tensor]]:
    model = load_translator(run, "cpu").engine.model.requires_grad_()
    projections = [p for layer in model.decoder_layers for p in (layer.cross_attn.query, layer.cross_attn.key)]
    loss = SummedLoss(model, 0.1, guided)(batch).alignment
    assert loss is not None
    return loss, [projection.weight for projection in projections]


@pytest.mark.parametrize("place", [Head("cross", 0, 0), Head("cross", 1, 1)])
def test_the_loss_matches_its_definition(prepared: Prepared, alignment: Path, tiny_run: Path, place: Head) -> None:
    """The expected loss is computed by loops over words and pieces, from recorded attention maps."""
    batch = batch_of(prepared)
    with torch.no_grad():
        maps, _ = maps_of(tiny_run, batch)
    corpus, vocabs = prepared.train, prepared.vocabs
    lines = alignment.read_text().splitlines()
    expected, num_free = 0.0, 0
    for number, row in enumerate(ROWS):
        words = []
        for ids, vocab in (corpus.src[row], vocabs.src), (corpus.tgt[row], vocabs.tgt):
            starts = [piece.startswith("▁") for piece in vocab.pieces(ids)]
            words.append([sum(starts[: i + 1]) - 1 for i in range(len(ids) - 1)])
        links = {tuple(map(int, link.split("-"))) for link in lines[row].split()}
        for t, j in enumerate(words[1]):
            wanted = [s for s, i in enumerate(words[0]) if (i, j) in links]
            num_free += not wanted
            for s in wanted:
                expected -= math.log(maps[place.layer][number, place.head, t, s].item()) / len(wanted)
    loss, _ = losses_of(tiny_run, batch, place)
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    assert expected > 0
    assert num_free  # there are words without a link among them


def test_only_queries_and_keys_of_the_guided_head_get_gradients_and_these_match_the_formula(
    prepared: Prepared, tiny_run: Path
) -> None:
    batch = batch_of(prepared)
    assert batch.links
    loss, projections = losses_of(tiny_run, batch, Head("cross", 1, 0))
    found = torch.autograd.grad(loss, projections)
    model = load_translator(tiny_run, "cpu").engine.model.requires_grad_()
    attention = model.decoder_layers[1].cross_attn
    handed: list[tuple[Tensor, ...]] = []
    attention.register_forward_hook(lambda _module, arguments, _output: handed.append(arguments))
    model.features(batch.src, batch.src_mask, batch.tgt_in)
    wanted_rows = torch.zeros(batch.tgt_in.numel(), batch.src.size(1))
    wanted_rows[batch.links.places, batch.links.sources] = batch.links.shares
    log_weights = attention.weights(*handed[0])[:, 0].flatten(0, 1).clamp(min=1e-30).log()
    expected = -(wanted_rows * log_weights).sum()
    weights = [attention.query.weight, attention.key.weight]
    for gradient, wanted in zip(found[2:], torch.autograd.grad(expected, weights), strict=True):
        assert torch.allclose(gradient, wanted, atol=1e-5)
        of_head, of_others = gradient.split(gradient.size(0) // 2)
        assert of_head.abs().max() > 1e-3
        assert not of_others.any()  # the matrices of the other head


def test_a_single_recorded_head_matches_the_full_recording_and_stays_float32(
    prepared: Prepared, tiny_run: Path
) -> None:
    batch = batch_of(prepared)
    model = load_translator(tiny_run, "cpu").engine.model
    for layer, head_number in (0, 1), (1, 0):
        with recording(model) as maps, recording_head(model, Head("cross", layer, head_number)) as found:
            model.features(batch.src, batch.src_mask, batch.tgt_in)
        assert torch.equal(found[0], maps["cross"][layer][:, head_number])
        with torch.autocast("cpu", torch.bfloat16), recording_head(model, Head("cross", layer, head_number)) as rounded:
            model.features(batch.src, batch.src_mask, batch.tgt_in)
        assert rounded[0].dtype == torch.float32
        assert torch.allclose(rounded[0].sum(-1), torch.ones(()), atol=1e-6)  # as bfloat16 would not
        assert torch.allclose(rounded[0], found[0], atol=0.05)


@pytest.mark.parametrize("architecture", ["recurrent", "decoder-only"])
def test_the_alignment_loss_falls_with_other_architectures(
    prepared: Prepared, config: Config, architecture: str
) -> None:
    """On one batch, and because of its weight: with hardly any weight, it falls less."""
    falls = []
    for weight in 1e-6, 9.0:
        settings = changed(config, "train", alignment_head=0, alignment_weight=weight, warmup_steps=1)
        trainer = Trainer(of_architecture(settings, architecture), prepared, CPU)
        with closing(feed(prepared, settings.train, Progress(), CPU, ALONE)) as steps:
            data = next(steps)
        losses = [trainer.step(data, step).losses.alignment for step in range(1, 9)]
        falls.append(float(losses[0] - losses[-1]))
    assert falls[1] > max(0.1, 2 * falls[0])


def test_the_recorded_head_of_other_architectures_is_that_of_their_maps(
    decoder_only_run: Path, recurrent_run: Path
) -> None:
    """In a padded batch."""
    for run, guided in (decoder_only_run, Head("cross", 1, 1)), (recurrent_run, Head("cross", 0, 0)):
        translator = load_translator(run, "cpu")
        eos_id, bos_id = translator.vocabs.tgt.eos_id, translator.vocabs.tgt.bos_id
        pairs = [([5, 6, 7, 8, eos_id], [9, 5, eos_id]), ([5, eos_id], [6, 7, 8, 9, 5, eos_id])]
        src, mask = pad([src for src, _ in pairs])
        with torch.no_grad(), recording_head(translator.engine.model, guided) as found:
            translator.engine.model.features(src, mask, pad([[bos_id, *tgt[:-1]] for _, tgt in pairs])[0])
        rows = torch.cat(found, dim=1)  # the recurrent model is called once per step
        for row, (src_ids, tgt_ids), maps in zip(rows, pairs, attention_maps(translator, pairs), strict=True):
            expected = maps.cross[guided.layer, guided.head]
            assert np.allclose(row[: len(tgt_ids), : len(src_ids)].numpy(), expected, atol=1e-6)


def test_the_gradient_matches_finite_differences(prepared: Prepared) -> None:
    batch = batch_of(prepared)
    assert batch.links
    torch.manual_seed(1)
    weights = torch.rand(len(ROWS), batch.tgt_in.size(1), batch.src.size(1), dtype=torch.float64, requires_grad=True)
    torch.autograd.gradcheck(lambda weights: alignment_sum(weights, batch.links), (weights,), fast_mode=True)


def test_the_target_shares_of_each_linked_piece_sum_to_1(prepared: Prepared) -> None:
    batch = batch_of(prepared)
    assert batch.links
    sums = torch.zeros(batch.tgt_in.numel()).index_add(0, batch.links.places, batch.links.shares)
    assert torch.allclose(sums[batch.links.places], torch.ones(len(batch.links.places)))
    assert set(batch.links.places.tolist()) <= set(batch.places.tolist())  # no padding
    ends = batch.places[batch.targets == prepared.vocabs.tgt.eos_id]
    assert not sums[ends].any()


def test_attention_weights_of_0_give_a_finite_loss(prepared: Prepared) -> None:
    batch = batch_of(prepared)
    assert batch.links
    weights = torch.zeros(len(ROWS), batch.tgt_in.size(1), batch.src.size(1), requires_grad=True)
    loss = alignment_sum(weights, batch.links)
    assert loss.isfinite()
    loss.backward()
    assert weights.grad is not None
    assert weights.grad.isfinite().all()


def share_found(run: Path, batch: Batch, layer: int, head: int) -> float:
    """Share of linked target pieces that attend most to one of their linked source pieces."""
    with torch.no_grad():
        maps, _ = maps_of(run, batch)
    assert batch.links
    most = maps[layer][:, head].flatten(0, 1).argmax(-1)
    linked = set(zip(batch.links.places.tolist(), batch.links.sources.tolist(), strict=True))
    places = {place for place, _ in linked}
    return sum((place, int(most[place])) in linked for place in places) / len(places)


def test_the_guided_head_attends_to_linked_pieces(prepared: Prepared, guided: Run, tiny_run: Path) -> None:
    batch = make_batch(prepared.train, np.arange(100), prepared.vocabs.tgt.bos_id)
    found = share_found(guided.path, batch, layer=1, head=1)
    unguided = [share_found(tiny_run, batch, layer, head) for layer in range(2) for head in range(2)]
    assert found > 0.5
    assert found > 2 * max(unguided)


def test_the_two_losses_are_logged_separately(guided: Run, prepared: Prepared, config: Config, tiny_run: Path) -> None:
    steps = [line for line in guided.metrics() if "train_loss" in line]
    assert all("alignment_loss" in line for line in steps)
    assert steps[-1]["alignment_loss"] < steps[0]["alignment_loss"]
    assert not any("alignment_loss" in line for line in Run(tiny_run).metrics())
    # Validation tells of translation alone.
    model = load_translator(guided.path, "cpu").engine.model
    assert validate(model, prepared, config, CPU, ALONE) == validate(model, prepared, plain(config), CPU, ALONE)


def test_an_alignment_weight_of_0_trains_the_same_weights_as_no_alignment(tmp_path: Path, config: Config) -> None:
    config = changed(config, "train", max_steps=4)
    without = train_into(tmp_path / "without", plain(config))
    unused = train_into(tmp_path / "unused", changed(config, "train", alignment_weight=0.0))
    used = train_into(tmp_path / "used", config)
    assert_equal_states(without, unused)
    first, second = (load_file(run.weights_path)["tgt_embedding.weight"] for run in (without, used))
    assert not torch.equal(first, second)


def test_a_run_keeps_its_alignment(tmp_path: Path, config: Config, alignment: Path) -> None:
    other = tmp_path / "other.align"
    other.write_text(alignment.read_text().replace("0-0", "0-0 1-0", 1))
    run = train_into(tmp_path / "run", changed(config, "train", max_steps=1))
    for now in changed(config, "data", train_align=str(other)), plain(config):
        with pytest.raises(UserError, match=r"train\.fr or the alignments in data\.train_align changed after"):
            prepare(run, now)
    moved = tmp_path / "moved.align"
    shutil.copy(alignment, moved)
    assert len(prepare(run, changed(config, "data", train_align=str(moved))).train) == 200


def test_splitting_off_validation_pairs_also_splits_the_alignment(
    tmp_path: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The remaining training pairs keep the links that they have in the full text."""
    for module in "data.text_scan", "training.prepare":
        monkeypatch.setattr(f"translate.{module}.MIN_SPLIT_PAIRS", 100)  # of a text of 200 pairs
    config = changed(config, "data", valid_src="", valid_tgt="")
    parted = prepare(Run.create(tmp_path / "parted", config), config)
    assert parted.valid.links is None
    config = changed(config, "vocab", model=str(tmp_path / "parted" / "vocab.model"))
    config = changed(config, "data", valid_src=config.data.train_src, valid_tgt=config.data.train_tgt)
    whole = prepare(Run.create(tmp_path / "whole", config), config)
    assert parted.train.links is not None
    assert whole.train.links is not None
    found = {tuple(parted.train.src[i]): tuple(parted.train.links[i]) for i in range(len(parted.train))}
    expected = {tuple(whole.train.src[i]): tuple(whole.train.links[i]) for i in range(len(whole.train))}
    assert len(found) == 190
    assert found.items() <= expected.items()


def test_alignment_gradients_give_all_pieces_of_a_step_equal_weight(prepared: Prepared, config: Config) -> None:
    """A step in several parts has the same gradient as a step in one part."""
    config = changed(changed(config, "model", dropout=0.0), "train", clip_norm=0.0, alignment_weight=3.0)
    found = []
    for accumulate in 1, 3:
        settings = changed(config, "train", batch_tokens=100_000, accumulate=accumulate).train
        trainer = Trainer(config, prepared, CPU)
        with closing(feed(prepared, settings, Progress(), CPU, ALONE)) as steps:
            losses = trainer.step(next(steps), step=1).losses
        assert losses.alignment is not None
        found.append((losses.alignment.item(), trainer.model.decoder_layers[1].cross_attn.query.weight.detach()))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)
    assert torch.allclose(found[0][1], found[1][1], atol=1e-5)


def test_two_processes_train_the_same_guided_model_as_one(tmp_path: Path, config: Config) -> None:
    config = changed(config, "train", accumulate=2, max_steps=8)
    one = train_into(tmp_path / "one", of_one_process(config))
    done = two_at_once("train", settings_file(tmp_path / "config.toml", config), "--out", tmp_path / "two")
    assert done.returncode == 0, done.stderr
    two = Run(tmp_path / "two")
    assert_close_weights(one, two)
    for left, right in zip(one.metrics(), two.metrics(), strict=True):
        if "alignment_loss" in left:
            assert left["alignment_loss"] == pytest.approx(right["alignment_loss"], abs=2e-5)


def test_the_command_accepts_an_alignment_and_reports_errors_in_it(
    tmp_path: Path, corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.align"
    path.write_text("0-0\n" * 199 + "1-x\n")
    files = ["--src", corpus / "train.en", "--tgt", corpus / "train.fr", "--align", path, "--out", tmp_path / "run"]
    assert cli._run(["train", *map(str, files)]) == 2
    expected = "line 200: '1-x' is not a link; links are SOURCE-TARGET, with word numbers from 0, as in 0-0 1-2"
    assert capsys.readouterr().err == f"error: {path}: {expected}\n"
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("num_layers", "expected"), [(1, 0), (2, 1), (3, 1), (6, 4)])
def test_by_default_the_penultimate_layer_is_guided_but_never_the_first_of_several(
    config: Config, num_layers: int, expected: int
) -> None:
    assert guided_head(changed(config, "model", num_decoder_layers=num_layers)) == Head("cross", expected, 1)


def test_guided_training_is_not_compiled(config: Config) -> None:
    """Long unguided training on a GPU is compiled, but compiled code would skip the hook that records the head."""
    config = changed(config, "train", max_steps=100_000)
    assert not _is_worth_compiling(config)
    assert _is_worth_compiling(plain(config))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (["train.alignment_layer=3"], "train.alignment_layer = 3: the last layer is 2"),
        (
            ["model.num_decoder_layers=1", "train.alignment_layer=1"],
            "train.alignment_layer = 1: the last layer is 0",
        ),
        (["train.alignment_layer=-2"], "train.alignment_layer = -2: should be greater than or equal to -1"),
        (["train.alignment_head=4"], "train.alignment_head = 4: the last head is 3"),
        (["train.alignment_weight=-1"], "train.alignment_weight = -1: should be greater than or equal to 0"),
        (["train.alignment_weight=0.1"], "train.alignment_weight = 0.1: there are no alignments to guide attention"),
        (["data.train_align=a"], "data.train_align is set but data.train_src is not"),
        (
            ["data.train_src=a", "data.train_tgt=b", "data.train_align=c", 'train.compile="on"'],
            'train.compile = "on": cannot be used with data.train_align',
        ),
    ],
)
def test_impossible_settings_are_refused_with_a_one_line_message(settings: list[str], expected: str) -> None:
    with pytest.raises(UserError) as raised:
        load_config(None, dict(parse_override(text) for text in settings))
    assert str(raised.value).startswith(f"command line: {expected}")
    assert "\n" not in str(raised.value)


def test_with_r_drop_the_alignment_loss_is_the_mean_of_both_passes(prepared: Prepared, tiny_run: Path) -> None:
    """Dropout is off, so that both passes are equal."""
    batch, head = batch_of(prepared), Head("cross", 1, 1)
    model = load_translator(tiny_run, "cpu").engine.model
    with torch.no_grad():
        once, twice = (SummedLoss(model, 0.1, head)(batch, rdrop) for rdrop in (0.0, 5.0))
    assert once.alignment is not None
    assert twice.alignment is not None
    assert twice.alignment.item() == pytest.approx(once.alignment.item(), rel=1e-5)
    assert twice.translation.item() == pytest.approx(once.translation.item(), rel=1e-5)
