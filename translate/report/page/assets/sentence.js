// The sentence above the cards: its text, and the facts and warnings of the version that is shown.

/** Show a sentence, which may be missing, and a message, which may be empty. */
function showSentence(sentence, message) {
  element("title").textContent = sayAgain(document.title, "title_");
  element("message").textContent = message;
  element("message").hidden = !message;
  element("sentence").hidden = !sentence;
  element("tools").hidden = element("cards").hidden = !availableKinds().length;
  const position = shown.findIndex(({ id }) => id === state.id);
  element("place").textContent = sentence ? `${position < 0 ? "–" : (position + 1).toLocaleString(language)} / ${shown.length.toLocaleString(language)}` : "";
  if (!sentence) return;
  element("sentence").classList.toggle("long", sentence.source.length + sentence.translation.length > 260);
  element("source").previousElementSibling.textContent = opening.typed ? nameOfLanguage(opening.typed.source) : say("source");
  element("source").textContent = isBlank(sentence.source) ? say("empty_line") : sentence.source;
  const version = currentVersion();
  const isReference = versions.some(({ written }) => typeof written === "string"); // the maps are those of the reference
  element("translation-name").textContent = opening.typed ? nameOfLanguage(opening.typed.target) : say(isReference ? "reference" : "translation");
  element("translation").textContent = outputOf(sentence, version).translation || say("empty");
  element("written-name").hidden = element("written").hidden = typeof version?.written !== "string";
  element("written-name").textContent = isReference ? say("written", { label: labelOf(version) }) : "";
  element("written").textContent = version?.written || say("empty");
  element("facts").replaceChildren(...factsOf(sentence, version));
}

/** What holds the translation, score and warnings that belong to a version: the version itself, or its sentence. */
function outputOf(sentence, version) {
  return typeof version?.translation === "string" ? version : sentence;
}

function factsOf(sentence, version) {
  const { score, warnings } = outputOf(sentence, version);
  const entropy = version ? version.attention_entropy : sentence.attention_entropy;
  const fact = (text, title, className = "") => Object.assign(make("li", className), { textContent: text, title });
  const number = (value) => value.toFixed(2).replace("-", "−");
  const facts = opening.typed ? typedFacts(opening.typed, fact) : [fact(say("line", { number: sentence.id }), say("line_title"))];
  if (score !== null) facts.push(fact(say("score", { number: number(score) }), say("score_title")));
  for (const figure of version?.facts ?? []) facts.push(fact(sayAgain(figure, "fact_"), say("fact_title", { label: labelOf(version) })));
  if (entropy !== null) {
    const item = fact(say("entropy", { number: number(entropy) }), say("entropy_title"));
    const meter = make("span", "meter");
    meter.style.setProperty("--share", String(entropy));
    item.append(meter);
    facts.push(item);
  }
  if (version) {
    const { source, target } = version.pieces;
    facts.push(fact(say("piece_counts", { source: source.length, target: target.length }), say("piece_counts_title")));
  }
  return [...facts, ...warnings.map((warning) => fact(sayWarning(warning), say("warning"), "warning"))];
}

/** How a typed sentence was translated; see typedAs in live_saved.js. */
function typedFacts({ log_prob: logProb, beginning, seed }, fact) {
  const facts = [fact(say("probability", { number: share(Math.exp(logProb)) }), say("log_probability", { number: signed(logProb) }))];
  if (beginning) facts.push(fact(say("beginning", { text: beginning }), ""));
  return seed === null ? facts : [...facts, fact(say("sampled", { seed }), "")];
}

/** A warning in the reader's language, with heads named as the live page names them. */
function sayWarning(warning) {
  const said = sayAgain(warning, "warning_");
  const areHeads = warning.startsWith(STRINGS.en.warning_heads_off.split("{")[0]);
  return areHeads ? said.replace(/\b(encoder|decoder|self|cross)\.(\d+\.\d+)/g, (_, kind, head) => `${say(`kind_${kind}`)} ${head}`) : said;
}

function whyNoMaps({ source, warnings }) {
  if (isBlank(source)) return say("line_is_empty");
  return say(warnings.includes(STRINGS.en.warning_no_attention) ? "warning_no_attention" : "line_is_too_long");
}
