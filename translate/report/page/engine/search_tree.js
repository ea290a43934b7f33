// The tree of a beam search: the hypotheses of one sentence that it kept, dropped and finished. The counterpart of
// translate/decoding/search_tree.py, where TreeNode explains the fields of a node.

class SearchTree {
  constructor() {
    Object.assign(this, { added: [], beam: [null], numSteps: 0 }); // beam: node in each place of the beam
  }

  /** Add the candidates of the next step. */
  add({ logProbs, beam, piece, scores, ends, kept }) {
    const [next, step] = [[], ++this.numSteps];
    const worst = Math.min(...kept.filter((i) => !ends[i] && logProbs[i] > -Infinity).map((i) => logProbs[i]));
    logProbs.forEach((logProb, i) => {
      if (logProb === -Infinity) return;
      const [id, parent, place] = [this.added.length, this.beam[beam[i]], kept.indexOf(i)];
      const node = { id, parent, step, piece: piece[i], log_prob: logProb, score: scores[i], state: "kept", behind: 0 };
      if (place >= 0 && !ends[i]) next[place] = id;
      else if (ends[i] && i < kept.length) node.state = "finished";
      // An end needs a place among all candidates, others need one among those that do not end.
      else Object.assign(node, { state: "dropped", behind: (ends[i] ? logProbs[kept.length - 1] : worst) - logProb });
      this.added.push(node);
    });
    this.beam = next;
  }

  /** The nodes once the search has ended. best: pieces of the best translation, ending with `</s>`. */
  nodes(best) {
    const nodes = this.added.map((node) => ({ ...node, state: this.beam.includes(node.id) ? "dropped" : node.state }));
    best.reduce((parent, piece) => {
      const node = nodes.find((each) => each.parent === parent && each.piece === piece);
      node.state = "best";
      return node.id;
    }, null);
    return nodes;
  }
}
