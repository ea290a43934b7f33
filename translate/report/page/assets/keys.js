// One key for each thing that one does often; the help panel lists them.

/** act: what each key does. Keys with Ctrl, Alt or Meta are the browser's, and what is typed into a field is text. */
function listenToKeys(act) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented) return;
    if (event.target.matches("input[type=search], select, textarea")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (document.querySelector("dialog[open]")) return;
    const name = event.key.length === 1 && event.shiftKey ? `Shift ${event.key.toLowerCase()}` : event.key.toLowerCase();
    const action = act[name] ?? act[event.key]; // signs such as ? and / lie elsewhere on every keyboard
    if (!action) return;
    event.preventDefault();
    action();
  });
}

/** The next of a round of values, forwards or backwards. */
function nextOf(values, value, step) {
  return values[(values.indexOf(value) + step + values.length) % values.length];
}
