// The page of a sentence, its translation and its maps, which opens without the model. The counterpart of page_answer in
// translate/serve/live.py: the frame of such a page is in this page, compressed.

const SAVED_TITLE = "&lt;!-- title --&gt;"; // where the frame has its title and its sentences
const SAVED_SENTENCES = "\u003c!-- sentences -->"; // written so that it cannot become markup in this page

/** Return the page as HTML. body: of the request that was answered. */
async function savedPage({ run, without }, answer) {
  const { maps, source, warnings, versions } = answer;
  const { text: translation, score } = answer.translations[0];
  const off = without.length ? [STRINGS.en.warning_heads_off.replace("{heads}", without.join(", "))] : []; // as the server says it
  const entropy = versions.at(-1)?.attention_entropy ?? null;
  const entry = { id: 1, source, translation, score, warnings: [...warnings, ...off], attention_entropy: entropy, maps: maps && "here" };
  const block = (attribute, content) => `\u003cscript type="application/json" ${attribute}>${inert(content)}\u003c/script>\n`;
  const packed = maps && { versions: maps.versions, weights: await packedWeights(maps.numbers) };
  const blocks = block('class="sentence"', entry) + (packed ? block('id="maps-1"', packed) : "");
  const frame = await inflated(element("saved-page").textContent).text();
  return frame.split(SAVED_TITLE).join(escaped(run)).split(SAVED_SENTENCES).join(blocks);
}

/** Compress 16-bit numbers in base64, as `inflate` reads them. */
async function packedWeights(numbers) {
  const planes = new Uint8Array(2 * numbers.length);
  numbers.forEach((number, i) => {
    planes[i] = number >> 8;
    planes[numbers.length + i] = number & 255;
  });
  const stream = new Blob([planes]).stream().pipeThrough(new CompressionStream("deflate"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}
