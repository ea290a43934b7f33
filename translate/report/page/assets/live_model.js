// The engine of a page that holds its models: a worker runs engine/*.js on them. Nothing leaves the page.

const MAX_CHARACTERS = 5000; // as on the server
const NEEDED = ["Worker", "DecompressionStream", "CompressionStream", "Response"].filter((name) => !(name in globalThis));
const waiting = []; // requests that the worker does not have yet: {message, resolve, reject}
let answering = null; // the request that it has
let worker = null;
let numSent = 0;
let opened = []; // descriptions of the models that are not damaged

const engine = {
  /** Start the worker and open the models. Damaged ones are left out. */
  async runs() {
    if (NEEDED.length) throw problem("browser_lacks", { names: NEEDED.join(", ") });
    if (!(await isWhole(element("engine")))) throw problem("engine_failed"); // it could translate nonsense
    try {
      worker = startWorker();
    } catch {
      throw problem("engine_failed"); // where the page is shown, workers are forbidden
    }
    const blocks = ABOUT.models.map((_, i) => element(`model-${i}`)?.textContent ?? "");
    const abouts = await request({ method: "open", blocks });
    opened = abouts.filter(Boolean);
    if (!opened.length) throw problem("no_model_is_whole");
    markDamaged([...abouts.keys()].filter((i) => !abouts[i]).map((i) => ({ position: i, isMissing: !blocks[i] })));
    return { runs: opened, max_characters: MAX_CHARACTERS };
  },

  examples: async (run) => opened.find(({ name }) => name === run).examples,

  async attention(body, signal) {
    const count = Math.max(body.q.length, body.translation?.length ?? 0); // a link may have any
    if (count > MAX_CHARACTERS) throw problem("too_many_characters", { count, limit: MAX_CHARACTERS });
    const { maps, ...answer } = await request({ method: "attention", body }, signal);
    return { ...answer, maps, versions: maps ? readVersions(maps.versions, maps.numbers) : [] };
  },

  page: async (body) => savedPage(body, await answerTo(body)),
};

/** Whether an element is there and has its SHA-256, as far as the browser says: pages from plain http have no crypto.subtle. */
async function isWhole(code) {
  const digest = await globalThis.crypto?.subtle?.digest("SHA-256", new TextEncoder().encode(code?.textContent));
  const hex = digest && [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return Boolean(code) && (!digest || hex === code.dataset.sha256);
}

function startWorker() {
  const code = new Blob([element("engine")?.textContent ?? "throw 0"], { type: "text/javascript" });
  const started = new Worker(URL.createObjectURL(code));
  started.onmessage = ({ data: { id, result, message, values } }) => {
    if (id !== answering?.message.id) return;
    if (result) answering.resolve(result);
    else answering.reject(Object.assign(new Error(message), { values }));
    answering = null;
    sendNext();
  };
  started.onerror = () => {
    for (const { reject } of [answering, ...waiting].filter(Boolean)) reject(problem("engine_failed"));
    waiting.length = 0;
    answering = null;
  };
  return started;
}

/** Ask the worker, which has one request at a time. It never gets those that are aborted before, and cancels the one it has. */
function request(message, signal) {
  return new Promise((resolve, reject) => {
    const entry = { message: { id: ++numSent, ...message }, resolve, reject };
    signal?.addEventListener("abort", () => {
      if (answering === entry) worker.postMessage({ cancel: entry.message.id });
      else if (waiting.includes(entry)) waiting.splice(waiting.indexOf(entry), 1);
      reject(signal.reason);
    });
    waiting.push(entry);
    sendNext();
  });
}

function sendNext() {
  if (answering || !waiting.length) return;
  answering = waiting.shift();
  worker.postMessage(answering.message);
}
