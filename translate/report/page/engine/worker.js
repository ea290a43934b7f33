// The worker in which the page runs the engine. It answers one message at a time: {id, method: "open", blocks} or
// {id, method: "attention", body}; {cancel: id} is noticed between the steps of a search.

const unpacked = new Map(); // name of a model -> its bytes
const opened = Object.create(null); // the models that have been used, by name
let cancelled = 0; // the id of a request

const methods = {
  /** Check the blocks of all models; return what is known about each, or null if it is damaged. */
  async open({ blocks }) {
    const checked = await Promise.allSettled(blocks.map(async (block) => unpack(JSON.parse(block))));
    const abouts = checked.map(({ value: bytes }) => (bytes ? readTensors(bytes).about : null));
    abouts.forEach((about, i) => about && unpacked.set(about.name, checked[i].value));
    return abouts;
  },
  async attention({ id, body }) {
    const model = (opened[body.run] ??= openModel(unpacked.get(body.run)));
    return attentionAnswer(model, body, () => isCancelled(id));
  },
};

/** Whether a request has been cancelled, after reading the messages that wait. A timer would pause for 4 ms. */
function isCancelled(id) {
  const { port1, port2 } = new MessageChannel();
  port2.postMessage(null);
  return new Promise((resolve) => (port1.onmessage = () => [port1.close(), resolve(cancelled === id)]));
}

onmessage = async ({ data: { id, method, cancel, ...given } }) => {
  if (cancel) return (cancelled = cancel);
  const said = ({ message, values }) => ({ id, message, values });
  const answer = await methods[method]({ id, ...given }).then((result) => ({ id, result }), said);
  postMessage(answer, answer.result?.maps ? [answer.result.maps.numbers.buffer] : []);
};
