"""Exported folders loaded by Hugging Face Transformers: same logits, pieces and translations."""

from __future__ import annotations

import importlib
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.helpers.runs import changed, train_into, untrained
from translate import cli
from translate.api import load_translator
from translate.config.settings import Config, VocabSettings
from translate.data.batches import pad
from translate.data.vocab import VocabPair, train_vocab
from translate.decoding.torch_engine import TorchEngine
from translate.errors import UserError
from translate.export.huggingface import export_huggingface
from translate.model.hooks import recording
from translate.run.folder import Run

ODD_LINES = [
    "The two red birds sing.",
    "  spaces  before,  between and behind  ",
    "a tab\there , a comma apart , don 't",
    "naïve e\u0301 ﬁ ½ Ⅷ, wide\u3000space, zero\u200bwidth, soft\xadhyphen",
    "🎉 👩\u200d👩\u200d👧 日本語 שלום مرحبا",
    "</s> <s> <unk> <pad> <0x41> ▁under▁score",
    "line\u2028separator, next\x85line, nul\x00",
    "",
]


@pytest.fixture(scope="module")
def transformers() -> Any:
    return pytest.importorskip("transformers", reason="needs transformers: pip install transformers")


@pytest.fixture(scope="module")
def joint(tiny_run: Path) -> VocabPair:
    return Run.open(tiny_run).load_vocabs()


@pytest.fixture(scope="module")
def separate(corpus: Path, tiny_config: Config) -> VocabPair:
    """Two vocabularies of different sizes."""

    def train(side: str, size: int) -> Any:
        lines = (corpus / f"train.{side}").read_text(encoding="utf-8").splitlines()
        return train_vocab(lambda: lines, tiny_config.vocab.model_copy(update={"size": size}), 1, print)

    return VocabPair(train("en", 360), train("fr", 340))


@pytest.fixture(scope="module")
def characters(corpus: Path) -> VocabPair:
    """A vocabulary of single characters."""
    lines = (corpus / "train.en").read_text(encoding="utf-8").splitlines()
    vocab = train_vocab(lambda: lines, VocabSettings(algorithm="char"), 1, print)
    return VocabPair(vocab, vocab)


def padded_batch(vocabs: VocabPair) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(2)
    src, src_mask = pad([torch.randint(vocabs.src.size, (n,), generator=generator).tolist() for n in (9, 14, 3)])
    return src, src_mask, torch.randint(vocabs.tgt.size, (3, 12), generator=generator)


def load(transformers: Any, folder: Path, **options: Any) -> Any:
    """Load an exported model; with rotary positions by the package's file, which is also the folder's."""
    if not (folder / "modeling_rotary.py").exists():
        return transformers.AutoModelForSeq2SeqLM.from_pretrained(folder, **options)
    modeling = importlib.import_module("translate.export.modeling_rotary")
    return modeling.RotaryTransformer.from_pretrained(folder, **options)


@pytest.mark.parametrize("positions", ["sinusoidal", "rotary"])
@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("is_tied", [True, False])
@pytest.mark.parametrize("sides", ["joint", "separate"])
def test_logits_match_and_padding_has_zero_probability(
    transformers: Any,
    tmp_path: Path,
    tiny_config: Config,
    request: Any,
    norm: str,
    is_tied: bool,
    sides: str,
    positions: str,
) -> None:
    vocabs = request.getfixturevalue(sides)
    config = changed(tiny_config, "model", norm=norm, tie_embeddings=is_tied, positions=positions)
    run = untrained(tmp_path / "run", config, vocabs)
    export_huggingface(run, tmp_path / "exported")
    src, src_mask, tgt_in = padded_batch(vocabs)
    with torch.inference_mode():
        ours = TorchEngine.load([run], vocabs, "cpu").model(src, src_mask, tgt_in)
        theirs, told = load(transformers, tmp_path / "exported", output_loading_info=True)
        logits = theirs(input_ids=src, attention_mask=src_mask, decoder_input_ids=tgt_in).logits
    torch.testing.assert_close(logits[..., : vocabs.tgt.size], ours, atol=1e-5, rtol=1e-5)
    assert not logits.softmax(dim=-1)[..., vocabs.tgt.size :].any()
    assert not told["missing_keys"]
    assert not told["unexpected_keys"]


@pytest.fixture(scope="module")
def rotary_run(tmp_path_factory: pytest.TempPathFactory, tiny_config: Config) -> Run:
    """A run with rotary positions, trained until its output varies. Most translations end: `</s>` is more probable."""
    config = changed(tiny_config, "train", max_steps=200)
    run = train_into(
        tmp_path_factory.mktemp("runs") / "rotary", changed(config, "model", positions="rotary", dropout=0)
    )
    weights = load_file(run.weights_path)
    end = weights["tgt_embedding.weight"][run.load_vocabs().tgt.eos_id]
    weights["decoder_norm.bias"] += 2 * end / (end @ end)  # adds 2 to its logit
    save_file(weights, run.weights_path)
    return run


