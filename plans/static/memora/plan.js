/* Open branches and edit overrides on the plan page. Without scripts they are links. */

const section = document.getElementById("content-tree");
if (section) planTree(section);
// A new sign-in in another tab has replaced the CSRF token.
document.addEventListener("submit", (event) => {
  const field = event.target.querySelector("[name=csrfmiddlewaretoken]");
  if (field) field.value = cookieToken() || field.value;
});

function cookieToken() {
  return document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1];
}

function planTree(section) {
  const texts = JSON.parse(document.getElementById("plan-texts").textContent);
  const holder = section.querySelector(".plan-tree-holder");
  const flash = section.querySelector(".plan-flash");
  const dialog = document.querySelector("dialog.override-dialog");
  const store = `memora_plan_open:${section.dataset.url}`;
  const rows = () => [...holder.querySelectorAll("tr[data-pk]")];
  const rowOf = (pk) => document.getElementById(`node-${pk}`);
  const openNow = () => holder.querySelector(".plan-tree")?.dataset.open ?? "";

  // One request at a time: each one needs the branches that the previous one opened.
  let busy = Promise.resolve();
  const load = (query, rowToFocus) =>
    (busy = busy.then(() => fetchTree(query(), rowToFocus)).catch(() => notify([texts.failed], true)));

  /** Fetch and show the tree for `query`; then focus the row that `rowToFocus` returns. */
  async function fetchTree(query, rowToFocus) {
    if (query === undefined) return;
    const answer = await fetch(`${section.dataset.url}?${query}`, {
      headers: { "X-Requested-With": "fetch" },
    });
    if (!answer.ok || answer.redirected) return notify(problem(answer), true);
    holder.innerHTML = await answer.text();
    sessionStorage.setItem(store, openNow());
    const row = rowToFocus?.();
    if (row) focusOn(row);
  }

  function notify(nodes, failed = false) {
    flash.replaceChildren(...nodes);
    flash.classList.add("shown");
    flash.classList.toggle("is-failed", failed);
  }

  /** Return the reason for a failed request, with a link if one helps. */
  function problem(answer) {
    if (answer.redirected || (answer.status === 403 && !cookieToken())) {
      const link = document.createElement("a");
      Object.assign(link, { href: texts.sign_in_url, target: "_blank", textContent: texts.sign_in });
      return [`${texts.signed_out} `, link];
    }
    return [{ 403: texts.forbidden, 404: texts.not_found }[answer.status] ?? texts.failed];
  }

  /** Show the message in the open dialog, which keeps its input, else on the page. */
  function showError(nodes) {
    if (!dialog.open) return notify(nodes, true);
    const note = document.createElement("p");
    note.className = "errornote";
    note.setAttribute("role", "alert");
    note.append(...nodes);
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
    load(() => rowOf(pk)?.querySelector("a.expander")?.search.slice(1), () => rowOf(pk));
    return true;
  }

  async function openDialog(url) {
    const answer = await fetch(url, { headers: { "X-Requested-With": "fetch" } });
    if (!answer.ok || answer.redirected) return notify(problem(answer), true);
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
      notify([(await answer.json()).message]);
      await load(() => new URLSearchParams({ open: openNow() }), () => rowOf(pk));
    } else if (isJson) {
      showError([(await answer.json()).error]);
    } else if (answer.status === 400) {
      const focused = document.activeElement?.id;
      dialog.innerHTML = await answer.text();
      if (!dialog.open) dialog.showModal();
      if (focused) document.getElementById(focused)?.focus();
      dialog.querySelector(".errornote")?.scrollIntoView({ block: "nearest" });
    } else {
      showError(problem(answer));
    }
  }

  holder.addEventListener("click", (event) => {
    const row = event.target.closest("tr[data-pk]");
    if (event.target.closest("a.expander")) {
      event.preventDefault();
      toggle(row);
      return;
    }
    const override = event.target.closest("a.override-link");
    if (override && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      if (row) focusOn(row);
      openDialog(override.href).catch(() => notify([texts.failed], true));
      return;
    }
    const link = event.target.closest("a[data-target]");
    if (link) {
      event.preventDefault();
      const { target } = link.dataset;
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
    const target = next();
    if (target) focusOn(target);
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
      .catch(() => showError([texts.failed]))
      .finally(() => (isSending = false));
  });

  const before = sessionStorage.getItem(store);
  if (/[?&](open|at)=/.test(location.search)) sessionStorage.setItem(store, openNow());
  else if (before) load(() => new URLSearchParams({ open: before }));
}
