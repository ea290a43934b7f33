"""What newcomers type: each error says what was probably meant, and the commands that it names work."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from translate import cli
from translate.commands import app
from translate.commands.habits import _SYNONYMS
from translate.config import habits
from translate.config.settings import Config
from translate.config.toml import setting_names

Say = Callable[..., str]


@pytest.fixture
def home(tiny_run: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a user: two texts, a settings file, a run, and maps."""
    shutil.copytree(tiny_run, tmp_path / "runs/toy", ignore=shutil.ignore_patterns("checkpoints", "corpus"))
    for language in "en", "fr":
        shutil.copy(corpus / f"valid.{language}", tmp_path / f"a.{language}")
    shutil.copy(corpus / "valid.en", tmp_path / "a b.en")
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs/mine.toml").write_text("[train]\nmax_steps = 5\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def error(home: Path, capsys: pytest.CaptureFixture[str]) -> Say:
    """Run a command line, which must fail in lines that a user can act upon; return these."""

    def said(line: str) -> str:
        status = cli._run(shlex.split(line))
        output, errors = capsys.readouterr()
        assert (status, output) == (2, ""), errors
        assert all(each.startswith("error: ") for each in errors.splitlines())
        assert not re.search(r"Traceback|Value error|Input should be|valid integer|parse string|Possible", errors)
        return errors

    return said


TEXTS = "train --src a.en --tgt a.fr"
HABITS = {
    # In training: settings, with the value that was given.
    f"{TEXTS} --epochs 3": "--set train.max_epochs=3",
    f"{TEXTS} --epochs=3": "--set train.max_epochs=3",
    f"{TEXTS} --lr 0.001": "--set train.learning_rate=0.001",
    f"{TEXTS} --learning-rate 1e-3": "--set train.learning_rate=1e-3",
    f"{TEXTS} --learning_rate 1e-3": "--set train.learning_rate=1e-3",
    f"{TEXTS} --max-steps 9": "--set train.max_steps=9",
    f"{TEXTS} --minutes 5": "--set train.max_minutes=5",
    f"{TEXTS} --batch-size 32": "32 sentences of up to 32 pieces, write --set train.batch_tokens=1024",
    f"{TEXTS} --batch 64": "--set train.batch_tokens=2048",
    f"{TEXTS} --layers 2": "--set model.num_encoder_layers=2 --set model.num_decoder_layers=2",
    f"{TEXTS} --heads 4": "--set model.num_heads=4",
    f"{TEXTS} --dropout .1": "--set model.dropout=.1",
    f"{TEXTS} --optimizer adam": "--set train.optimizer=adamw",
    f"{TEXTS} --optim muon": "--set train.optimizer=muon",
    f"{TEXTS} --seed 7": "--set train.seed=7",
    f"{TEXTS} --vocab-size 500": "--set vocab.size=500",
    f"{TEXTS} --beam 5": "--set decode.beam_size=5",
    f"{TEXTS} --fp16": "--set train.precision=bfloat16",
    f"{TEXTS} --bf16": "--set train.precision=bfloat16",
    f"{TEXTS} --train.max_steps 9": "--set train.max_steps=9",
    f"{TEXTS} --src-lang 'zh Hant'": "--set 'data.src_lang=zh Hant'",
    # Options of ours, and what is no option.
    f"{TEXTS} --gpu": "write --device cuda",
    f"{TEXTS} --cuda 0": "write --device cuda",
    f"{TEXTS} --gpus 4": "torchrun --nproc-per-node 4 -m translate train",
    f"{TEXTS} --output-dir 'my run'": "write --out 'my run'",
    f"{TEXTS} --checkpoint old": "--resume --out old to continue it, --init-from old to fine-tune",
    f"{TEXTS} --model recurrent": "--set model.architecture=recurrent",
    f"{TEXTS} --resme": "write --resume",
    "train --config configs/mine.toml": "translate train configs/mine.toml",
    "decode runs/toy Hi --num-beams 5": "write --beam-size 5",
    "decode runs/toy Hi --bem-size 5": "write --beam-size 5",
    "decode --model runs/toy Hi": "translate decode runs/toy",
    "decode runs/toy --src a.en": "write --input a.en",
    "decode runs/toy --text 'I love apples.'": "translate decode RUN 'I love apples.'",
    "decode runs/toy Hi --batch-size 3": "decode.batch_tokens",
    "decode runs/toy -5": "write -- before sentences that begin with a dash",
    "train -o out": "write --out out",
    "evaluate runs/toy --source a.en": "write --src a.en",
}


@pytest.mark.parametrize("line", HABITS)
def test_options_of_other_programs_name_what_to_write(error: Say, line: str) -> None:
    said = error(line)
    assert HABITS[line] in said
    assert said.count("\n") == 1
    assert f"(translate {line.split()[0]} --help" in said


