"""Pictures of word alignments: all words and links are drawn, and compared with gold links."""

from __future__ import annotations

from pathlib import Path

from translate.report.alignment_picture import MISSED, RIGHT, WRONG, LinkedPair, save_links

PAIR = LinkedPair(["I", "love", "<script>"], ["J'aime", "les", "pommes."], frozenset({(0, 0), (1, 0), (2, 1)}))


def strokes(path: Path) -> list[int]:
    """Count the lines of each colour: right, wrong, missed."""
    text = path.read_text(encoding="utf-8")
    return [text.count(f"stroke: {colour}") for colour, _ in (RIGHT, WRONG, MISSED)]


def test_every_word_and_link_is_drawn(tmp_path: Path) -> None:
    assert save_links([PAIR, PAIR], tmp_path / "links.svg") == []
    assert strokes(tmp_path / "links.svg") == [6, 0, 0]
    text = (tmp_path / "links.svg").read_text(encoding="utf-8")
    assert all(text.count(word) >= 2 for word in ("love", "&lt;script&gt;", "pommes."))
    assert "<script>" not in text


def test_gold_links_distinguish_right_wrong_and_missed_links(tmp_path: Path) -> None:
    gold = PAIR._replace(sure=frozenset({(0, 0), (2, 2)}), possible=frozenset({(1, 0)}))
    save_links([gold], tmp_path / "links.svg")
    assert strokes(tmp_path / "links.svg") == [2, 1, 1]


def test_equal_links_produce_equal_bytes(tmp_path: Path) -> None:
    for name in "one.png", "two.png":
        save_links([PAIR], tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
