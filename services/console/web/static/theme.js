// Before anything is drawn: the theme that was chosen last. Without a choice the system's own holds.
"use strict";
const chosen = localStorage.getItem("theme");
if (chosen) document.documentElement.dataset.theme = chosen;
