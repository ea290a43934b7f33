"""What one command writes every other reads, whatever a vocabulary calls its end sign."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import sentencepiece

from tests.helpers.runs import changed, train_into
from translate import cli
from translate.config.settings import Config
from translate.data.vocab import Vocab


@pytest.fixture(scope="module")
def renamed(corpus: Path) -> Vocab:
    """A vocabulary whose end sign is `<eos>`, and which has an ordinary piece `</s>`."""
    model = io.BytesIO()
    text = corpus / "train.en", corpus / "train.fr"
    sentencepiece.SentencePieceTrainer.train(
        input=",".join(map(str, text)),
        model_writer=model,
        vocab_size=400,
        bos_piece="<start>",
        eos_piece="<eos>",
        user_defined_symbols=["</s>"],
        minloglevel=2,
    )
    return Vocab(model.getvalue(), "renamed")


def test_labels_name_the_end_sign_alike_and_distinguish_all_pieces(renamed: Vocab) -> None:
    (ids,) = renamed.encode(["the </s> cat"])
    labels = renamed.labels([*ids, renamed.eos_id])
    assert labels[-1] == "</s>"
    assert labels.count("</s>") == 1
    assert labels.count("</s> ") == 1
    assert [renamed.label_ids[label] for label in labels] == [*ids, renamed.eos_id]
    assert len(renamed.label_ids) == renamed.size


def test_every_command_reads_what_another_wrote(
    renamed: Vocab, corpus: Path, tmp_path: Path, tiny_config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "vocab.model").write_bytes(renamed.proto)
    config = changed(tiny_config, "vocab", model=str(tmp_path / "vocab.model"))
    run = train_into(tmp_path / "run", changed(config, "train", max_steps=2, validate_sentences=2)).path
    (tmp_path / "text").write_text("the </s> cat\nI love apples.\n")
    maps, texts = tmp_path / "maps", ["--src", tmp_path / "text", "--tgt", tmp_path / "text"]
    commands = [
        ["decode", run, "--input", tmp_path / "text", "--attention", maps, "--json"],
        ["attention", maps, "--words"],
        ["attention", "roles", maps, "--json"],
        ["attention", "verify", maps, run],
        ["attention", maps, "--html", tmp_path / "page.html"],
        ["align", maps],
        ["score", run, *texts, "--json", "--attention", maps],
        ["attention", "verify", maps, run],
        ["align", maps],
        ["align", run, *texts],
    ]
    outputs = []
    for command in commands:
        assert cli._run(list(map(str, command))) == 0, capsys.readouterr().err
        outputs.append(capsys.readouterr().out)
    assert outputs[-1] == outputs[-2]
    assert [len(line.split()) for line in outputs[-1].splitlines()] >= [3, 3]
    assert json.loads(outputs[6].splitlines()[0])["pieces"][-1] == "</s>"
