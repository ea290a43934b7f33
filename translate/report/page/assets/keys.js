// Keyboard shortcuts; the help panel lists them.

/** actions: what each key does. Keys with Ctrl, Alt or Meta belong to the browser, and fields keep their text. */
function listenToKeys(actions) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented) return;
    if (event.target.matches("input[type=search], select, textarea")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (document.querySelector("dialog[open]")) return;
    const name = event.key.length === 1 && event.shiftKey ? `Shift ${event.key.toLowerCase()}` : event.key.toLowerCase();
    const action = actions[name] ?? actions[event.key]; // whether ? and / need Shift depends on the keyboard
    if (!action) return;
    event.preventDefault();
    action();
  });
}

/** The next value of a cycle, forwards or backwards. */
function nextOf(values, value, step) {
  return values[(values.indexOf(value) + step + values.length) % values.length];
}
