// Keys and values of the pieces that the hypotheses have read. The counterpart of translate/model/kv_cache.py.

/** Keys and values (S, D) followed by new ones: each (S + N, D). */
function followedBy(kv, added) {
  const join = (one, two) => {
    const both = matrix(one.rows + two.rows, two.columns);
    both.data.set(one.data);
    both.data.set(two.data, one.data.length);
    return both;
  };
  return { keys: join(kv.keys, added.keys), values: join(kv.values, added.values) };
}

/** All hypotheses share one cache with a slot per piece; `visible` lists the slots that belong to each hypothesis. */
class KeyValueCache {
  /** layers: keys and values of each layer, each (M, D). visible: K lists of slots. */
  constructor(layers, visible) {
    this.layers = layers;
    this.visible = visible;
  }

  /** The cache in which hypothesis k continues hypothesis beams[k]. */
  reorder(beams) {
    return new KeyValueCache(this.layers, beams.map((beam) => this.visible[beam]));
  }

  /** The cache with one more slot for each hypothesis, which `append` fills layer by layer. */
  next() {
    const numSlots = this.layers[0].keys.rows;
    return new KeyValueCache([...this.layers], this.visible.map((slots, k) => [...slots, numSlots + k]));
  }

  /** Append K keys and values to a layer, and return all of them. */
  append(layer, added) {
    this.layers[layer] = followedBy(this.layers[layer], added);
    return this.layers[layer];
  }
}
