// The page without reload. The server says that the log has grown; every element with `data-live` and an id is then
// replaced by its namesake of the same page, fetched again (or of the address that `data-live` names).
// What a person is doing is left alone: focus, open <details>, scrolled boxes, and forms that are being filled in.
"use strict";

const PAUSE = 1000; // milliseconds between two fetches of one address, however fast the log grows
const waiting = new Map(); // address -> timer
let stale = false; // whether something happened while nobody looked
let spared = false; // whether a box was left as it was, because a person was at work in it

// Whether a person is at work in a box: writing, half through a form, or marking text.
function busy(box) {
  const active = document.activeElement;
  const marked = getSelection();
  const fields = [...box.querySelectorAll("input:not([type=hidden]), textarea")];
  return fields.some((field) => field === active || field.value !== field.defaultValue)
    || (!marked.isCollapsed && box.contains(marked.anchorNode));
}

// What a person has opened or scrolled inside a box, by id.
function keep(old, fresh) {
  const inside = (id) => fresh.querySelector(`#${CSS.escape(id)}`);
  for (const details of old.querySelectorAll("details[id]")) {
    const again = inside(details.id);
    if (again) again.open = details.open;
  }
  const scrolled = [old, ...old.querySelectorAll("[id]")].filter((box) => box.scrollLeft || box.scrollTop);
  const places = scrolled.map((box) => [box.id, box.scrollLeft, box.scrollTop]);
  return () => places.forEach(([id, left, top]) => document.getElementById(id)?.scrollTo(left, top));
}

// What an element is called in the old box and in the new one; a <summary> by its <details>.
function name(element) {
  if (element.id) return `#${CSS.escape(element.id)}`;
  return element.matches("details[id] > summary") ? `${name(element.parentElement)} > summary` : "";
}

function swap(old, fresh) {
  if (old.innerHTML === fresh.innerHTML) return;
  if (busy(old)) { spared = true; return; }
  const scroll = keep(old, fresh);
  const focused = old.contains(document.activeElement) && name(document.activeElement);
  old.replaceWith(fresh);
  scroll();
  if (focused) document.querySelector(focused)?.focus({ preventScroll: true });
}

async function refresh(address) {
  const response = await fetch(address, { headers: { Accept: "text/html" } });
  if (response.redirected && new URL(response.url).pathname === "/login") location.reload();
  if (!response.ok) return;
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  for (const old of document.querySelectorAll("[data-live][id]")) {
    if ((old.dataset.live || location.href) !== address) continue;
    const fresh = page.getElementById(old.id);
    if (fresh) swap(old, document.adoptNode(fresh));
  }
}

function grown() {
  if (document.hidden) { stale = true; return; }
  const addresses = [...document.querySelectorAll("[data-live][id]")].map((box) => box.dataset.live || location.href);
  for (const address of new Set(addresses)) {
    if (waiting.has(address)) continue;
    waiting.set(address, setTimeout(() => {
      waiting.delete(address);
      refresh(address).catch(() => grown());
    }, PAUSE));
  }
}

function say(words) {
  const state = document.getElementById("live-state");
  if (state && state.textContent !== words) state.textContent = words;
}

function follow() {
  const source = new EventSource(`/live?after=${document.body.dataset.head}`);
  source.addEventListener("open", () => say("live"));
  source.addEventListener("error", () => say("connection lost, trying again"));
  source.addEventListener("appended", grown);
}

// Whoever is done with a box sees in it what has happened meanwhile.
for (const done of ["focusout", "selectionchange"]) {
  document.addEventListener(done, () => {
    if (spared) { spared = false; grown(); }
  });
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden && stale) { stale = false; grown(); }
});

document.getElementById("theme")?.addEventListener("click", () => {
  const dark = getComputedStyle(document.documentElement).colorScheme === "dark";
  document.documentElement.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("theme", document.documentElement.dataset.theme);
});

// What changes without an event, such as a running job's loss, says how often to look again.
for (const box of document.querySelectorAll("[data-live][data-seconds]")) setInterval(grown, 1000 * box.dataset.seconds);
if (document.querySelector("[data-live]")) follow();
