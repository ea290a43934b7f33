// The first line of a page that holds its models: how large it is, what it was trained on, who made it. It opens to details.

const ABOUT = JSON.parse(element("about-data").textContent); // see PageAbout in model_page.py
const ROUGH = { notation: "compact", compactDisplay: "long", maximumSignificantDigits: 3 }; // 2.9 million
let aboutIn = ""; // language
let damage = []; // of the models that are left out: {position, isMissing}

element("loading").remove();
element("about").hidden = false;
element("help-title").after(make("p", ""));
element("help-title").nextElementSibling.dataset.text = "about_private";
afterCards.push(() => aboutIn === language || showAbout());

function markDamaged(found) {
  damage = found;
  element("about-damage").hidden = !found.length;
  showAbout();
}

/** Write the line and the details in the reader's language. */
function showAbout() {
  aboutIn = language;
  const { models, note, date, bytes } = ABOUT;
  const size = say("about_size", { number: inWords(bytes / 1e6, { maximumFractionDigits: 1 }) });
  const figures = models.length === 1 ? figuresOfModel(models[0], ROUGH) : [say("about_models", { count: models.length })];
  const short = make("span", "");
  short.append(...(note ? [" · ", bidi(note)] : []));
  element("about-line").replaceChildren(...joined([figures[0], size, ...figures.slice(1)]), short);
  element("about-models").replaceChildren(...models.map((model, i) => {
    const item = make("li", damage.some(({ position }) => position === i) ? "damaged" : "");
    const texts = make("span", "");
    texts.append(say("about_texts"), ...joined(model.texts.map(bidi), say("comma")));
    const from = [...(model.texts.length ? [texts] : []), ...(model.date ? [say("about_trained", { date: dated(model.date) })] : [])];
    item.append(...joined([bidi(model.name), languagesOf(model), architectureOf(model), ...figuresOfModel(model, {}), ...from, say("about_precision", { name: model.precision })]));
    return item;
  }));
  element("about-note").textContent = note;
  element("about-date").textContent = date ? say("about_date", { date: dated(date) }) : "";
  element("about-damage").replaceChildren(...damage.map(({ position, isMissing }) => {
    const name = `\u2068${models[position].name}\u2069`;
    return Object.assign(make("li", ""), { textContent: say(isMissing ? "model_is_missing" : "model_is_damaged", { name }) });
  }));
}

function languagesOf({ source, target }) {
  return `${nameOfLanguage(source)} → ${nameOfLanguage(target)}`;
}

/** The number of parameters and of training pairs. format: options of Intl.NumberFormat. */
function figuresOfModel({ num_parameters: parameters, num_pairs: pairs }, format) {
  const figures = [say("about_parameters", { number: inWords(parameters, format) })];
  return pairs === null ? figures : [...figures, say("about_pairs", { number: inWords(pairs, format) })];
}

function inWords(number, format) {
  return new Intl.NumberFormat(say("lang"), format).format(number);
}

/** "2026-11-29" in the reader's language. */
function dated(day) {
  return new Intl.DateTimeFormat(say("lang"), { dateStyle: "medium", timeZone: "UTC" }).format(new Date(day));
}

/** A text of unknown language and direction. */
function bidi(text) {
  return Object.assign(make("bdi", ""), { textContent: text, lang: "" });
}

/** Put a separator between parts, which are texts and elements. */
function joined(parts, separator = " · ") {
  return parts.flatMap((part, i) => (i ? [separator, part] : [part]));
}
