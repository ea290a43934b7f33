// Play the versions one after another, such as the steps of a training.

const MILLISECONDS_PER_VERSION = 800;
const prefersStill = matchMedia("(prefers-reduced-motion: reduce)");
let player = 0; // timer; 0 while nothing plays

/** Play until the last version, from the first if the last is shown; or stop. With reduced motion, show the next version only. */
function togglePlay() {
  if (player) return stopPlaying();
  if (versions.length < 3) return; // two have a switch
  player = prefersStill.matches ? 0 : setInterval(playNext, MILLISECONDS_PER_VERSION);
  playNext();
}

function playNext() {
  chooseVersion(nextOf(versions, currentVersion(), 1));
  if (currentVersion() === versions.at(-1)) stopPlaying();
  showPlaying();
}

function stopPlaying() {
  clearInterval(player);
  player = 0;
  showPlaying();
}

function showPlaying() {
  element("play").textContent = player ? "❚❚" : "▶";
  element("play").setAttribute("aria-pressed", String(player !== 0));
}
