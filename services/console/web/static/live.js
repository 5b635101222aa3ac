// Updates the page without a reload. When the log has grown, the page (or the address in `data-live`) is fetched again, and
// every element with `data-live` and an id is replaced by the new element with this id. Focus, open <details>, scroll
// positions, selected text and half-filled forms are kept.
"use strict";

const PAUSE = 1000; // milliseconds between two fetches of one address, however fast the log grows
const waiting = new Map(); // address -> timer
let stale = false; // whether the log has grown while the page was hidden
let skipped = false; // whether a box was not updated because a person was using it

// Whether a person is using a box: typing, filling in a form, or selecting text.
function busy(box) {
  const active = document.activeElement;
  const selection = getSelection();
  const fields = [...box.querySelectorAll("input:not([type=hidden]), textarea")];
  return fields.some((field) => field === active || field.value !== field.defaultValue)
    || (!selection.isCollapsed && box.contains(selection.anchorNode));
}

// Copies open <details> to the new box; returns a function that restores the scroll positions.
function keepState(old, fresh) {
  const inside = (id) => fresh.querySelector(`#${CSS.escape(id)}`);
  for (const details of old.querySelectorAll("details[id]")) {
    const again = inside(details.id);
    if (again) again.open = details.open;
  }
  const scrolled = [old, ...old.querySelectorAll("[id]")].filter((box) => box.scrollLeft || box.scrollTop);
  const places = scrolled.map((box) => [box.id, box.scrollLeft, box.scrollTop]);
  return () => places.forEach(([id, left, top]) => document.getElementById(id)?.scrollTo(left, top));
}

// A selector that finds an element in the old box and in the new one; a <summary> by its <details>.
function selector(element) {
  if (element.id) return `#${CSS.escape(element.id)}`;
  return element.matches("details[id] > summary") ? `${selector(element.parentElement)} > summary` : "";
}

function swap(old, fresh) {
  if (old.innerHTML === fresh.innerHTML) return;
  if (busy(old)) { skipped = true; return; }
  const scroll = keepState(old, fresh);
  const focused = old.contains(document.activeElement) && selector(document.activeElement);
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

function showState(words) {
  const state = document.getElementById("live-state");
  if (state && state.textContent !== words) state.textContent = words;
}

function follow() {
  const source = new EventSource(`/live?after=${document.body.dataset.head}`);
  source.addEventListener("open", () => showState("live"));
  source.addEventListener("error", () => showState("connection lost, reconnecting"));
  source.addEventListener("appended", grown);
}

// When a person leaves a box, update it.
for (const done of ["focusout", "selectionchange"]) {
  document.addEventListener(done, () => {
    if (skipped) { skipped = false; grown(); }
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

// Some boxes change without an event, such as a running job's loss: `data-seconds` is their refresh interval.
for (const box of document.querySelectorAll("[data-live][data-seconds]")) setInterval(grown, 1000 * box.dataset.seconds);
if (document.querySelector("[data-live]")) follow();
