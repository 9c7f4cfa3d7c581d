/* The preview is as light or dark as the admin's switch says, from the moment it is turned. */
"use strict";

(() => {
  const show = () => (document.documentElement.dataset.theme = localStorage.getItem("theme") || "auto");
  show();
  window.addEventListener("storage", show);
})();
