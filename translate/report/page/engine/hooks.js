// Record attention maps and switch heads off. The counterpart of translate/model/hooks.py.

/** Call `act` and return the maps of all its passes: {kind: [the calls of each layer's module]}. */
function recording(model, act) {
  const each = (change) => Object.values(model.attention).flat().forEach(change);
  each((module) => (module.recorded = []));
  try {
    act();
    const callsOf = ([kind, modules]) => [kind, modules.map((module) => module.recorded)];
    return Object.fromEntries(Object.entries(model.attention).map(callsOf));
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
