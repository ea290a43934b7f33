"""The tree of a beam search: the hypotheses of one line that it kept, dropped and finished. Does not import torch."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

from translate.decoding.engine import Pieces, SearchStep

NodeState = Literal["kept", "dropped", "finished", "best"]


class TreeNode(NamedTuple):
    """A hypothesis: the pieces of its parent, and one more."""

    id: int  # index of the node; parents come before their children, and better hypotheses of a step before others
    parent: int | None  # None: the hypothesis has only one piece
    step: int  # number of pieces
    piece: int  # id of the last piece
    log_prob: float  # of all pieces, in nats
    score: float  # log_prob / step ** length_penalty - coverage penalty; ranks the finished hypotheses
    # kept: had a place in the beam of the next step. dropped: had none, or was unfinished when the search stopped.
    # finished: a translation. best: the best translation or a beginning of it.
    state: NodeState
    behind: float  # dropped: by how many nats it missed the last place; 0 if it had one when the search stopped


class SearchTree:
    """Record of the beam search for a line; pass a new one to `LineTranslator.translations`.

    It contains all candidates that the search considered: at each step twice as many as the beam has places, but none
    that a rule forbade. A sampled translation leaves it empty; of a line translated in parts, it is of no use.
    """

    def __init__(self) -> None:
        self._nodes: list[TreeNode] = []
        self._beam: dict[int, int | None] = {0: None}  # node in each place of the beam
        self._num_steps = 0

    def add(self, step: SearchStep) -> None:
        """Add the candidates of the next step."""
        self._num_steps += 1
        num_places, beam = len(step.kept), dict[int, int | None]()
        kept = {i: place for place, i in enumerate(step.kept) if not step.ends[i] and step.log_probs[i] > -math.inf}
        worst = min((step.log_probs[i] for i in kept), default=-math.inf)
        for i, (log_prob, parent, piece, score, is_end) in enumerate(zip(*step[1:-1], strict=True)):
            if log_prob == -math.inf:
                continue
            node = TreeNode(
                len(self._nodes), self._beam.get(parent), self._num_steps, piece, log_prob, score, "kept", 0.0
            )
            if i in kept:
                beam[kept[i]] = node.id
            elif is_end and i < num_places:
                node = node._replace(state="finished")
            else:  # an end needs a place among all candidates, others need one among those that do not end
                last = step.log_probs[num_places - 1] if is_end else worst
                node = node._replace(state="dropped", behind=last - log_prob)
            self._nodes.append(node)
        self._beam = beam

    def nodes(self, best: Pieces) -> list[TreeNode]:
        """Return the nodes once the search has ended. best: pieces of the best translation, ending with `</s>`."""
        found = {(node.parent, node.piece): node.id for node in self._nodes}
        states: dict[int | None, NodeState] = dict.fromkeys(self._beam.values(), "dropped")
        parent = None
        for piece in best:
            parent = found[parent, piece]
            states[parent] = "best"
        return [node._replace(state=states.get(node.id, node.state)) for node in self._nodes]
