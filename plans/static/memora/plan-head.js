// The head of a plan's pages: asks before a form is sent, and follows a publish until it
// has ended. Without scripts, the page shows the same after a reload.

const INTERVAL = 2000;
const MAX_INTERVAL = 30_000;

document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (question && !window.confirm(question)) event.preventDefault();
});

const head = document.querySelector(".plan-head");
let wait = INTERVAL;
let timer = 0;

/** Show the new head; the live region stays, so that a screen reader announces it. */
function show(updated) {
  const region = head.querySelector("[role=status]");
  const news = updated.querySelector("[role=status]");
  for (const part of [...head.children]) if (part !== region) part.remove();
  region.before(...[...updated.children].filter((part) => part !== news));
  region.className = news.className;
  if (region.textContent !== news.textContent) region.textContent = news.textContent;
  head.dataset.running = updated.dataset.running;
}

async function poll() {
  try {
    const answer = await fetch(head.dataset.url, {
      cache: "no-store",
      redirect: "manual",
      signal: AbortSignal.timeout(20_000),
    });
    if (answer.type === "opaqueredirect" || answer.status === 403) {
      location.reload(); // signed out, or no permission: the page shows it
      return;
    }
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    show(page.querySelector(".plan-head"));
    wait = INTERVAL;
    // What the page shows below its head is out of date now.
    if (head.dataset.running !== "true" && head.dataset.reloads === "true") location.reload();
  } catch {
    wait = Math.min(wait * 2, MAX_INTERVAL);
  }
  schedule();
}

function schedule() {
  clearTimeout(timer);
  if (head.dataset.running === "true" && !document.hidden) timer = setTimeout(poll, wait);
}

if (head) {
  document.addEventListener("visibilitychange", schedule);
  schedule();
}
