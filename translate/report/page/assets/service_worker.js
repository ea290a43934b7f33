// The service worker of an exported folder: the page opens without a network after the first visit.
// Before this text, the export writes FILES: the path of each file in the folder -> its SHA-256.

const SCOPE = registration.scope;
const COPY = `translate ${SCOPE} `; // other folders of the same host keep their own copies
const NAME = COPY + JSON.stringify(FILES); // another export has other files, so this text and the copy are new
const urlOf = (path) => new URL(path, SCOPE).href;

/** Copy all files. If one is not that of this export, such as during an upload, the previous copy remains. */
async function copyFiles() {
  const cache = await caches.open(NAME);
  await cache.addAll(
    Object.entries(FILES).map(([path, integrity]) => new Request(urlOf(path), { cache: "reload", integrity })),
  );
  await skipWaiting();
}

async function deleteOldCopies() {
  const names = await caches.keys();
  await Promise.all(names.filter((name) => name.startsWith(COPY) && name !== NAME).map((name) => caches.delete(name)));
  await clients.claim();
}

addEventListener("install", (event) => event.waitUntil(copyFiles()));
addEventListener("activate", (event) => event.waitUntil(deleteOldCopies()));

/** Answer with the copy; what is not of this folder goes to the network, as without a service worker. */
addEventListener("fetch", (event) => {
  const { origin, pathname } = new URL(event.request.url);
  const url = (origin + pathname).replace(/(?<=\/)index\.html$/, "");
  if (event.request.method !== "GET" || !Object.keys(FILES).some((path) => urlOf(path) === url)) return;
  event.respondWith((async () => (await (await caches.open(NAME)).match(url)) ?? fetch(event.request))());
});
