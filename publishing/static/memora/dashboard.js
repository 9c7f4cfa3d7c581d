// Polls the publishing dashboard: fetches the same fragment again and replaces the parts
// that differ, so focus, open details and the scroll position stay.

const board = document.getElementById("dashboard");
const liveness = document.getElementById("liveness");
const news = document.getElementById("news");
const PAUSE = Number(board.dataset.seconds) * 1000;
const LONGEST = 60_000;

let etag = board.dataset.etag;
let pause = PAUSE;
let timer = 0;
let asking = false;

function say(words) {
  if (liveness.textContent !== words) liveness.textContent = words;
}

/** Return the direct children of the board and of its grid, by id. */
function parts(root) {
  return [...root.querySelectorAll("[id^='part-']")];
}

function keepOpen(old, fresh) {
  for (const details of old.querySelectorAll("details[open][id]")) {
    fresh.querySelector(`#${details.id}`)?.setAttribute("open", "");
  }
}

function replace(html) {
  const fresh = document.createElement("div");
  fresh.innerHTML = html;
  const focused = document.activeElement?.id;
  const sameShape =
    parts(board).map((part) => part.id).join() ===
    parts(fresh).map((part) => part.id).join();
  const before = board.querySelector("[data-news]")?.textContent.trim();
  keepOpen(board, fresh);
  if (sameShape) {
    for (const part of parts(fresh)) {
      const old = document.getElementById(part.id);
      if (old.outerHTML !== part.outerHTML) old.replaceWith(part);
    }
  } else {
    board.replaceChildren(...fresh.childNodes);
  }
  if (focused && document.activeElement?.id !== focused) {
    document.getElementById(focused)?.focus({ preventScroll: true });
  }
  const now = board.querySelector("[data-news]")?.textContent.trim();
  if (now !== before) news.textContent = now.replace(/\s+/g, " ");
}

async function ask() {
  if (asking) return;
  asking = true;
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
    pause = PAUSE;
    say(liveness.dataset.live);
  } catch {
    pause = Math.min(pause * 2, LONGEST);
    say(liveness.dataset.lost);
  } finally {
    asking = false;
    plan();
  }
}

function plan() {
  clearTimeout(timer);
  if (!document.hidden) timer = setTimeout(ask, pause);
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) clearTimeout(timer);
  else ask();
});

say(liveness.dataset.live);
plan();
