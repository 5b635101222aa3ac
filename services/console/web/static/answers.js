// Forms with `data-into`: the answer is shown in that element, without leaving the page.
"use strict";

async function ask(form) {
  const into = document.getElementById(form.dataset.into);
  form.request?.abort();
  const request = form.request = new AbortController();
  into.setAttribute("aria-busy", "true");
  into.textContent = "Computing …";
  try {
    const fields = new URLSearchParams(new FormData(form));
    const response = await fetch(`${form.action}?${fields}`, { headers: { "X-Part": "yes" }, signal: request.signal });
    if (response.redirected) { location.reload(); return; }
    into.innerHTML = await response.text(); // from our own server, which escapes every value
  } catch (error) {
    if (request.signal.aborted) return;
    into.textContent = "No answer; try again.";
  }
  into.removeAttribute("aria-busy");
}

function showValue(slider) {
  const value = Number((10 ** Number(slider.value)).toPrecision(3)).toLocaleString("en");
  slider.setAttribute("aria-valuetext", value);
  slider.form.querySelector("output").textContent = value;
}

for (const form of document.querySelectorAll("form[data-into]")) {
  form.addEventListener("submit", (event) => { event.preventDefault(); ask(form); });
  for (const slider of form.querySelectorAll("input[type=range]")) {
    showValue(slider);
    slider.addEventListener("input", () => showValue(slider));
    slider.addEventListener("change", () => ask(form));
  }
}
