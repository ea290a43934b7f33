"""`translate export --format page`: what is written, what it says, and every mistake in one line."""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import re
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np
import pytest
import safetensors.numpy

from tests.faults.disk import failing
from tests.helpers.pages import HOSTILE
from tests.helpers.runs import changed, untrained
from tests.helpers.static_host import StaticHost, visiting
from translate import cli
from translate.config.settings import Config
from translate.data.vocab import Vocab, VocabPair
from translate.decoding.line_translator import LineTranslator
from translate.report.page.site import MARK
from translate.run.folder import Run

BLOCK = re.compile(r'<script type="application/json"(?: class="(\w+)")?(?: id="([\w-]+)")?>(.*?)</script>', re.DOTALL)
Export = Callable[..., "Outcome"]


class Outcome(NamedTuple):
    status: int
    errors: list[str]


@pytest.fixture
def export(capsys: pytest.CaptureFixture[str]) -> Export:
    """Run the command with these arguments."""

    def command(*arguments: object) -> Outcome:
        status = cli._run(["export", *map(str, arguments)])
        output, errors = capsys.readouterr()
        assert output == ""
        return Outcome(status, errors.splitlines())

    return command


def contents(page: Path) -> dict[str, list[Any]]:
    """The JSON in a page by class or id."""
    found: dict[str, list[Any]] = {}
    for class_, id_, content in BLOCK.findall(page.read_text(encoding="utf-8")):
        found.setdefault(class_ or id_, []).append(json.loads(content))
    return found


class Model(NamedTuple):
    tensors: dict[str, np.ndarray]
    about: dict[str, Any]


def models(page: Path) -> list[Model]:
    """The models in a page, after checking their checksums."""
    found = []
    for block in contents(page)["model"]:
        packed = zlib.decompress(base64.b64decode(block["data"]))
        assert hashlib.sha256(packed).hexdigest() == block["sha256"]
        header = json.loads(packed[8 : 8 + int.from_bytes(packed[:8], "little")])
        about = json.loads(header["__metadata__"]["about"])
        assert about["name"] == block["name"]
        found.append(Model(safetensors.numpy.load(packed), about))
    return found


