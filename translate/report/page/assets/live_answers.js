// Answers of the engine: the last ones are kept, and channels show the newest. What answers is in live_server.js.

const MAX_ANSWERS = 12; // answers that are kept with their decoded maps, so that going back is instant
const MAX_WAIT = 10; // seconds after which a busy engine is asked again, at most
const answers = new Map(); // request -> answer, most recently used last

/** Answer a request of POST /attention, with its maps decoded as `versions`. */
async function answerTo(body, signal) {
  const key = JSON.stringify(body);
  const answer = answers.get(key) ?? (await engine.attention(body, signal));
  answer.numForced = body.prefix?.length ?? 0;
  answer.isGiven = body.translation !== undefined;
  answers.delete(key);
  answers.set(key, answer);
  if (answers.size > MAX_ANSWERS) answers.delete(answers.keys().next().value);
  return answer;
}

/** What an error says to the user: in the reader's language, if its message is the key of a text. */
function messageOf({ message, values }) {
  return values ? say(message, values) : message;
}

/**
 * A channel shows the answer to the newest request: an older one in flight is superseded, and the last answer stays
 * until the next is there. show(): called after `answer`, `error` or `isBusy` has changed.
 */
function createChannel(show) {
  let [key, controller, timer] = ["", null, 0];
  const channel = {
    answer: null,
    error: null,
    isBusy: false,
    /** Ask for the answer to `body`; null: show none. */
    async ask(body) {
      const wanted = body ? JSON.stringify(body) : "";
      if (wanted === key) return;
      controller?.abort();
      clearTimeout(timer);
      [key, controller] = [wanted, new AbortController()];
      if (!body) return settle({ answer: null, error: null });
      const { signal } = controller;
      if (!answers.has(wanted)) Object.assign(channel, { isBusy: true });
      show();
      try {
        const answer = await answerTo(body, signal);
        if (!signal.aborted) settle({ answer, error: null });
      } catch (error) {
        if (signal.aborted) return;
        key = ""; // the same request may be sent again
        settle({ error });
        if (error.wait) timer = setTimeout(() => channel.ask(body), 1000 * Math.min(MAX_WAIT, error.wait));
      }
    },
  };
  const settle = (result) => {
    Object.assign(channel, result, { isBusy: false });
    show();
  };
  return channel;
}
