"""The tree of a beam search against a simple search that records what it considers, and against forced scores."""

from __future__ import annotations

import pytest

from tests.reference_search import Considered, translate_one
from translate.config.settings import DecodeSettings
from translate.decoding.engine import Sentence
from translate.decoding.line_translator import LineTranslator
from translate.decoding.results import DecodeRequest, Translation
from translate.decoding.search_tree import SearchTree, TreeNode

SENTENCE = "The cat sat on the mat."


def searched(
    translator: LineTranslator, settings: DecodeSettings, request: DecodeRequest | None = None
) -> tuple[Translation, list[TreeNode]]:
    """Translate the sentence; return the translation and the nodes of its search."""
    tree = SearchTree()
    (found,) = translator.translations([SENTENCE], settings, request, watch=tree.add)
    return found, tree.nodes(found.parts[0][1])


def pieces_of(nodes: list[TreeNode], node: TreeNode) -> list[int]:
    """All pieces of a node's hypothesis."""
    before = [] if node.parent is None else pieces_of(nodes, nodes[node.parent])
    return [*before, node.piece]


@pytest.mark.parametrize(("beam_size", "length_penalty"), [(1, 1.0), (2, 0.0), (4, 1.0), (7, 2.0)])
def test_the_tree_is_what_a_simple_search_considers(
    each_translator: LineTranslator, beam_size: int, length_penalty: float
) -> None:
    changes = {"beam_size": beam_size, "length_penalty": length_penalty}
    settings = each_translator.settings.model_copy(update=changes)
    found, nodes = searched(each_translator, settings)
    expected: list[Considered] = []
    tgt, (src, best) = each_translator.vocabs.tgt, found.parts[0]
    translate_one(each_translator.engine.model, Sentence(src), settings, tgt.bos_id, tgt.eos_id, expected)
    assert [node.id for node in nodes] == list(range(len(expected)))
    for node, considered in zip(nodes, expected, strict=True):
        pieces = pieces_of(nodes, node)
        assert pieces == considered.pieces
        assert node.step == len(pieces)
        assert node.log_prob == pytest.approx(considered.log_prob, abs=1e-4)
        assert node.score == pytest.approx(node.log_prob / node.step**length_penalty, abs=1e-5)
        assert node.behind == pytest.approx(considered.behind, abs=1e-4)
        assert (node.state == "best") == (pieces == best[: len(pieces)])
        assert node.state in ("best", considered.state)
    if beam_size == 1:
        assert [node.piece for node in nodes if node.state != "dropped"] == best


def test_the_nodes_have_the_log_probabilities_of_their_pieces(translator: LineTranslator) -> None:
    changes = {"beam_size": 3, "coverage_penalty": 0.3, "no_repeat_ngram": 2, "min_length": 4}
    prefix = tuple(translator.vocabs.tgt.encode(["Nous"])[0])
    request = DecodeRequest(3, details=True, prefix_ids=prefix)
    found, nodes = searched(translator, translator.settings.model_copy(update=changes), request)
    src, best = found.parts[0]
    hypotheses = [pieces_of(nodes, node) for node in nodes]
    for node, log_probs in zip(nodes, translator.engine.score([(src, each) for each in hypotheses]), strict=True):
        assert node.log_prob == pytest.approx(sum(log_probs), abs=1e-3)
    assert all(tuple(pieces[: len(prefix)]) == prefix[: len(pieces)] for pieces in hypotheses)
    scores = [node.score for node in nodes if node.state == "finished" or hypotheses[node.id] == best]
    assert sorted(scores)[:-4:-1] == pytest.approx([each.score for each in found.translations], abs=1e-6)


def test_sampling_leaves_the_tree_empty(translator: LineTranslator) -> None:
    tree = SearchTree()
    list(translator.translations([SENTENCE], translator.settings.model_copy(update={"sample": True}), watch=tree.add))
    assert tree.nodes([]) == []
