// Forms that ask something: the answer comes into the element that `data-into` names, without leaving the page.
"use strict";

async function ask(form) {
  const into = document.getElementById(form.dataset.into);
  form.asked?.abort();
  const asked = form.asked = new AbortController();
  into.setAttribute("aria-busy", "true");
  into.textContent = "Computing …";
  try {
    const fields = new URLSearchParams(new FormData(form));
    const response = await fetch(`${form.action}?${fields}`, { headers: { "X-Part": "yes" }, signal: asked.signal });
    if (response.redirected) { location.reload(); return; }
    into.innerHTML = await response.text(); // the server's own page, where everything is escaped
  } catch (error) {
    if (asked.signal.aborted) return;
    into.textContent = "No answer came; try again.";
  }
  into.removeAttribute("aria-busy");
}

function spell(slider) {
  const value = Number((10 ** Number(slider.value)).toPrecision(3)).toLocaleString("en");
  slider.setAttribute("aria-valuetext", `${value} to 1`);
  slider.form.querySelector("output").textContent = `${value} to 1`;
}

for (const form of document.querySelectorAll("form[data-into]")) {
  form.addEventListener("submit", (event) => { event.preventDefault(); ask(form); });
  for (const slider of form.querySelectorAll("input[type=range]")) {
    spell(slider);
    slider.addEventListener("input", () => spell(slider));
    slider.addEventListener("change", () => ask(form));
  }
}
