/* A lesson's page: Ctrl+S saves, and after saving the page is as it was: scrolled to the same
 * place, with the same cards open. */
"use strict";

(() => {
  const { stages, stageSettings: settings } = Memora;
  if (!settings || !stages) return;
  const form = document.getElementById("stages").closest("form");
  const saveButton = form.querySelector("[name=_continue]");
  const STORE = "memora.lesson";
  const STALE = 60_000; // milliseconds after which the stored view is not used any more
  const SETTLE = 4000; // milliseconds in which the opened cards get their height

  document.addEventListener("keydown", (event) => {
    if (event.code !== "KeyS" || !(event.ctrlKey || event.metaKey) || event.altKey || event.shiftKey) return;
    event.preventDefault();
    if (event.repeat || !saveButton) return;
    document.activeElement?.blur(); // fields that store their input on leaving
    form.requestSubmit(saveButton);
  });

  /* --- The view before saving --- */

  form.addEventListener("submit", (event) => {
    if (event.defaultPrevented || event.submitter?.name !== "_continue") return;
    const cards = stages.activeCards();
    const open = cards.flatMap((card, place) => (stages.isOpen(card) ? [place] : []));
    const place = cards.findIndex((card) => card.getBoundingClientRect().bottom > 0);
    const top = place < 0 ? 0 : cards[place].getBoundingClientRect().top;
    const view = { at: Date.now(), lesson: settings.lesson, open, place, top, scroll: scrollY };
    sessionStorage.setItem(STORE, JSON.stringify(view));
  });

  function takeView() {
    const view = JSON.parse(sessionStorage.getItem(STORE) || "null");
    sessionStorage.removeItem(STORE);
    // A new lesson has no key before it is saved.
    const isHere = view && (view.lesson === null || view.lesson === settings.lesson);
    return isHere && Date.now() - view.at < STALE ? view : null;
  }

  function restore({ open, place, top, scroll }) {
    const cards = stages.activeCards();
    for (const place of open) if (cards[place]) stages.open(cards[place]);
    const faults = document.querySelector(".lesson-conflicts, .lesson-faults");
    if (faults) {
      faults.focus();
      return;
    }
    const said = [...document.querySelectorAll(".messagelist li")].map((line) => line.textContent.trim());
    form.querySelector(".lesson-status").textContent = said.join(" ");
    const anchor = cards[place];
    const align = () => {
      if (anchor) scrollBy(0, anchor.getBoundingClientRect().top - top);
      else scrollTo(0, scroll);
    };
    // The forms of the cards are built later, and editors of text even later.
    const observer = new ResizeObserver(align);
    observer.observe(document.getElementById("stages"));
    const stop = () => observer.disconnect();
    setTimeout(stop, SETTLE);
    for (const name of ["wheel", "touchstart", "pointerdown", "keydown"]) {
      addEventListener(name, stop, { once: true, passive: true });
    }
  }

  const view = takeView();
  if (view) restore(view);
})();