@pytest.mark.parametrize("precision", [None, "float32", "int8"])
def test_the_page_holds_weights_vocabulary_settings_and_examples(
    export: Export, tiny_run: Path, corpus: Path, tmp_path: Path, precision: str | None
) -> None:
    page = tmp_path / "page.html"
    options = ["--precision", precision] if precision else []
    status, said = export(tiny_run, page, "--format", "page", "--note", "by us", *options)
    size = f"{page.stat().st_size / 1e6:.1f} MB"
    assert (status, said) == (
        0,
        [
            f"page: {page} ({size}); open it in any browser, or send it to someone",
            "note: its readers see 20 pairs of validation text as examples; --no-examples leaves them out",
        ],
    )
    ((tensors, about),) = models(page)
    run = Run.open(tiny_run)
    weights = safetensors.numpy.load_file(run.weights_path)
    assert {name for name in tensors if not name.endswith(".scale")} == {*weights, "vocab.src"}
    for name, weight in weights.items():
        scale = tensors.get(f"{name}.scale", np.ones(len(weight)))
        restored = (tensors[name].astype(np.float64).T * scale).T
        steps = {"float32": 0.0, None: 2**-11, "int8": 1 / 127}[precision]
        assert np.abs(restored - weight).max() <= steps * np.abs(weight).max()
    assert tensors["vocab.src"].tobytes() == run.load_vocabs().src.proto
    config = run.load_config()
    assert about["decode"] == config.decode.model_dump()
    assert about["precision"] == (precision or "float16")
    source = (corpus / "valid.en").read_text(encoding="utf-8").splitlines()
    assert [example["source"] for example in about["examples"]] == source

    (line,) = contents(page)["about-data"]
    assert line["note"] == "by us"
    (trained,) = line["models"]
    assert (trained["num_pairs"], trained["texts"]) == (200, ["train.en", "train.fr"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", trained["date"])
    assert "English → French" in re.findall("<title>(.*?)</title>", page.read_text(encoding="utf-8"))


def test_no_folder_of_the_machine_is_in_the_page(export: Export, tiny_run: Path, tmp_path: Path) -> None:
    for folder in "one", "other":
        shutil.copytree(tiny_run, tmp_path / "secret" / folder / "run")
    page = tmp_path / "page.html"
    assert export(*(tmp_path / "secret").glob("*/run"), page, "--format", "page").status == 0
    assert [about["name"] for _, about in models(page)] == ["run (1)", "run (2)"]
    for text in page.read_text(encoding="utf-8"), *(json.dumps(about) for _, about in models(page)):
        for secret in "secret", *tiny_run.parts[-3:-1]:
            assert secret not in text


def test_every_architecture_and_two_vocabularies_can_be_exported(
    export: Export, any_run: Path, no_attention_run: Path, tiny_config: Config, tiny_run: Path, tmp_path: Path
) -> None:
    joint = Run(tiny_run).load_vocabs()
    separate = untrained(
        tmp_path / "separate", tiny_config, VocabPair(joint.src, Vocab(joint.tgt.proto, "second"))
    ).path
    page = tmp_path / "page.html"
    assert export(any_run, no_attention_run, separate, page, "--format", "page").status == 0
    found = models(page)
    assert ["vocab.tgt" in tensors for tensors, _ in found] == [False, False, True]
    assert found[1].about["variant"]["attention"] == "none"


def test_the_folder_translates_as_the_run_does_even_without_a_network(
    export: Export, browser: Any, tiny_run: Path, translator: LineTranslator, tmp_path: Path
) -> None:
    host = StaticHost(tmp_path)
    assert export(tiny_run, host.folder, "--format", "page", "--precision", "float32").status == 0
    with visiting(browser, host) as page:
        page.goto(host.url)
        page.evaluate("navigator.serviceWorker.ready.then(() => true)")
        host.stop()
        page.goto("about:blank")
        page.goto(f"{host.url}#q={quote('I love apples.')}")
        page.wait_for_selector(".piece")
        (expected,) = translator.translate(["I love apples."])
        assert page.inner_text(".pieces").removesuffix("</s>").replace("▁", " ").split() == expected.split()


def without_corpus(run: Path, copy: Path, **data: object) -> Path:
    """A copy of a run that holds what decoding needs, with other settings of [data]."""
    shutil.copytree(run, copy, ignore=lambda *_: ["corpus", "checkpoints", "snapshots", "train.log", "metrics.jsonl"])
    Run(copy).write_config(changed(Run(run).load_config(), "data", **data))
    return copy


def test_what_the_run_no_longer_knows_is_left_out(export: Export, tiny_run: Path, tmp_path: Path) -> None:
    unknown = {"train_src": "", "train_tgt": "", "src_lang": "", "tgt_lang": ""}
    run, page = without_corpus(tiny_run, tmp_path / "bare", **unknown), tmp_path / "page.html"
    status, said = export(run, page, "--format", "page")
    assert (status, len(said)) == (0, 2)  # where the page is, and the advice about languages; no note about examples
    ((_, about),) = models(page)
    assert about["examples"] == []
    (trained,) = contents(page)["about-data"][0]["models"]
    assert (trained["num_pairs"], trained["texts"], trained["date"]) == (None, [], "")
    assert "<title>bare</title>" in page.read_text(encoding="utf-8")


def test_a_damaged_log_leaves_dates_that_exist(export: Export, tiny_run: Path, tmp_path: Path) -> None:
    run, page = without_corpus(tiny_run, tmp_path / "dated"), tmp_path / "page.html"
    (run / "train.log").write_text("2026-02-28 12:00 done\n2026-02-30 12:00 no such day\n", encoding="utf-8")
    assert export(run, page, *PAGE).status == 0
    assert contents(page)["about-data"][0]["models"][0]["date"] == "2026-02-28"


def test_examples_are_left_out_on_request(export: Export, tiny_run: Path, corpus: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    status, said = export(tiny_run, page, "--format", "page", "--no-examples")
    assert (status, len(said)) == (0, 1)
    ((_, about),) = models(page)
    assert about["examples"] == []
    assert (corpus / "valid.fr").read_text(encoding="utf-8").splitlines()[0] not in json.dumps(about)


def test_hostile_names_stay_text(export: Export, tiny_run: Path, tmp_path: Path) -> None:
    name = "<script>hacked=1<!-- \u202e\udce9"
    run, page = without_corpus(tiny_run, tmp_path / name), tmp_path / "page.html"
    assert export(run, page, "--format", "page", "--title", HOSTILE + "\udce9\n", "--note", f"{HOSTILE}\n2").status == 0
    html = page.read_text(encoding="utf-8")
    scripts = re.findall("<script[^>]*>(.*?)</script>", html, re.DOTALL)
    assert html.count("<script") == html.count("</script") == len(scripts)
    assert not any("<!--" in script for script in scripts)
    assert "<img" not in html
    (line,) = contents(page)["about-data"]
    assert line["note"] == f"{HOSTILE}\n2".replace("\u2028", "\\u2028")
    assert line["models"][0]["name"] == "<script>hacked=1<!-- \\u202e\\udce9"


def test_the_page_of_maps_has_no_model(
    export: Export, tiny_run: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("translate.serve.runs.NUM_EXAMPLES", 2)
    page = tmp_path / "maps.html"
    assert export(tiny_run, page, "--format", "page", "--maps-only", "--title", "Our maps").status == 0
    found = contents(page)
    assert "model" not in found
    source = (corpus / "valid.en").read_text(encoding="utf-8").splitlines()
    assert [sentence["source"] for sentence in found["sentence"]] == source[::10]
    assert all(sentence["maps"] == "here" for sentence in found["sentence"])
    assert export(tiny_run, tmp_path / "site", "--format", "page", "--maps-only").status == 0
    assert "<title>English → French</title>" in (tmp_path / "site" / "index.html").read_text(encoding="utf-8")


PAGE = ("--format", "page")
MISTAKES = {  # arguments, in which RUN and OTHER are runs -> what is said
    ("RUN", *PAGE): "RUN: this is a run; name what to write after the runs: export RUN PATH",
    ("RUN", "OTHER", *PAGE): "OTHER: this is a run; name what to write after the runs",
    ("page.html", *PAGE): "page.html: RUN is missing; name the run before it: export RUN PATH",
    ("RUN", "OTHER", "out", "--format", "ctranslate2"): "--format ctranslate2: exports one run, but 2 are given",
    (
        "RUN",
        "OTHER",
        "maps.html",
        *PAGE,
        "--maps-only",
    ): "--maps-only: a page of one run's maps, without a model; leave out a second run",
    ("RUN", "OTHER", "RUN/../tiny", "page.html", *PAGE): "RUN/../tiny: this run is given twice; name it once",
    ("missing", "page.html", *PAGE): "missing: no such folder; pass a folder written by `translate train`",
    ("empty", "page.html", *PAGE): "empty: not a run folder (it has no config.toml)",
    ("unfinished", "page.html", *PAGE): "unfinished/model.safetensors: no weights found; has training saved any yet?",
    ("RUN", "folder.html", *PAGE): "folder.html: already exists and is not an exported page; choose another name",
    ("RUN", "file", *PAGE): "file: already exists and is not an exported page; choose another name",
    ("RUN", "full", *PAGE): "full: already exists and contains sub, which no export writes; choose another name",
    ("RUN", "own.html", *PAGE): "own.html: already exists and is not an exported page; choose another name",
    ("RUN", "own", *PAGE): "own: already exists and is not an exported page; choose another name",
    ("RUN", "nowhere/page.html", *PAGE): "nowhere/page.html: cannot be written: No such file or directory",
    ("RUN", "file/page", *PAGE): "file/page: cannot be written: Not a directory",
    ("RUN", "out", "--format", "huggingface", "--title", "x"): "--title: supported only by --format page; leave it out",
    ("RUN", "out", "--format", "onnx", "--no-examples"): "--no-examples: supported only by --format page",
    ("RUN", "out", "--format", "huggingface", "--precision", "int8"): "--precision int8: supported only by --format "
    "page, ctranslate2 and argos",
    ("RUN", "page.html", *PAGE, "--precision", "int4"): "--precision int4: should be float32, float16 or int8",
    ("RUN", "page.html", *PAGE, "--precision", "bfloat16"): "--precision bfloat16: should be float32, float16 or int8",
    ("RUN", "page.html", *PAGE, "--maps-only", "--precision", "int8", "--no-examples"): "without a model; leave out "
    "--precision and --no-examples",
    ("bare", "page.html", *PAGE, "--maps-only"): "bare: its validation text is gone, so it has no examples; leave "
    "out --maps-only",
    ("BLIND", "page.html", *PAGE, "--maps-only"): "BLIND: the model has no attention; leave out --maps-only",
    ("RUN", "page.html", "--format", "html"): "--format html: should be page, ctranslate2, huggingface, onnx or argos",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, tiny_run: Path) -> Path:
    """A folder in which mistakes are made."""
    folder = tmp_path_factory.mktemp("mistakes")
    for name in "empty", "full/sub", "folder.html", "unfinished", "own":
        (folder / name).mkdir(parents=True)
    (folder / "file").touch()
    for name in "own.html", "own/index.html":
        (folder / name).write_text("<title>translate export</title>")
    shutil.copy(tiny_run / "config.toml", folder / "unfinished")
    shutil.copy(tiny_run / "vocab.model", folder / "unfinished")
    without_corpus(tiny_run, folder / "bare")
    return folder


@pytest.mark.parametrize("arguments", MISTAKES, ids=" ".join)
def test_mistakes_are_explained_in_one_line(
    export: Export, place: Path, tiny_run: Path, other_run: Path, no_attention_run: Path,
    monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...],
) -> None:  # fmt: skip
    monkeypatch.chdir(place)
    before = sorted(place.rglob("*"))
    names = {"RUN": str(tiny_run), "OTHER": str(other_run), "BLIND": str(no_attention_run)}

    def in_full(text: str) -> str:
        return re.sub("RUN(?! (PATH|is))|OTHER|BLIND", lambda found: names[found[0]], text)

    status, said = export(*map(in_full, arguments))
    assert (status, len(said)) == (2, 1)
    assert said[0].startswith("error: ")
    assert in_full(MISTAKES[arguments]) in said[0]
    assert sorted(place.rglob("*")) == before


def test_an_exported_page_is_replaced_and_nothing_else(
    export: Export, tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("translate.serve.runs.NUM_EXAMPLES", 1)
    for name, index, options in (
        ("page.html", "", ["--maps-only"]),
        ("site", "index.html", ["--title", "translate export"]),
    ):
        page = tmp_path / name / index
        assert export(tiny_run, tmp_path / name, *PAGE, *options).status == 0
        assert export(tiny_run, tmp_path / name, *PAGE, "--title", "Two").status == 0
        assert "<title>Two</title>" in page.read_text(encoding="utf-8")
    (tmp_path / "site" / "CNAME").write_text("mine")
    before = {path: path.read_bytes() for path in (tmp_path / "site").iterdir()}
    status, said = export(tiny_run, tmp_path / "site", *PAGE)
    assert (status, len(said)) == (2, 1)
    assert "site: already exists and contains CNAME, which no export writes; choose another name" in said[0]
    assert {path: path.read_bytes() for path in (tmp_path / "site").iterdir()} == before


def test_the_date_can_be_set_for_pages_that_are_reproducible(
    export: Export, tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for value in "x", "1e400", str(10**30), "1.5":
        monkeypatch.setenv("SOURCE_DATE_EPOCH", value)
        message = f"error: SOURCE_DATE_EPOCH={value}: should be a number of seconds since 1970; unset it"
        assert export(tiny_run, tmp_path / "x.html", "--format", "page") == (2, [message])
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    export(tiny_run, tmp_path / "x.html", "--format", "page")
    assert contents(tmp_path / "x.html")["about-data"][0]["date"] == "1970-01-02"


@pytest.mark.parametrize("name", ["page.html", "site"])
def test_a_full_disk_leaves_nothing_half_written(export: Export, tiny_run: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "page.html").write_text(MARK)
    with failing(tmp_path, "write", 1, errno.ENOSPC):
        status, said = export(tiny_run, tmp_path / name, *PAGE)
    assert (status, len(said)) == (2, 1)
    assert f"{tmp_path / name}: cannot be written: No space left on device" in said[0]
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"page.html": MARK}
