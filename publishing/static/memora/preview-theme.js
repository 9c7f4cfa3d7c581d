/* Apply the admin's light or dark theme to the preview, also when it changes. */
"use strict";

(() => {
  const show = () => (document.documentElement.dataset.theme = localStorage.getItem("theme") || "auto");
  show();
  window.addEventListener("storage", show);
})();
