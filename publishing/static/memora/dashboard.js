// Polls the publishing dashboard: fetches the same fragment again and replaces the parts
// that differ, so focus, open details and the scroll position stay.

const board = document.getElementById("dashboard");
const liveness = document.getElementById("liveness");
const news = document.getElementById("news");
const INTERVAL = Number(board.dataset.seconds) * 1000;
const MAX_INTERVAL = 60_000;

let etag = board.dataset.etag;
let interval = INTERVAL;
let timer = 0;
let isFetching = false;

function setLiveness(text) {
  if (liveness.textContent !== text) liveness.textContent = text;
}

/** Return the direct children of the board and of its grid, by id. */
function parts(root) {
  return [...root.querySelectorAll("[id^='part-']")];
}

function keepOpen(old, updated) {
  for (const details of old.querySelectorAll("details[open][id]")) {
    updated.querySelector(`#${details.id}`)?.setAttribute("open", "");
  }
}

function replace(html) {
  const updated = document.createElement("div");
  updated.innerHTML = html;
  const focused = document.activeElement?.id;
  const sameShape =
    parts(board).map((part) => part.id).join() ===
    parts(updated).map((part) => part.id).join();
  const before = board.querySelector("[data-news]")?.textContent.trim();
  keepOpen(board, updated);
  if (sameShape) {
    for (const part of parts(updated)) {
      const old = document.getElementById(part.id);
      if (old.outerHTML !== part.outerHTML) old.replaceWith(part);
    }
  } else {
    board.replaceChildren(...updated.childNodes);
  }
  if (focused && document.activeElement?.id !== focused) {
    document.getElementById(focused)?.focus({ preventScroll: true });
  }
  const now = board.querySelector("[data-news]")?.textContent.trim();
  if (now !== before) news.textContent = now.replace(/\s+/g, " ");
}

async function poll() {
  if (isFetching) return;
  isFetching = true;
  try {
    const answer = await fetch(board.dataset.url, {
      headers: { "If-None-Match": etag },
      cache: "no-store",
      redirect: "manual",
      signal: AbortSignal.timeout(20_000),
    });
    if (answer.type === "opaqueredirect" || answer.status === 403) {
      location.reload(); // signed out, or no permission: the page shows it
      return;
    }
    if (answer.ok) {
      replace(await answer.text());
      etag = answer.headers.get("ETag") ?? "";
    } else if (answer.status !== 304) {
      throw new Error(`status ${answer.status}`);
    }
    interval = INTERVAL;
    setLiveness(liveness.dataset.live);
  } catch {
    interval = Math.min(interval * 2, MAX_INTERVAL);
    setLiveness(liveness.dataset.lost);
  } finally {
    isFetching = false;
    schedule();
  }
}

function schedule() {
  clearTimeout(timer);
  if (!document.hidden) timer = setTimeout(poll, interval);
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) clearTimeout(timer);
  else poll();
});

setLiveness(liveness.dataset.live);
schedule();
