/* The live preview beside a lesson's form: sends the input to the server, which validates it
 * as on saving and returns the lesson's document. */
"use strict";

(() => {
  const aside = document.querySelector(".live-preview");
  const settings = Memora.stageSettings;
  if (!aside || !settings || !Memora.stages) return;
  const form = aside.closest("form");
  const frame = aside.querySelector(".live-frame");
  const state = aside.querySelector(".live-state");
  const WAIT = 500; // milliseconds after the last input
  const [LEAST, MOST, BELOW] = [320, 760, 24]; // pixels: the height of the frame, and the space below
  let timer = null;
  let sent = "";
  let running = null;
  let latest = null;
  let shown = null; // the place of the stage to show
  let asked = 0; // increases when it is asked for, also again

  function requestBody() {
    const value = (name) => form.querySelector(`[name="${name}"]`)?.value || "";
    return JSON.stringify({
      lesson: settings.lesson,
      title: value("title"),
      description: value("description"),
      stages: Memora.stages.collect(),
    });
  }

  function show() {
    if (latest) frame.contentWindow?.postMessage({ memora: "document", ...latest, stage: shown, asked }, location.origin);
  }

  async function refresh() {
    const body = requestBody();
    if (body === sent) return;
    running?.abort();
    running = new AbortController();
    try {
      const answer = await fetch(settings.urls.live, {
        method: "POST",
        body,
        signal: running.signal,
        headers: {
          "Content-Type": "application/json",
          "X-CSRFToken": Memora.token(),
        },
      });
      Memora.isSignedOut = answer.redirected;
      if (Memora.isSignedOut) {
        Memora.showSignedOut(state);
        return;
      }
      if (!answer.ok) {
        const failure = await answer.json().catch(() => ({}));
        state.textContent = failure.error || settings.texts.preview_failed;
        return;
      }
      const { document: lesson, direction, faults, losses, size_fault: tooLarge } = await answer.json();
      sent = body;
      latest = { document: lesson, direction };
      state.textContent = tooLarge;
      Memora.stages.showFaults(faults, losses);
      show();
    } catch (error) {
      if (error.name !== "AbortError") state.textContent = settings.texts.preview_failed;
    }
  }

  function scheduleRefresh() {
    clearTimeout(timer);
    timer = setTimeout(refresh, WAIT);
  }

  window.addEventListener("message", (event) => {
    if (event.origin !== location.origin || event.source !== frame.contentWindow) return;
    if (event.data?.memora === "ready") show();
  });
  // The user may have signed in again in another tab.
  window.addEventListener("focus", () => Memora.isSignedOut && scheduleRefresh());
  form.addEventListener("input", scheduleRefresh);
  form.addEventListener("change", scheduleRefresh);
  form.addEventListener("memora:changed", scheduleRefresh);
  function follow(place) {
    if (place < 0) return;
    shown = place;
    asked += 1;
    show();
  }

  form.addEventListener("memora:opened", (event) => follow(event.detail));
  // Several cards may be open: the preview shows the one that is written in.
  const placeOf = (target) => Memora.stages.activeCards().indexOf(target.closest(".stage-body")?.closest(".stage-card"));
  form.addEventListener("focusin", ({ target }) => placeOf(target) !== shown && follow(placeOf(target)));
  form.addEventListener("input", ({ target }) => {
    const place = placeOf(target);
    if (place < 0) return;
    if (place !== shown) follow(place);
    else asked += 1; // shown with the new text, also if the preview is at another stage
  });
  // The phone ends above the end of the window, wherever the page is scrolled to.
  function fit() {
    const space = window.innerHeight - Math.max(0, frame.getBoundingClientRect().top) - BELOW;
    frame.style.height = beside.matches ? `${Math.max(LEAST, Math.min(MOST, space))}px` : "";
  }
  const beside = window.matchMedia("(min-width: 1200px)"); // as in stages.css
  for (const event of ["scroll", "resize"]) window.addEventListener(event, fit, { passive: true });

  new ResizeObserver(fit).observe(document.body);

  aside.hidden = false;
  frame.src = frame.dataset.src;
  refresh();
})();
