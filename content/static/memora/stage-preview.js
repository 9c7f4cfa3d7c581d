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
  let timer = null;
  let sent = "";
  let running = null;
  let latest = null;
  let shown = null;

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
    if (latest) frame.contentWindow?.postMessage({ memora: "document", ...latest, stage: shown }, location.origin);
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
  form.addEventListener("memora:opened", (event) => {
    shown = event.detail;
    show();
  });
  aside.hidden = false;
  frame.src = frame.dataset.src;
  refresh();
})();
