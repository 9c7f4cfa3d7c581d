/* The page around a preview: its width, and the choices following what the frame shows. */
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

  // Somebody went on to another lesson inside: the choices stay on what is seen.
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