@pytest.mark.parametrize("positions", ["sinusoidal", "rotary"])
def test_generate_matches_our_output(
    transformers: Any, tmp_path: Path, rotary_run: Run, corpus: Path, positions: str
) -> None:
    run = Run(tmp_path / "run")
    shutil.copytree(rotary_run.path, run.path)
    run.write_config(changed(run.load_config(), "model", positions=positions))  # the weights have the same shapes
    export_huggingface(run, tmp_path / "exported")
    tokenizer = transformers.MarianTokenizer.from_pretrained(tmp_path / "exported")
    model = load(transformers, tmp_path / "exported")
    translator, eos_id = load_translator(run.path, "cpu"), model.config.eos_token_id
    lines = (corpus / "valid.en").read_text(encoding="utf-8").splitlines()
    batch = tokenizer(lines, padding=True, truncation=True, return_tensors="pt")
    for beam_size in 1, 5:
        limit = {} if positions == "rotary" else {"max_length": 60}  # which other models of Transformers lack
        settings = translator.settings.model_copy(update={"beam_size": beam_size, **limit})
        ours = list(translator.translations(lines, settings))
        theirs = model.generate(**batch, num_beams=beam_size, max_new_tokens=60).tolist()
        ended = {i: row[1 : row.index(eos_id) + 1] for i, row in enumerate(theirs) if eos_id in row[1:]}
        assert len(ended) == len(lines) if positions == "rotary" else len(ended) > len(lines) / 3
        assert ended == {i: ours[i].parts[0][1] for i in ended}
        assert len({translation.text for translation in ours}) > 5


@pytest.mark.parametrize("sides", ["joint", "separate", "characters"])
def test_the_tokenizer_matches_the_vocabulary(
    transformers: Any, tmp_path: Path, tiny_config: Config, request: Any, sides: str
) -> None:
    vocabs = request.getfixturevalue(sides)
    export_huggingface(untrained(tmp_path / "run", tiny_config, vocabs), tmp_path / "exported")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "exported")
    for line in ODD_LINES:
        src, tgt = (vocab.encode([line])[0] for vocab in vocabs)
        assert tokenizer(line).input_ids == [*src, vocabs.src.eos_id]
        assert tokenizer(text_target=line).input_ids == [*tgt, vocabs.tgt.eos_id]
        decoded = tokenizer.decode([vocabs.tgt.bos_id, *tgt, vocabs.tgt.eos_id], skip_special_tokens=True)
        assert decoded == vocabs.tgt.decode(tgt).strip()


def test_long_lines_are_truncated(transformers: Any, tmp_path: Path, tiny_config: Config, joint: VocabPair) -> None:
    config = changed(tiny_config, "data", max_pieces=5)
    export_huggingface(untrained(tmp_path / "run", config, joint), tmp_path / "exported")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "exported")
    line = "The two red birds sing and the cats sleep."
    assert tokenizer(line, truncation=True).input_ids == [*joint.src.encode([line])[0][:5], joint.src.eos_id]


def test_existing_files_are_not_overwritten(tmp_path: Path, tiny_run: Path) -> None:
    (tmp_path / "exported").mkdir()
    (tmp_path / "exported" / "mine").touch()
    with pytest.raises(UserError, match="already exists and contains other files"):
        export_huggingface(Run.open(tiny_run), tmp_path / "exported")
    assert [path.name for path in tmp_path.rglob("*")] == ["exported", "mine"]


def test_attention_and_loss_of_a_model_with_rotary_positions(
    transformers: Any, tmp_path: Path, tiny_config: Config, joint: VocabPair
) -> None:
    run = untrained(tmp_path / "run", changed(tiny_config, "model", positions="rotary"), joint)
    export_huggingface(run, tmp_path / "exported")
    model, (src, src_mask, tgt) = load(transformers, tmp_path / "exported"), padded_batch(joint)
    with torch.inference_mode():
        result = model(src, src_mask, labels=tgt, output_attentions=True)
        ours = TorchEngine.load([run], joint, "cpu").model
        starts = torch.full_like(tgt[:, :1], joint.tgt.bos_id)
        with recording(ours) as recorded:
            logits = ours(src, src_mask, torch.cat([starts, tgt[:, :-1]], dim=1))
    torch.testing.assert_close(result.logits[..., : joint.tgt.size], logits, atol=1e-5, rtol=1e-5)
    expected = torch.nn.functional.cross_entropy(logits.flatten(0, 1), tgt.flatten())
    torch.testing.assert_close(result.loss, expected, atol=1e-4, rtol=1e-5)
    found = {"encoder": result.encoder_attentions, "decoder": result.decoder_attentions}
    for kind, maps in (found | {"cross": result.cross_attentions}).items():
        assert len(maps) == len(recorded[kind]) == 2
        for layer, each in enumerate(maps):
            torch.testing.assert_close(each, recorded[kind][layer], atol=1e-5, rtol=1e-5)


def test_a_run_without_weights_is_rejected(tmp_path: Path, tiny_config: Config, joint: VocabPair) -> None:
    run = untrained(tmp_path / "run", tiny_config, joint)
    run.weights_path.unlink()
    with pytest.raises(UserError, match="no weights found"):
        export_huggingface(run, tmp_path / "exported")
    assert not (tmp_path / "exported").exists()


def test_the_command_writes_the_requested_format(
    capsys: pytest.CaptureFixture[str], tiny_run: Path, tmp_path: Path
) -> None:
    for arguments, status, said in (
        (["--format", "huggingface"], 0, f"huggingface model: {tmp_path / 'model'}\n"),
        (
            ["--format", "onnx", "--precision", "int8"],
            2,
            "--precision int8: supported only by --format page, ctranslate2 and argos",
        ),
    ):
        assert cli._run(["export", str(tiny_run), str(tmp_path / "model"), *arguments]) == status
        assert said in capsys.readouterr().err
    assert {"config.json", "model.safetensors"} <= {path.name for path in (tmp_path / "model").iterdir()}


def test_a_table_of_positions_that_takes_gigabytes_is_refused(tiny_run: Path, tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    shutil.copytree(tiny_run, run.path)
    run.write_config(changed(run.load_config(), "data", max_pieces=2**31 - 1))
    with pytest.raises(UserError, match=r"Hugging Face would store [\d,]+ positions; lower data\.max_pieces"):
        export_huggingface(run, tmp_path / "out")
