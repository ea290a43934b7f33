// Visible text in the reader's language. The strings are in strings_en.json and strings_zh.json, and embedded in the page.

const STRINGS = JSON.parse(document.getElementById("strings").textContent); // {en: {key: text}, zh: {key: text}}
const PREFERRED = (navigator.languages ?? []).map((tag) => tag.slice(0, 2)).find((code) => code in STRINGS) ?? "en";
let language = "";

/** The text of a key, with the values filled in for {names}. */
function say(key, values = {}) {
  return STRINGS[language][key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** Translate text that `translate` wrote in English, such as a warning. family: what the keys of its templates begin with. */
function sayAgain(text, family) {
  for (const [key, template] of Object.entries(STRINGS.en)) {
    if (!key.startsWith(family)) continue;
    const fixed = template.split(/\{\w+\}/).map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
    const match = new RegExp(`^${fixed.join("(.*)")}$`, "s").exec(text);
    const names = [...template.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
    if (match) return say(key, Object.fromEntries(names.map((name, i) => [name, match[i + 1]])));
  }
  return text;
}

/** Write all fixed text of the page, which elements name by data-text, data-title, data-label or data-hint. */
function useLanguage(code) {
  if (code === language) return;
  language = code;
  document.documentElement.lang = say("lang");
  for (const each of document.querySelectorAll("[data-text]")) each.replaceChildren(...marked(say(each.dataset.text)));
  const attributes = { title: "title", label: "aria-label", hint: "placeholder" };
  for (const [name, attribute] of Object.entries(attributes)) {
    for (const each of document.querySelectorAll(`[data-${name}]`)) each.setAttribute(attribute, say(each.dataset[name]));
  }
}

/** Nodes for a text in which **bold** and `code` are marked. */
function marked(text) {
  return text.split(/\*\*(.+?)\*\*|`(.+?)`/).map((part, i) => {
    if (i % 3 === 0 || part === undefined) return part ?? "";
    return Object.assign(document.createElement(i % 3 === 1 ? "b" : "code"), { textContent: part });
  });
}
