// The list of sentences, which can be searched, filtered and sorted. The document contains only the visible rows, so the list may be long.

const ROW_HEIGHT = 62; // pixels, as in the style sheet
const SPARE_ROWS = 6; // rows to draw above and below the visible rows

/** The sentences that match the search and filter, in the chosen order; those without a score or entropy come last. */
function chosenSentences(sentences, { query, sort, warnings }) {
  const wanted = plain(query).trim();
  const matching = sentences.filter((sentence) => {
    if (warnings !== "all" && (sentence.warnings.length > 0) !== (warnings === "with")) return false;
    return !wanted || plain(sentence.source).includes(wanted) || plain(sentence.translation).includes(wanted);
  });
  const keys = {
    line: (sentence) => sentence.id,
    score: (sentence) => sentence.score ?? Infinity,
    length: (sentence) => -[...sentence.source].length,
    entropy: (sentence) => -(sentence.attention_entropy ?? -Infinity),
  };
  return matching.sort((a, b) => keys[sort](a) - keys[sort](b) || a.id - b.id);
}

/** Normalize a text for comparison: lowercase, with composed accents. */
function plain(text) {
  return text.normalize("NFC").toLocaleLowerCase();
}

/** Create the list in the page. choose(id) is called when a row is clicked. Returns {update, reveal, toTop}. */
function createList(choose) {
  const [list, rows] = [document.getElementById("list"), document.getElementById("rows")];
  let shown = [];
  let state = null;
  let drawnRange = "";
  const drawRows = (always) => {
    const start = Math.max(0, Math.floor(list.scrollTop / ROW_HEIGHT) - SPARE_ROWS);
    const end = Math.min(shown.length, Math.ceil((list.scrollTop + list.clientHeight) / ROW_HEIGHT) + SPARE_ROWS);
    if (!always && drawnRange === `${start} ${end}`) return;
    drawnRange = `${start} ${end}`;
    rows.replaceChildren(...shown.slice(start, end).map((sentence, i) => rowOf(sentence, start + i, shown.length, state)));
  };
  list.addEventListener("scroll", () => drawRows(false), { passive: true });
  new ResizeObserver(() => drawRows(true)).observe(list);
  rows.addEventListener("click", (event) => {
    const row = event.target.closest(".row");
    if (row) choose(Number(row.dataset.id));
  });
  return {
    /** Show the given sentences in the given order. */
    update(sentences, newState, numAll) {
      [shown, state] = [sentences, newState];
      rows.style.height = `${shown.length * ROW_HEIGHT}px`;
      document.getElementById("count").textContent = describeCount(shown.length, numAll);
      list.setAttribute("aria-activedescendant", `row-${state.id}`);
      drawRows(true);
    },
    /** Scroll to the current sentence, or to the top if it is not in the list. */
    reveal() {
      const top = shown.findIndex((sentence) => sentence.id === state.id) * ROW_HEIGHT;
      const isAbove = top < list.scrollTop;
      if (isAbove || top + ROW_HEIGHT > list.scrollTop + list.clientHeight) {
        list.scrollTop = isAbove ? Math.max(0, top) : top + ROW_HEIGHT - list.clientHeight;
      }
      drawRows(true);
    },
    /** Scroll to the top, where the results of a search or sort begin. */
    toTop() {
      list.scrollTop = 0;
      drawRows(true);
    },
  };
}

function rowOf(sentence, position, count, state) {
  const row = make("div", "row");
  row.id = `row-${sentence.id}`;
  row.dataset.id = sentence.id;
  row.style.top = `${position * ROW_HEIGHT}px`;
  row.setAttribute("role", "option");
  row.setAttribute("aria-selected", String(sentence.id === state.id));
  row.setAttribute("aria-setsize", String(count));
  row.setAttribute("aria-posinset", String(position + 1));
  const line = (className, text) => Object.assign(make("span", className), { textContent: text, dir: "auto" });
  const marks = make("span", "marks");
  marks.append(line("number", String(sentence.id)));
  const figure = { score: sentence.score, entropy: sentence.attention_entropy }[state.sort] ?? null; // the value to sort by
  if (figure !== null) marks.append(Object.assign(line("figure", figure.toFixed(2).replace("-", "−")), { title: say(`sort_${state.sort}`) }));
  if (sentence.warnings.length) marks.append(Object.assign(line("warns", "⚠"), { title: sentence.warnings.map((warning) => sayAgain(warning, "warning_")).join("\n") }));
  row.append(marks, line("text", isBlank(sentence.source) ? say("empty_line") : sentence.source), line("text second", sentence.translation));
  return row;
}

function describeCount(numShown, numAll) {
  const all = numAll === 1 ? say("one_sentence") : say("many_sentences", { count: numAll.toLocaleString(language) });
  return numShown === numAll ? all : say("some_sentences", { shown: numShown.toLocaleString(language), all });
}
