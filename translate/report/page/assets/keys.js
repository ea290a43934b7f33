// Keyboard shortcuts; the help panel lists them.

/** Call the function in `actions` for each key pressed. Keys typed into input fields and keys with Ctrl, Alt or Meta are ignored. */
function listenToKeys(actions) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented) return;
    if (event.target.matches("input[type=search], input[type=number], select, textarea")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (document.querySelector("dialog[open]")) return;
    const name = event.key.length === 1 && event.shiftKey ? `Shift ${event.key.toLowerCase()}` : event.key.toLowerCase();
    const action = actions[name] ?? actions[event.key]; // whether ? and / need Shift depends on the keyboard layout
    if (!action) return;
    event.preventDefault();
    action();
  });
}

/** The next value in a cycle, forwards (step 1) or backwards (step -1). */
function nextOf(values, value, step) {
  return values[(values.indexOf(value) + step + values.length) % values.length];
}
