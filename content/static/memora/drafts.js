/* Drafts of a form: its fields are sent to the server every few seconds while they change, and
 * a heartbeat tells who else has the page open. See content/drafts. */
"use strict";

(() => {
  const holder = document.getElementById("draft-settings");
  const form = holder?.closest("form");
  const saveRow = form && [...form.querySelectorAll(".submit-row")].at(-1);
  // Without a button to save, the user may only read the page.
  if (!saveRow?.querySelector("[type=submit]")) return;
  const { url, page, texts, save_seconds: saveSeconds, heartbeat_seconds: heartbeatSeconds } = JSON.parse(
    holder.textContent,
  );
  const others = form.querySelector(".draft-others");
  let status = saveRow.querySelector(".lesson-status");
  if (!status) {
    status = Object.assign(document.createElement("span"), { className: "draft-status quiet", role: "status" });
    saveRow.append(status);
  }

  function fields() {
    window.Memora?.stages?.flush();
    return JSON.stringify([...new FormData(form)].filter(([, value]) => typeof value === "string"));
  }

  let stored = fields(); // what the server or the page as it was opened has
  let lastSent = Date.now();
  let running = null;
  let isLeaving = false;

  async function send(values) {
    lastSent = Date.now();
    const token = document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1] || form.elements.csrfmiddlewaretoken.value;
    const answer = await fetch(url, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-CSRFToken": token },
      body: JSON.stringify({ page, ...values }),
    });
    if (answer.redirected) throw new Error("signed out");
    const result = await answer.json();
    if (!answer.ok) throw new Error(result.error);
    return result;
  }

  function showOthers(names) {
    others.hidden = !names.length;
    const list = new Intl.ListFormat(document.documentElement.lang).format(names);
    const text = names.length ? texts.others.replace("%(names)s", list) : "";
    if (others.textContent !== text) others.textContent = text;
  }

  async function exchange(now) {
    const isChanged = now !== stored;
    try {
      const result = await send(isChanged ? { fields: JSON.parse(now) } : {});
      showOthers(result.others);
      if (!isChanged) return;
      stored = now;
      status.textContent = result.saved;
      if (fields() === now) form.dispatchEvent(new CustomEvent("memora:draft-stored"));
    } catch (error) {
      if (isChanged && !isLeaving) status.textContent = error.message ? texts.not_kept : "";
    }
  }

  function tick() {
    if (running || isLeaving) return;
    const now = fields();
    if (now === stored && Date.now() - lastSent < heartbeatSeconds * 1000) return;
    running = exchange(now).finally(() => (running = null));
  }

  setInterval(() => document.hidden || tick(), saveSeconds * 1000);
  document.addEventListener("visibilitychange", () => document.hidden && tick());
  running = exchange(stored).finally(() => (running = null));

  // A draft that arrived after the form would remain although everything is saved.
  form.addEventListener("submit", (event) => {
    if (event.defaultPrevented) return;
    isLeaving = true;
    if (!running) return;
    event.preventDefault();
    const { submitter } = event;
    running.finally(() => setTimeout(() => form.requestSubmit(submitter)));
  });
  // The page may be shown again by the browser's way back.
  window.addEventListener("pageshow", () => (isLeaving = false));

  async function discard({ currentTarget: button }) {
    const isShared = "unfinished" in button.dataset;
    if (isShared && !window.confirm(texts.discard_unfinished)) return;
    isLeaving = true;
    await running;
    try {
      if (isShared) await send({ discard_unfinished: true });
      await send({ discard: true });
      form.dispatchEvent(new CustomEvent("memora:draft-stored"));
      location.replace(location.href);
    } catch {
      isLeaving = false;
      status.textContent = texts.not_kept;
    }
  }

  for (const button of form.querySelectorAll(".draft-discard")) button.addEventListener("click", discard);
})();