def test_options_before_the_command_are_explained(error: Say) -> None:
    assert "options follow a command" in error("--gpu train --src a.en --tgt a.fr")


def test_all_options_of_other_programs_are_named_at_once(error: Say) -> None:
    said = error(f"{TEXTS} --lr 0.001 --gpu --epochs 3 -- --seed").splitlines()
    assert [line.rpartition("write ")[2] for line in said] == [
        *("--set train.learning_rate=0.001", "--device cuda", "--set train.max_epochs=3")
    ]


def test_what_the_errors_tell_to_write_is_accepted(error: Say) -> None:
    """Up to the next error, which is about a run that does not exist."""
    for line in (line for line in HABITS if line.startswith(TEXTS)):
        written = shlex.split(error(line).rpartition("write ")[2].partition(";")[0])
        if written[:1] and written[0].startswith("--set"):
            said = error(shlex.join([*shlex.split(TEXTS), *written, "--resume", "--out", "nowhere"]))
            assert "nowhere: no such folder" in said, line


def test_the_known_habits_mean_what_there_is() -> None:
    """And no setting or option of ours is taken for another."""
    known = setting_names()
    keys = {name.partition(".")[2] for name in known}
    named = {setting for settings in habits._NAMES for setting in settings}
    assert named <= {*known}
    assert {*habits._SETTINGS} & keys <= {"dropout", "max_length"}
    assert sum(len(names.split()) for names in habits._NAMES.values()) == len(habits._SETTINGS)
    assert {*Config.model_fields} == {name.partition(".")[0] for name in known}
    command = typer.main.get_command(app)
    commands = [*command.commands.values()]
    commands += [each for group in commands for each in getattr(group, "commands", {}).values()]
    options = {option for each in commands for param in each.params for option in param.opts}
    assert {*_SYNONYMS} <= options


COMMANDS = {
    "tarin a.en": "translate train a.en",
    "decdoe runs/toy 'I love apples.'": "translate decode runs/toy 'I love apples.'",
    "Train": "translate train",
    "test runs/toy --src a.en": "translate evaluate runs/toy --src a.en",
    "translate decode runs/toy Hi": "translate decode runs/toy Hi",
    "help train": "translate train --help",
    "help": "translate --help",
    "'I love apples.'": "translate decode runs/toy 'I love apples.'",
    "runs/toy 'I love apples.'": "translate decode runs/toy 'I love apples.'",
    "a.en a.fr": "translate train --src a.en --tgt a.fr",
    "a.en": "translate decode runs/toy --input a.en",
    "configs/mine.toml": "translate train configs/mine.toml",
}


@pytest.mark.parametrize("line", COMMANDS)
def test_a_word_that_is_no_command_offers_one(error: Say, line: str) -> None:
    said = error(line)
    assert said.startswith("error: No such command: ")
    assert said.rpartition("did you mean: ")[2] == f"{COMMANDS[line]}\n"


def test_a_word_like_no_command_lists_the_commands(error: Say) -> None:
    assert "the commands are check, train, decode, serve, evaluate, score, align, export, attention" in error("qwertz")


RUNS = {
    "decode 'I love apples.'": "name a run first: translate decode runs/toy 'I love apples.'",
    f"decode {'x' * 300}": "pass a folder written by `translate train`, such as runs/toy",
    "decode": "name a run first: translate decode runs/toy …",
    "decode toi Hi": "did you mean runs/toy?",
    "decode runs/tyo Hi": "did you mean runs/toy?",
    "decode runs Hi": "pass one of the runs in it: runs/toy",
    "decode runs/toy/model.safetensors Hi": "pass the run, runs/toy",
    "decode a.en": "translate decode runs/toy --input a.en",
    "decode configs/mine.toml": "translate train configs/mine.toml",
    "serve nothing": "pass a folder written by `translate train`, such as runs/toy",
    "export toi page --format page": "did you mean runs/toy?",
    "evaluate toi --src a.en --ref a.fr": "did you mean runs/toy?",
    f"{TEXTS} --init-from toi": "did you mean runs/toy?",
    "train --resume": "translate train --resume --out runs/toy",
    "train --resume --out toi": "did you mean runs/toy?",
    "train runs/toy": "translate train --resume --out runs/toy",
    "attention runs/toy": "translate decode runs/toy 'I love apples.' --attention maps && translate attention maps",
    "attention roles runs/toy": "--attention maps && translate attention roles maps",
    "attention toy": "translate decode runs/toy 'I love apples.' --attention maps",
    "attention nothing": "no such folder; write maps first: translate decode runs/toy",
    "align toi": "did you mean runs/toy?",
}


@pytest.mark.parametrize("line", RUNS)
def test_what_is_no_run_offers_one(error: Say, line: str) -> None:
    assert RUNS[line] in error(line)


