// The worker in which the page runs the engine. It answers one message at a time: {id, method: "open", blocks} or
// {id, method: "attention", body}; {cancel: id} is noticed between the steps of a search.

const models = new Map(); // name -> what openModel returns
let cancelled = 0; // the id of a request

/** Let the messages that wait be read; a timer would pause for 4 ms. */
function readMessages() {
  const { port1, port2 } = new MessageChannel();
  return new Promise((resolve) => [(port1.onmessage = resolve), port2.postMessage(null)]).then(() => port1.close());
}

const methods = {
  /** Open the models: {runs: [what is known about each], damaged: [positions of the blocks that are left out]}. */
  async open({ blocks }) {
    const opened = await Promise.allSettled(blocks.map(async (block) => openModel(await unpack(JSON.parse(block)))));
    for (const { value } of opened) if (value) models.set(value.about.name, value);
    return { runs: [...models.values()].map(({ about }) => about), damaged: [...opened.keys()].filter((i) => !opened[i].value) };
  },

  /** Answer the body of POST /attention. */
  attention: async ({ id, body }) => attentionAnswer(models.get(body.run), body, () => readMessages().then(() => cancelled === id)),
};

onmessage = async ({ data: { id, method, cancel, ...given } }) => {
  if (cancel) return (cancelled = cancel);
  const answer = await methods[method]({ id, ...given }).then((result) => ({ id, result }), ({ message, values }) => ({ id, message, values }));
  postMessage(answer, answer.result?.maps ? [answer.result.maps.numbers.buffer] : []);
};
