// The worker in which the page runs the engine. It answers one message at a time: {id, method: "open", blocks} or
// {id, method: "attention", body}; {cancel: id} is noticed between the steps of a search.

const models = new Map(); // name -> {about, open: function that returns the model}
let cancelled = 0; // the id of a request

/** Check the block of a model. The model is opened when it is first used. */
async function modelOf(block) {
  const bytes = await unpack(JSON.parse(block));
  let opened = null;
  return { about: readTensors(bytes).about, open: () => (opened ??= openModel(bytes)) };
}

/** Whether a request has been cancelled, after reading the messages that wait. A timer would pause for 4 ms. */
function isCancelled(id) {
  const { port1, port2 } = new MessageChannel();
  return new Promise((resolve) => [(port1.onmessage = () => resolve(cancelled === id)), port2.postMessage(null)]).finally(() => port1.close());
}

const methods = {
  /** Open the models: {runs: [what is known about each], damaged: [positions of the blocks that are left out]}. */
  async open({ blocks }) {
    const read = await Promise.allSettled(blocks.map(modelOf));
    for (const { value } of read) if (value) models.set(value.about.name, value);
    return { runs: [...models.values()].map(({ about }) => about), damaged: [...read.keys()].filter((i) => !read[i].value) };
  },

  attention: async ({ id, body }) => attentionAnswer(models.get(body.run).open(), body, () => isCancelled(id)),
};

onmessage = async ({ data: { id, method, cancel, ...given } }) => {
  if (cancel) return (cancelled = cancel);
  const answer = await methods[method]({ id, ...given }).then((result) => ({ id, result }), ({ message, values }) => ({ id, message, values }));
  postMessage(answer, answer.result?.maps ? [answer.result.maps.numbers.buffer] : []);
};
