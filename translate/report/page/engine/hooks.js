// Record attention maps and mask heads. The counterpart of translate/model/hooks.py.

/** The names of all heads of a model, such as cross.1.0. */
function headsOf(model) {
  const ofModule = (name, { numHeads }) => Array.from({ length: numHeads }, (_, head) => `${name}.${head}`);
  const ofKind = ([kind, modules]) => modules.flatMap((module, layer) => ofModule(`${kind}.${layer}`, module));
  return Object.entries(model.attention).flatMap(ofKind);
}

/** Call `act` and return the maps of called layers: {kind: [{heads, rows, columns, weights: (H, rows, columns)}]}. */
function recording(model, act) {
  const modules = Object.values(model.attention).flat();
  for (const module of modules) module.recorded = [];
  try {
    act();
    const mapsOf = (layers) => layers.map(({ recorded, numHeads }) => stacked(recorded, numHeads));
    const called = ([, layers]) => layers[0].recorded.length > 0;
    const kinds = Object.entries(model.attention).filter(called);
    return Object.fromEntries(kinds.map(([kind, layers]) => [kind, mapsOf(layers)]));
  } finally {
    for (const module of modules) module.recorded = null;
  }
}

/** Mask these heads and no others: their outputs become zero (Michel et al. 2019, equation 2). */
function maskHeads(model, names) {
  for (const module of Object.values(model.attention).flat()) module.off.clear();
  for (const name of names) {
    const [kind, layer, head] = name.split(".");
    model.attention[kind][layer].off.add(Number(head));
  }
}

/** Concatenate the maps of several calls along their rows, padding the narrower ones with columns of zeros. */
function stacked(calls, heads) {
  if (calls.length === 1) return { heads, ...calls[0] };
  const rows = calls.reduce((sum, call) => sum + call.rows, 0);
  const columns = Math.max(...calls.map((call) => call.columns));
  const all = matrix(heads * rows, columns);
  let above = 0;
  for (const call of calls) {
    const map = matrix(heads * call.rows, call.columns, call.weights);
    for (let row = 0; row < map.rows; row++) {
      const head = Math.floor(row / call.rows);
      rowOf(all, head * rows + above + (row % call.rows)).set(rowOf(map, row));
    }
    above += call.rows;
  }
  return { heads, rows, columns, weights: all.data };
}
