/* The page around a preview: sets its width, and keeps its options on the shown lesson. */
"use strict";

(() => {
  const screen = document.querySelector(".preview-screen");
  const frame = document.querySelector(".preview-frame");
  const buttons = document.querySelectorAll(".preview-sizes button");

  function size(name) {
    screen.dataset.size = name;
    for (const button of buttons) button.setAttribute("aria-pressed", button.dataset.size === name);
    sessionStorage.setItem("memora-preview-size", name);
  }

  for (const button of buttons) button.addEventListener("click", () => size(button.dataset.size));
  size(sessionStorage.getItem("memora-preview-size") === "desk" ? "desk" : "phone");

  // The frame may have opened another lesson: the options and the URL follow it.
  frame.addEventListener("load", () => {
    const inside = new URL(frame.contentWindow.location.href);
    if (inside.origin !== location.origin || !inside.pathname.endsWith("/app/")) return;
    const around = inside.pathname.slice(0, -"app/".length);
    document.querySelector(".preview-choices").action = around;
    history.replaceState(null, "", around + inside.search);
  });

  for (const choice of document.querySelectorAll(".preview-choices select, .preview-choices input")) {
    choice.addEventListener("change", () => choice.form.requestSubmit());
  }
})();
