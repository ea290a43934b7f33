// Keys and values of the pieces that the hypotheses have read. The counterpart of translate/model/kv_cache.py.

/** Keys and values (S, D) followed by new ones: (S + N, D). */
function followedBy(kv, added) {
  const join = (one, two) => {
    const joined = matrix(one.rows + two.rows, two.columns);
    joined.data.set(one.data);
    joined.data.set(two.data, one.data.length);
    return joined;
  };
  return { keys: join(kv.keys, added.keys), values: join(kv.values, added.values) };
}

/** All hypotheses share one cache with a slot per piece; `visible` lists the slots that belong to each hypothesis. */
class KeyValueCache {
  constructor(layers, visible) {
    Object.assign(this, { layers, visible }); // layers: keys and values of each layer, (M, D)
  }

  /** See Seq2Seq: hypothesis k continues hypothesis beams[k]. */
  reorder(beams) {
    return new KeyValueCache(this.layers, beams.map((beam) => this.visible[beam]));
  }

  /** The cache with a slot more for each hypothesis, which `append` fills layer by layer. */
  next() {
    const numSlots = this.layers[0].keys.rows;
    return new KeyValueCache([...this.layers], this.visible.map((slots, k) => [...slots, numSlots + k]));
  }

  append(layer, added) {
    return (this.layers[layer] = followedBy(this.layers[layer], added));
  }
}
