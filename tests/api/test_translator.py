"""The translator that `load` returns: results as those of the commands, and errors that name the argument."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from translate import cli, load
from translate.alignment.stored import StoredAlignment
from translate.api import Translator, load_translator
from translate.attention.extract import heads_named
from translate.decoding.line_translator import LineTranslator
from translate.decoding.results import DecodeRequest
from translate.errors import UserError
from translate.run.folder import Run

TEXTS = ["I love apples.", "", "The cat sat on the mat."]


@pytest.fixture(scope="module")
def t(tiny_run: Path) -> Translator:
    return load(tiny_run, "cpu")


def test_a_text_gives_a_text_and_texts_give_a_list(t: Translator, translator: LineTranslator) -> None:
    expected = translator.translate(TEXTS)
    assert t(TEXTS) == t.translate(tuple(TEXTS)) == t(each for each in TEXTS) == expected
    assert [t(text) for text in TEXTS] == expected
    assert t([]) == []


def test_options_are_those_of_decode(t: Translator, tiny_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options: dict[str, Any] = {
        "beam_size": 3, "length_penalty": 0.7, "coverage_penalty": 0.1, "no_repeat_ngram": 2, "min_length": 3,
        "max_length": 9, "prefix": "Nous", "require": ["pommes"],
    }  # fmt: skip
    sampling: dict[str, Any] = {
        "sample": True,
        "temperature": 0.8,
        "top_k": 9,
        "top_p": 0.9,
        "seed": 3,
        "max_length": 9,
    }
    for given in options, sampling:
        words = ["decode", str(tiny_run), TEXTS[0], "--json", "--n-best", "2", "--device", "cpu"]
        for name, value in given.items():
            values = value if isinstance(value, list) else [value]
            words += [
                word for each in values for word in (f"--{name.replace('_', '-')}", str(each)) if each is not True
            ]
            words += [f"--{name}"] if value is True else []
        assert cli._run(words) == 0
        expected = json.loads(capsys.readouterr().out)
        (found,) = t.translations(TEXTS[:1], n_best=2, details=True, **given)
        assert json.loads(json.dumps(found.as_dict())) == expected
        assert t.translate(TEXTS[0], n_best=2, **given) == [each["text"] for each in expected["translations"]]


def test_n_best_gives_a_list_for_each_text_and_widens_the_beam(t: Translator, translator: LineTranslator) -> None:
    settings = translator.settings.model_copy(update={"beam_size": 5})
    expected = [
        [candidate.text for candidate in found.translations]
        for found in translator.translations(TEXTS, settings, DecodeRequest(5))
    ]
    assert t.translate(TEXTS, beam_size=1, n_best=5) == expected
    assert t.translate(TEXTS[0], n_best=5, beam_size=5) == expected[0]
    assert t.translate(TEXTS[0], n_best=1) == [t(TEXTS[0])]


def test_translations_come_while_texts_arrive(t: Translator) -> None:
    num_read = 0

    def endless() -> Any:
        nonlocal num_read
        while True:
            num_read += 1
            yield "She sings."

    assert next(t.translations(endless())).source == "She sings."
    assert num_read < 100


def test_scores_and_links_are_those_of_the_commands(
    t: Translator, tiny_run: Path, corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sides = [(corpus / f"valid.{side}").read_text("utf-8").splitlines() for side in ("en", "fr")]
    texts = ["--src", str(corpus / "valid.en"), "--tgt", str(corpus / "valid.fr")]
    assert cli._run(["score", str(tiny_run), *texts, "--device", "cpu", "--json"]) == 0
    expected = [json.loads(line)["log_prob"] for line in capsys.readouterr().out.splitlines()]
    assert [each.log_prob for each in t.score(*sides)] == pytest.approx(expected)
    one = t.score(sides[0][0], sides[1][0])
    assert (one.log_prob, one.target) == (pytest.approx(expected[0]), sides[1][0])
    assert len(one.pieces) == len(one.log_probs)

    assert cli._run(["align", str(tiny_run), *texts, "--device", "cpu"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    found = [[f"{i}-{j}" for i, j in t.align(*pair)] for pair in zip(*sides, strict=True)]
    assert found == lines
    assert t.align("I love apples.", " ") == t.align("", "x") == []


def test_links_follow_the_setting_stored_in_the_run(
    t: Translator, tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in "config.toml", "vocab.model", "model.safetensors":
        (tmp_path / name).symlink_to(tiny_run / name)
    stored = StoredAlignment(0, 1, "threshold", False, 0.2, 0.5, 1, "gold", "0" * 64)
    Run(tmp_path).write_alignment(asdict(stored))
    pair = "The cat sat on the mat.", "Le chat était assis."
    for name, text in zip(("a.en", "a.fr"), pair, strict=True):
        (tmp_path / name).write_text(f"{text}\n", encoding="utf-8")
    texts = ["--src", str(tmp_path / "a.en"), "--tgt", str(tmp_path / "a.fr")]
    assert cli._run(["align", str(tiny_run), *texts, "--layer", "0", "--head", "1", "--threshold", "0.2"]) == 0
    found = load(tmp_path, "cpu").align(*pair)
    assert [f"{i}-{j}" for i, j in found] == capsys.readouterr().out.split()
    assert found != t.align(*pair)


def test_a_lexicon_of_the_training_text_corrects_the_links_as_in_align(
    t: Translator, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sides = [(corpus / f"train.{side}").read_text("utf-8").splitlines()[:12] for side in ("en", "fr")]
    for side, lines in zip(("en", "fr"), sides, strict=True):
        (tmp_path / f"a.{side}").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    texts = ["--src", str(tmp_path / "a.en"), "--tgt", str(tmp_path / "a.fr")]
    assert cli._run(["align", str(t._run), *texts, "--lexicon"]) == 0
    expected = [line.split() for line in capsys.readouterr().out.splitlines()]
    pairs = [*zip(*sides, strict=True)]
    found = [[f"{i}-{j}" for i, j in t.align(*pair, lexicon=True)] for pair in pairs]
    # `align` also counts the lines that it aligns: here, lines of the training text once more.
    assert sum(a == b for a, b in zip(found, expected, strict=True)) >= 10
    assert found != [[f"{i}-{j}" for i, j in t.align(*pair)] for pair in pairs]
    assert t.align("", "x", lexicon=True) == []


def test_a_lexicon_needs_the_training_text(tiny_run: Path, tmp_path: Path) -> None:
    for name in "vocab.model", "model.safetensors":
        (tmp_path / name).symlink_to(tiny_run / name)
    text = (tiny_run / "config.toml").read_text("utf-8").replace("train.en", "gone.en")
    (tmp_path / "config.toml").write_text(text, encoding="utf-8")
    moved = load(tmp_path, "cpu")
    with pytest.raises(
        UserError, match=r"^lexicon=True: .*gone\.en, of the run's training text, is missing; restore it"
    ):
        moved.align("x", "y", lexicon=True)
    assert moved.align("", "y") == []


def test_masked_heads_compose_and_leave_the_translator_as_it_was(t: Translator, translator: LineTranslator) -> None:
    names = ["cross.1.1", "decoder.0.0", "encoder.1.0"]
    pair = "I love apples.", "J'aime les pommes."
    expected = next(translator.without(heads_named(translator, names)).score([pair])).log_prob
    before = t.score(*pair).log_prob
    assert t.without(*names).score(*pair).log_prob == expected
    assert t.without(names[0]).without(*names[1:]).score(*pair).log_prob == expected
    assert t.score(*pair).log_prob == before != expected
    assert repr(t.without(*names)) == f"<Translator: tiny without {', '.join(names)}, {t.engine.description}>"


def test_threads_share_a_translator(t: Translator) -> None:
    jobs: list[Callable[[], object]] = [
        lambda: t.translate(TEXTS, n_best=2),
        lambda: t.without("cross.0.0", "cross.0.1")(TEXTS),
        lambda: t.attention(TEXTS[0]).cross.tobytes(),
        lambda: t.align(TEXTS[0], "J'aime les pommes."),
    ]
    expected = [job() for job in jobs]
    with ThreadPoolExecutor(8) as pool:
        assert [each.result() for each in [pool.submit(job) for job in jobs * 4]] == expected * 4


def test_what_a_translator_consists_of_can_be_read_but_not_set(t: Translator, translator: LineTranslator) -> None:
    assert t.settings == translator.settings
    assert t.max_pieces == translator.max_pieces
    assert t.vocabs.fingerprint == translator.vocabs.fingerprint
    assert t.engine.weights == translator.engine.weights
    for name in "settings", "max_pieces", "vocabs", "engine":
        with pytest.raises(AttributeError):
            setattr(t, name, None)


WRONG: list[tuple[Callable[[Any], object], str]] = [
    (lambda t: t.translate(5), "TypeError: texts should be a string or a list of strings, not int"),
    (lambda t: t(None), "TypeError: texts should be a string or a list of strings, not NoneType"),
    (lambda t: t({"a": 1}), "TypeError: texts should be a string or a list of strings, not dict"),
    (lambda t: t(b"x"), "TypeError: texts should be a string or a list of strings, not bytes"),
    (lambda t: t(["x", 5]), "TypeError: line 2 should be a string, not int"),
    (lambda t: t("x\ud800"), "ValueError: line 1 contains a lone surrogate"),
    (lambda t: t.translations("x"), "TypeError: texts should be a list or an iterator of strings, not str"),
    (lambda t: t("x", beam=3), "TypeError: beam: unknown option; the options are n_best, beam_size, length_penalty"),
    (lambda t: t("x", beam_size="3"), 'UserError: beam_size="3": should be an integer'),
    (lambda t: t("x", beam_size=0), "UserError: beam_size=0: should be greater than or equal to 1"),
    (lambda t: t("x", temperature=-1.0), "UserError: temperature=-1.0: should be greater than"),
    (lambda t: t("x", n_best=0), "UserError: n_best=0: should be from 1 to 1,000"),
    (lambda t: t("x", n_best="2"), "TypeError: n_best should be of type int, not str"),
    (lambda t: t("x", n_best=True), "TypeError: n_best should be of type int, not bool"),
    (lambda t: t.translations(["x"], details=1), "TypeError: details should be of type bool, not int"),
    (lambda t: t("x", prefix=3), "TypeError: prefix should be a string, not int"),
    (lambda t: t("x", require="pommes"), "TypeError: require should be a list, not str"),
    (lambda t: t("x", require=["a"], sample=True), "UserError: required terms cannot be combined with sampling; omit"),
    (lambda t: t.score(3, "y"), "TypeError: source should be a string or a list of strings, not int"),
    (lambda t: t.score("x", None), "TypeError: target should be a string, not NoneType"),
    (lambda t: t.score(["x"], "y"), "TypeError: target should be a list of strings, not str, because source is a list"),
    (lambda t: t.score("x", ["y"]), "TypeError: target should be a string, not list"),
    (lambda t: t.score(["x"], ["y", "z"]), "ValueError: source has 1 texts, but target has 2"),
    (lambda t: t.score(["x", 3], ["y", "z"]), "TypeError: each source should be a string, not int"),
    (lambda t: t.align(["x"], "y"), "TypeError: source should be a string, not list"),
    (lambda t: t.align("x", "y", lexicon=1), "TypeError: lexicon should be of type bool, not int"),
    (lambda t: t.align("x " * 2000, "y"), "UserError: the pair is too long for attention maps, or its words do not"),
    (lambda t: t.attention(["x"]), "TypeError: source should be a string, not list"),
    (lambda t: t.attention("x", 3), "TypeError: target should be a string, not int"),
    (lambda t: t.attention("x", "y", beam_size=3), "TypeError: beam_size: the target is given"),
    (lambda t: t.attention(" "), "UserError: a text without words, or with a blank target, has no attention"),
    (lambda t: t.attention("x", ""), "UserError: a text without words, or with a blank target, has no attention"),
    (lambda t: t.attention("x " * 200_000), "pieces exceed the maximum of 1,000 for maps; pass"),
    (lambda t: t.attention("x " * 600, beam_size=1, max_length=3), "pieces exceed the maximum of 1,000 for maps; pass"),
    (lambda t: t.without("cross.9.9"), "UserError: head cross.9.9: the model has no such head; available heads: "),
    (lambda t: t.without("cross"), "UserError: head cross: expected kind.layer.head; available heads: cross.0.0 to"),
    (lambda t: t.without(["cross.0.0"]), "TypeError: each head should be a string, not list"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "expected"), WRONG, ids=[expected for _, expected in WRONG])
def test_each_wrong_argument_is_named(t: Translator, call: Callable[[Any], object], expected: str) -> None:
    with pytest.raises((TypeError, ValueError, UserError)) as caught:
        call(t)
    assert expected in f"{caught.type.__name__}: {caught.value}"
    assert "\n" not in str(caught.value)
    assert "--" not in str(caught.value)


def test_wrong_arguments_of_load_are_named(tiny_run: Path, tmp_path: Path) -> None:
    mistakes: list[tuple[dict[str, Any], str]] = [
        ({"run": 3}, "run should be a path, not int"),
        ({"device": 3}, "device should be a string, not int"),
        ({"device": "gpu"}, 'device="gpu": not available to PyTorch; choose one of auto, '),
        ({"engine": "fast"}, 'engine="fast": should be torch or ctranslate2'),
        (
            {"precision": "float16"},
            'precision="float16": torch supports float32, bfloat16 and int8; add engine="ctranslate2"',
        ),
        ({"ensemble": "runs/b"}, "ensemble should be a list, not str"),
        ({"run": tmp_path}, "not a run folder (it has no config.toml); pass a folder written by `translate train`"),
    ]
    for given, expected in mistakes:
        with pytest.raises((TypeError, UserError)) as caught:
            load(**{"run": tiny_run, "device": "cpu", **given})
        assert expected in str(caught.value)


def test_ctranslate2_translates_and_says_what_it_cannot_do(tiny_run: Path, t: Translator) -> None:
    pytest.importorskip("ctranslate2", reason="CTranslate2 is an extra: pip install ctranslate2")
    fast = load(tiny_run, "cpu", engine="ctranslate2")
    assert fast(TEXTS) == t(TEXTS)
    for call in (lambda: fast.attention("x"), lambda: fast.align("x", "y"), lambda: fast.without("cross.0.0")):
        with pytest.raises(UserError, match=r'^CTranslate2 does not expose attention; load .* with engine="torch"$'):
            call()


def test_an_ensemble_averages_and_shows_the_maps_of_its_first_model(tiny_run: Path, other_run: Path) -> None:
    both = load(tiny_run, "cpu", ensemble=[other_run])
    pair = "I love apples.", "J'aime les pommes."
    expected = next(load_translator(tiny_run, "cpu", ensemble=[other_run]).score([pair])).log_prob
    assert both.score(*pair).log_prob == expected
    assert np.array_equal(both.attention(*pair).cross, load(tiny_run, "cpu").attention(*pair).cross)
