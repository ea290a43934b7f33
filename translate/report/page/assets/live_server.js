// The engine of the page of `translate serve`: the server that the page came from.

const engine = {
  /** The runs: {runs: [description], max_characters}. */
  runs: async () => (await send("runs")).json(),

  /** Sentences of a run's validation text: [{source, reference}]. */
  examples: async (run) => (await (await send(`examples?run=${encodeURIComponent(run)}`)).json()).examples,

  /** Answer a request of POST /attention, with its maps decoded as `versions`. */
  async attention(body, signal) {
    const { maps, ...answer } = await (await send("attention", body, signal)).json();
    return { ...answer, versions: maps ? await decode(JSON.stringify(maps)) : [] };
  },

  /** The page of a request's sentence and its translation, as HTML. */
  page: async (body) => (await send("page", body)).text(),
};

/** Send a request; returns the response. Rejects with an Error whose message is for the user. */
async function send(path, body, signal) {
  const options = body && { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  let response;
  try {
    response = await fetch(path, { ...options, signal });
  } catch (error) {
    throw error.name === "AbortError" ? error : problem("no_server");
  }
  if (response.ok) return response;
  const { error } = await response.json().catch(() => ({}));
  const wait = [429, 503].includes(response.status) ? Number(response.headers.get("Retry-After")) || 1 : 0;
  throw Object.assign(typeof error === "string" ? new Error(error) : problem("server_failed", { status: response.status }), { wait });
}
