/* Open branches and edit overrides on the plan page. Without scripts they are links. */

const section = document.getElementById("content-tree");
if (section) planTree(section);
// A new sign-in in another tab has replaced the CSRF token.
document.addEventListener("submit", (event) => {
  const field = event.target.querySelector("[name=csrfmiddlewaretoken]");
  if (field) field.value = cookieToken() || field.value;
});
document.querySelectorAll("form[data-confirm]").forEach((form) => {
  form.addEventListener("submit", (event) => {
    if (!window.confirm(form.dataset.confirm)) event.preventDefault();
  });
});

function cookieToken() {
  return document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1];
}

function planTree(section) {
  const words = JSON.parse(document.getElementById("plan-words").textContent);
  const holder = section.querySelector(".plan-tree-holder");
  const flash = section.querySelector(".plan-flash");
  const dialog = document.querySelector("dialog.override-dialog");
  const store = `memora_plan_open:${section.dataset.url}`;
  const rows = () => [...holder.querySelectorAll("tr[data-pk]")];
  const rowOf = (pk) => document.getElementById(`node-${pk}`);
  const openNow = () => holder.querySelector(".plan-tree")?.dataset.open ?? "";

  // One request at a time: each one needs the branches that the previous one opened.
  let busy = Promise.resolve();
  const load = (query, found) =>
    (busy = busy.then(() => fetchTree(query(), found)).catch(() => say([words.failed], true)));

  /** Fetch and show the tree for `query`; then focus the row that `found` returns. */
  async function fetchTree(query, found) {
    if (query === undefined) return;
    const answer = await fetch(`${section.dataset.url}?${query}`, {
      headers: { "X-Requested-With": "fetch" },
    });
    if (!answer.ok || answer.redirected) return say(problem(answer), true);
    holder.innerHTML = await answer.text();
    sessionStorage.setItem(store, openNow());
    const row = found?.();
    if (row) focusOn(row);
  }

  function say(told, failed = false) {
    flash.replaceChildren(...told);
    flash.classList.add("shown");
    flash.classList.toggle("is-failed", failed);
  }

  /** Return the reason for a failed request, with a link if one helps. */
  function problem(answer) {
    if (answer.redirected || (answer.status === 403 && !cookieToken())) {
      const link = document.createElement("a");
      Object.assign(link, { href: words.sign_in_url, target: "_blank", textContent: words.sign_in });
      return [`${words.signed_out} `, link];
    }
    return [{ 403: words.forbidden, 404: words.gone }[answer.status] ?? words.failed];
  }

  /** Show the message in the open dialog, which keeps its input, else on the page. */
  function refuse(told) {
    if (!dialog.open) return say(told, true);
    const note = document.createElement("p");
    note.className = "errornote";
    note.setAttribute("role", "alert");
    note.append(...told);
    dialog.querySelector(".errornote")?.remove();
    dialog.querySelector(".now").after(note);
    note.scrollIntoView({ block: "nearest" });
  }

  function focusOn(row) {
    rows().forEach((other) => (other.tabIndex = -1));
    row.tabIndex = 0;
    row.focus();
  }

  function toggle(row, wanted) {
    const expanded = row.getAttribute("aria-expanded");
    if (expanded === null || (wanted !== undefined && expanded === String(wanted))) return false;
    const { pk } = row.dataset;
    load(() => rowOf(pk)?.querySelector("a.twist")?.search.slice(1), () => rowOf(pk));
    return true;
  }

  async function ask(url) {
    const answer = await fetch(url, { headers: { "X-Requested-With": "fetch" } });
    if (!answer.ok || answer.redirected) return say(problem(answer), true);
    dialog.innerHTML = await answer.text();
    dialog.showModal();
    dialog.scrollTop = 0;
  }

  async function send(form, button) {
    const body = new FormData(form, button);
    body.set("csrfmiddlewaretoken", cookieToken() || body.get("csrfmiddlewaretoken"));
    const address = form.getAttribute("action"); // its buttons are also named "action"
    const answer = await fetch(address, {
      method: "POST",
      body,
      headers: { "X-Requested-With": "fetch" },
    });
    const isJson = answer.headers.get("Content-Type")?.startsWith("application/json");
    if (isJson && answer.ok) {
      const pk = address.match(/(\d+)\/$/)[1];
      dialog.close();
      say([(await answer.json()).message]);
      await load(() => new URLSearchParams({ open: openNow() }), () => rowOf(pk));
    } else if (isJson) {
      refuse([(await answer.json()).refused]);
    } else if (answer.status === 400) {
      const focused = document.activeElement?.id;
      dialog.innerHTML = await answer.text();
      if (!dialog.open) dialog.showModal();
      if (focused) document.getElementById(focused)?.focus();
      dialog.querySelector(".errornote")?.scrollIntoView({ block: "nearest" });
    } else {
      refuse(problem(answer));
    }
  }

  holder.addEventListener("click", (event) => {
    const row = event.target.closest("tr[data-pk]");
    if (event.target.closest("a.twist")) {
      event.preventDefault();
      toggle(row);
      return;
    }
    const override = event.target.closest("a.override-link");
    if (override && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      if (row) focusOn(row);
      ask(override.href).catch(() => say([words.failed], true));
      return;
    }
    const way = event.target.closest("a[data-target]");
    if (way) {
      event.preventDefault();
      const { target } = way.dataset;
      load(() => new URLSearchParams({ open: openNow(), at: target }), () => rowOf(target));
      return;
    }
    const more = event.target.closest("a.more");
    if (more) {
      event.preventDefault();
      // The first new row replaces the link at this index.
      const place = [...holder.querySelectorAll("tbody tr")].indexOf(more.closest("tr"));
      load(() => more.search.slice(1), () => holder.querySelectorAll("tbody tr")[place]);
    }
  });

  holder.addEventListener("keydown", (event) => {
    const row = event.target.closest("tr[data-pk]");
    if (!row || event.target !== row || event.altKey || event.ctrlKey || event.metaKey) return;
    const all = rows();
    const place = all.indexOf(row);
    const rtl = document.documentElement.dir === "rtl";
    const level = (other) => Number(other.ariaLevel ?? other.getAttribute("aria-level"));
    const key = { ArrowLeft: rtl ? "in" : "out", ArrowRight: rtl ? "out" : "in" }[event.key] ?? event.key;
    const next = {
      ArrowDown: () => all[place + 1],
      ArrowUp: () => all[place - 1],
      Home: () => all[0],
      End: () => all.at(-1),
      in: () => (toggle(row, true) ? null : all[place + 1]),
      out: () =>
        toggle(row, false)
          ? null
          : all.slice(0, place).reverse().find((other) => level(other) < level(row)),
      Enter: () => void row.querySelector("a.override-link")?.click(),
    }[key];
    if (!next) return;
    event.preventDefault();
    const found = next();
    if (found) focusOn(found);
  });

  dialog.addEventListener("click", (event) => {
    if (event.target === dialog || event.target.closest(".close-dialog")) {
      event.preventDefault();
      dialog.close();
    }
  });
  let isSending = false; // ignore a second click
  dialog.addEventListener("submit", (event) => {
    event.preventDefault();
    if (isSending) return;
    isSending = true;
    send(event.target, event.submitter)
      .catch(() => refuse([words.failed]))
      .finally(() => (isSending = false));
  });

  const before = sessionStorage.getItem(store);
  if (/[?&](open|at)=/.test(location.search)) sessionStorage.setItem(store, openNow());
  else if (before) load(() => new URLSearchParams({ open: before }));
}
