// The translation as pieces that can be chosen, its figures, and what differs from another translation.

const MAX_COMPARED = 500; // words; longer texts are not compared
const wordsIn = new Intl.Segmenter(undefined, { granularity: "word" });
const sentencesIn = new Intl.Segmenter(undefined, { granularity: "sentence" });

const BYTE_PIECE = /^<0x([0-9A-F]{2})>$/;

/** What each piece adds to the text. Byte pieces add the character that they complete, as `_spell` in translate/data/pieces.py decodes them. */
function textsOf(pieces) {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  return pieces.map((piece, i) => {
    const byte = BYTE_PIECE.exec(piece)?.[1];
    if (!byte) return piece.replaceAll("▁", " ");
    return decoder.decode(Uint8Array.of(parseInt(byte, 16)), { stream: BYTE_PIECE.test(pieces[i + 1] ?? "") });
  });
}

/** Whether a text has several sentences. A name after a title or an initial, as in "Mr. Smith", does not begin one. */
function hasSeveral(text) {
  const said = [...sentencesIn.segment(text)].map(({ segment }) => segment).filter((each) => /[\p{L}\p{N}]/u.test(each));
  return said.slice(0, -1).some((each) => !/\b(Mrs?|Ms|Dr|Prof|St|Sr|Jr|\p{Lu})\.\s*$/u.test(each));
}

/** Draw the pieces of a translation as buttons. numForced: pieces of a forced prefix. choose(index, button) is called for a piece. */
function drawPieces(host, translation, numForced, choose) {
  const drawn = [translation, numForced, language];
  if (host.drawn?.every((each, i) => each === drawn[i])) return;
  host.drawn = drawn;
  const hadFocus = host.contains(document.activeElement) ? [...host.querySelectorAll(".piece")].indexOf(document.activeElement) : -1;
  const pieces = translation?.pieces ?? [];
  const texts = textsOf(pieces);
  const buttons = pieces.map((piece, i) => pieceButton(piece, texts[i], translation.log_probs[i], i < numForced));
  const spaced = buttons.flatMap((button, i) => (i && (pieces[i].startsWith("▁") || pieces[i] === "</s>") ? [" ", button] : [button]));
  host.replaceChildren(...(buttons.length ? spaced : [translation?.text ?? ""]));
  if (buttons.length) buttons[Math.max(0, Math.min(hadFocus, buttons.length - 1))].tabIndex = 0;
  if (hadFocus >= 0) host.querySelector("[tabindex='0']")?.focus();
  host.onclick = ({ target }) => buttons.includes(target) && choose(buttons.indexOf(target), target);
  host.onkeydown = (event) => {
    const at = buttons.indexOf(document.activeElement);
    if (at < 0) return;
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      return choose(at, buttons[at]);
    }
    const ahead = getComputedStyle(host).direction === "rtl" ? "ArrowLeft" : "ArrowRight";
    const steps = { Home: -at, End: buttons.length - 1 - at, ArrowLeft: ahead === "ArrowLeft" ? 1 : -1, ArrowRight: ahead === "ArrowRight" ? 1 : -1 };
    const next = buttons[at + steps[event.key]];
    if (!next || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    [buttons[at].tabIndex, next.tabIndex] = [-1, 0];
    next.focus();
  };
}

/** A piece as a button. It is an inline element, because letters of Arabic join only within a line of text. */
function pieceButton(piece, text, logProb, isForced) {
  const isEnd = piece === "</s>";
  const button = make("span", isEnd ? "piece end" : "piece");
  button.textContent = piece === "▁" ? piece : text.replace(/^ /, "") || "·"; // a dot: a byte of a character that follows
  button.setAttribute("role", "button");
  button.setAttribute("aria-haspopup", "dialog");
  button.tabIndex = -1;
  button.classList.toggle("forced", isForced);
  button.classList.toggle("start", isEnd || piece.startsWith("▁"));
  if (Number.isFinite(logProb)) {
    button.style.setProperty("--doubt", String(1 - Math.exp(logProb)));
    button.title = say(isForced ? "piece_forced" : "piece_title", { piece, probability: share(Math.exp(logProb)) });
  }
  return button;
}

/** Figures of a translation as list items: its probability, score, confidence, entropy and warnings. */
function figuresOf(answer, translation) {
  const item = (text, title, className = "") => Object.assign(make("li", className), { textContent: text, title });
  const items = [
    item(say("probability", { number: share(Math.exp(translation.log_prob)) }), say("log_probability", { number: signed(translation.log_prob) })),
    item(say("score", { number: signed(translation.score) }), say("score_title")),
  ];
  const { confidence } = answer;
  if (confidence && translation === answer.translations[0]) {
    items.push(item(say("confidence", { chance: share(confidence.chance) }), say("confidence_title", { chrf: confidence.chrf.toFixed(0) }), confidence.reasons.length ? "unsure" : ""));
  }
  const entropy = answer.versions.at(-1)?.attention_entropy ?? null;
  if (entropy !== null) items.push(item(say("entropy", { number: entropy.toFixed(2) }), say("entropy_title")));
  return [...items, ...answer.warnings.filter((warning) => warning !== STRINGS.en.warning_no_attention).map((warning) => item(sayAgain(warning, "warning_"), say("warning"), "warning"))];
}

/** Write a text, with the words marked that another text does not have at this place. */
function drawMarked(host, text, other) {
  const [words, others] = [text, other].map((each) => [...wordsIn.segment(each)].map(({ segment }) => segment));
  const differ = differing(words, others);
  host.replaceChildren(...words.map((word, i) => (differ.has(i) && !isBlank(word) ? Object.assign(make("mark", ""), { textContent: word }) : word)));
}

/** The indices of the words that are not in the longest common subsequence of both lists. */
function differing(words, others) {
  if (Math.max(words.length, others.length) > MAX_COMPARED) return new Set();
  const length = Array.from({ length: words.length + 1 }, () => new Uint16Array(others.length + 1));
  for (let i = words.length - 1; i >= 0; i--) {
    for (let j = others.length - 1; j >= 0; j--) {
      length[i][j] = words[i] === others[j] ? length[i + 1][j + 1] + 1 : Math.max(length[i + 1][j], length[i][j + 1]);
    }
  }
  const found = new Set();
  for (let i = 0, j = 0; i < words.length; ) {
    if (j < others.length && words[i] === others[j]) [i, j] = [i + 1, j + 1];
    else if (j < others.length && length[i][j + 1] >= length[i + 1][j]) j++;
    else found.add(i++);
  }
  return found;
}

/** Replace the children of `host`. A button that had the focus passes it to the one in its place. */
function fill(host, children) {
  const at = [...host.querySelectorAll("button")].indexOf(document.activeElement);
  host.replaceChildren(...children);
  if (at >= 0) [...host.querySelectorAll("button")].slice(0, at + 1).at(-1)?.focus({ preventScroll: true });
}