def test_a_run_is_found_by_its_name(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli._run(["decode", "runs/toy", "I love apples.", "--device", "cpu"]) == 0
    expected = capsys.readouterr().out
    assert cli._run(["decode", "toy", "I love apples.", "--device", "cpu"]) == 0
    output, errors = capsys.readouterr()
    assert output == expected
    assert errors.splitlines()[0] == "note: toy: no such folder; using runs/toy"


@pytest.mark.parametrize(
    ("sentences", "note"),
    [
        (
            ["a.en"],
            "a.en is translated as a sentence; for the lines of the file: translate decode runs/toy --input a.en",
        ),
        (["I", "love", "apples."], "for one sentence: translate decode runs/toy 'I love apples.'"),
        (["Apples.", "Pears.", "Plums."], ""),
        (["one two", "three", "four"], ""),
        (["apples"], ""),
    ],
)
def test_sentences_that_look_like_something_else_are_noted(
    home: Path, capsys: pytest.CaptureFixture[str], sentences: list[str], note: str
) -> None:
    assert cli._run(["decode", "runs/toy", *sentences, "--beam-size", "1", "--device", "cpu"]) == 0
    output, errors = capsys.readouterr()
    assert output.count("\n") == len(sentences)
    assert errors.count("note: ") == bool(note)
    assert note in errors


SIDES = {
    "train a.en a.fr": "translate train --src a.en --tgt a.fr",
    "train a.en a.fr --out 'my run' --dry-run": "translate train --src a.en --tgt a.fr --out 'my run' --dry-run",
    "train configs/mine.toml a.en a.fr": "translate train configs/mine.toml --src a.en --tgt a.fr",
    "check 'a b.en' a.fr": "translate check --src 'a b.en' --tgt a.fr",
    "evaluate runs/toy a.en a.fr": "translate evaluate runs/toy --src a.en --ref a.fr",
    "score runs/toy a.en a.fr": "translate score runs/toy --src a.en --tgt a.fr",
    "train a.en a.fr 'a b.en' a.fr": "translate train --src a.en --tgt a.fr --valid-src 'a b.en' --valid-tgt a.fr",
    "align runs/toy a.en a.fr": "translate align runs/toy --src a.en --tgt a.fr",
}


@pytest.mark.parametrize("line", SIDES)
def test_two_files_without_options_give_the_corrected_command(error: Say, line: str) -> None:
    assert error(line).endswith(f": {SIDES[line]}\n")


VALUES = {
    "decode runs/toy Hi --precision int4": "--precision int4: should be float32, bfloat16, float16 or int8 (",
    "decode runs/toy Hi --beam-size five": "--beam-size five: should be an integer (",
    "decode runs/toy Hi --beam-size=2.5": "--beam-size 2.5: should be an integer (",
    "decode runs/toy Hi --top-p big": "--top-p big: should be a number (",
    "serve runs/toy --port 99999": "--port 99999: should be less than or equal to 65535 (",
    "check --examples -1": "--examples -1: should be greater than or equal to 0 (",
    "decode runs/toy Hi --beam-size": "Option '--beam-size' requires an argument (translate decode --help)",
    "train --resume=3": "Option '--resume' does not take a value (translate train --help)",
    "export runs/toy x": "Missing option '--format'",
    "decode runs/toy Hi --device cuda:1": "CUDA_VISIBLE_DEVICES=1",
    f"{TEXTS} --set lr=3": "lr: not a setting; write SECTION.KEY, such as train.learning_rate",
    f"{TEXTS} --set train.lr=3": "did you mean train.learning_rate?",
    f"{TEXTS} --set train.batch_size=3": "did you mean train.batch_tokens?",
    f"{TEXTS} --set train.max_steps=1.5": "train.max_steps = 1.5: should be an integer",
    f"{TEXTS} --set data.src_lang=english": 'data.src_lang = "english": not a language code',
    "train a.en": "to train on this text, write --src a.en --tgt FILE",
    f"{TEXTS} --set train.max_steps 100": "100: not a settings file; write --set SECTION.KEY=100",
    f"{TEXTS} --out a.en": "a.en: already exists, and is not a run; choose another --out",
    f"{TEXTS} --device gpu": "a GPU is called cuda",
    "evaluate runs/toy": "translate evaluate … --src FILE --ref FILE",
    "score runs/toy a.en": "translate score … --src FILE --tgt FILE",
    "train mine": "did you mean configs/mine.toml?",
    "train b.en": "texts are named by --src and --tgt: translate train --src b.en --tgt FILE",
}


@pytest.mark.parametrize("line", VALUES)
def test_values_are_refused_in_our_words(error: Say, line: str) -> None:
    assert VALUES[line] in error(line)


def test_evaluate_and_score_accept_ref_and_tgt(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outputs = []
    for target in "--ref", "--tgt":
        assert cli._run(["evaluate", "a.fr", "--src", "a.en", target, "a.fr", "--no-ter"]) == 0
        assert cli._run(["score", "toy", "--src", "a.en", target, "a.fr", "--device", "cpu"]) == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1]
