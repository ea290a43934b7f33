// Requests to the server that this page came from.

const MAX_ANSWERS = 12; // answers that are kept with their decoded maps, so that going back is instant
const MAX_WAIT = 10; // seconds after which a busy server is asked again, at most
const answers = new Map(); // request -> answer, most recently used last

/** Send a request; returns the response. Rejects with an Error whose message is for the user. */
async function send(path, body, signal) {
  const options = body && { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  let response;
  try {
    response = await fetch(path, { ...options, signal });
  } catch (error) {
    throw error.name === "AbortError" ? error : new Error(say("no_server"));
  }
  if (response.ok) return response;
  const { error } = await response.json().catch(() => ({}));
  const wait = [429, 503].includes(response.status) ? Number(response.headers.get("Retry-After")) || 1 : 0;
  throw Object.assign(new Error(typeof error === "string" ? error : say("server_failed", { status: response.status })), { wait });
}

/** Answer a request of POST /attention, with its maps decoded as `versions`. */
async function answerTo(body, signal) {
  const key = JSON.stringify(body);
  const answer = answers.get(key) ?? (await (await send("attention", body, signal)).json());
  answer.versions ??= answer.maps ? await decode(JSON.stringify(answer.maps)) : [];
  answer.numForced = body.prefix?.length ?? 0;
  delete answer.maps;
  answers.delete(key);
  answers.set(key, answer);
  if (answers.size > MAX_ANSWERS) answers.delete(answers.keys().next().value);
  return answer;
}

/**
 * A channel shows the answer to the newest request: an older one in flight is superseded, and the last answer stays
 * until the next is there. show(): called after `answer`, `error` or `isBusy` has changed.
 */
function createChannel(show) {
  let [key, controller, timer] = ["", null, 0];
  const channel = {
    answer: null,
    error: "",
    isBusy: false,
    /** Ask for the answer to `body`; null: show none. */
    async ask(body) {
      const wanted = body ? JSON.stringify(body) : "";
      if (wanted === key) return;
      controller?.abort();
      clearTimeout(timer);
      [key, controller] = [wanted, new AbortController()];
      if (!body) return settle({ answer: null, error: "" });
      const { signal } = controller;
      if (!answers.has(wanted)) Object.assign(channel, { isBusy: true });
      show();
      try {
        const answer = await answerTo(body, signal);
        if (!signal.aborted) settle({ answer, error: "" });
      } catch (error) {
        if (signal.aborted) return;
        key = ""; // the same request may be sent again
        settle({ error: error.values ? say(error.message, error.values) : error.message });
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
