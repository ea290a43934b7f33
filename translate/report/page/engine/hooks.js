// Record attention maps and switch heads off. The counterpart of translate/model/hooks.py.

/** Call `act` and return the maps of all its passes: {kind: [{rows, columns, weights: (H, rows, columns)} of each layer]}. */
function recording(model, act) {
  const each = (change) => Object.values(model.attention).flat().forEach(change);
  each((module) => (module.recorded = []));
  try {
    act();
    const stackedOf = ([kind, modules]) => [kind, modules.map(({ recorded, numHeads }) => stacked(recorded, numHeads))];
    return Object.fromEntries(Object.entries(model.attention).map(stackedOf));
  } finally {
    each((module) => (module.recorded = null));
  }
}

/** Mask these heads, such as cross.1.0, and no others: their outputs become zero. */
function switchOff(model, names) {
  for (const [kind, modules] of Object.entries(model.attention)) {
    modules.forEach((module, layer) => {
      module.off = new Set([...Array(module.numHeads).keys()].filter((head) => names.includes(`${kind}.${layer}.${head}`)));
    });
  }
}

/** Concatenate the maps of several calls along their rows, padding the narrower ones with columns of zeros. */
function stacked(calls, numHeads) {
  if (calls.length === 1) return calls[0];
  const rows = calls.reduce((sum, call) => sum + call.rows, 0);
  const columns = Math.max(...calls.map((call) => call.columns));
  const weights = new Float32Array(numHeads * rows * columns);
  let above = 0;
  for (const call of calls) {
    for (let row = 0; row < numHeads * call.rows; row++) {
      const [head, t] = [Math.floor(row / call.rows), row % call.rows];
      const numbers = call.weights.subarray(row * call.columns, (row + 1) * call.columns);
      weights.set(numbers, (head * rows + above + t) * columns);
    }
    above += call.rows;
  }
  return { rows, columns, weights };
}
