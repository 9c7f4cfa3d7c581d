/* The content tree: opening branches, choosing, keys, and asking for changes.

The server writes the rows; this script fetches them, and after every change fetches
what is open again, so that what is on the page is what is stored. */

import { keepingLine, startAdding } from "./tree-adding.js";
import { askFor, choosePlace, confirmed } from "./tree-dialogs.js";
import { choose, chooseNone, markChosen, withChosen } from "./tree-choosing.js";
import { startDragging } from "./tree-drag.js";
import { closeMenu, isMenuOf, openMenu } from "./tree-menu.js";
import {
  byPk,
  childOf,
  countIn,
  current,
  focus,
  groupOf,
  isOpen,
  isRtl,
  isShown,
  itemOf,
  parentOf,
  pks,
  rowsOf,
  settings,
  toast,
  tree,
  words,
} from "./tree-page.js";
import { showPath } from "./tree-path.js";
import { deleteForGood, get, post } from "./tree-server.js";

/* --- What is open, for this tab ------------------------------------------- */

const STORE = "memora.tree";
const stored = JSON.parse(sessionStorage.getItem(STORE) || "{}");
const opened = new Map((stored.open || []).map(([pk, shown]) => [String(pk), shown]));
let roots = stored.roots || settings.page;

function remember() {
  sessionStorage.setItem(
    STORE,
    JSON.stringify({ open: [...opened], roots, focus: current()?.dataset.pk }),
  );
}

/** Have at least so many rows of a branch fetched; "" is the subjects. */
function widen(pk, shown) {
  if (!pk) roots = Math.max(roots, shown);
  else opened.set(pk, Math.max(opened.get(pk) || settings.page, shown));
}

/* --- Asking for a change ----------------------------------------------------- */

let busy = Promise.resolve();

/** Do `work` when what was asked before is done, so that no two changes overlap. */
function inTurn(work) {
  const done = busy.then(work);
  busy = done.catch(() => {});
  return done;
}

/** Ask for a change; say what came of it, and show the tree as it is then.

`values` are what is sent, or a function that gives (or promises) them when their turn has
come, or null for nothing to do; `done` sees the answer before the rows are fetched again. */
function change(path, values, done = () => {}) {
  return inTurn(async () => {
    const asked = typeof values === "function" ? await values() : values;
    if (!asked) return null;
    let told = await post(path, asked);
    if (told.ask) {
      if (!(await confirmed(told))) return null;
      told = await post(path, { ...asked, confirmed: "yes" });
    }
    if (told.refused) {
      toast(told.refused, { failed: true });
      return null;
    }
    for (const [pk, shown] of told.way || []) widen(pk, shown);
    if (settings.flat) {
      if (told.said) sessionStorage.setItem("memora.tree.said", JSON.stringify(told));
      location.reload();
      return told;
    }
    done(told);
    await refresh();
    if (told.said) say(told);
    return told;
  });
}

/* --- Taking back ------------------------------------------------------------------ */

const undoable = [];

/** Say what was done; it can be taken back, there or with Ctrl+Z. */
function say(told) {
  if (!told.undo) {
    toast(told.said);
    return;
  }
  const last = { record: told.undo };
  last.close = toast(told.said, { undo: () => takeBack(last) });
  undoable.push(last);
}

function takeBack(last) {
  undoable.splice(undoable.indexOf(last), 1);
  last.close();
  change("undo", { record: last.record });
}

/* --- Rows ---------------------------------------------------------------------- */

/** Whichever way a row got the focus, Tab leads to it, and so does the way back here. */
tree.addEventListener("focusin", (event) => {
  const item = itemOf(event.target);
  if (!item) return;
  for (const old of tree.querySelectorAll("[tabindex='0'][role=treeitem]")) old.tabIndex = -1;
  item.tabIndex = 0;
  remember();
});

const fragment = (html) => {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content;
};

async function open(item) {
  if (item.getAttribute("aria-expanded") === null) return;
  const pk = item.dataset.pk;
  widen(pk, settings.page);
  item.setAttribute("aria-expanded", "true");
  if (!groupOf(item)) {
    item.setAttribute("aria-busy", "true");
    try {
      const answer = await get(`rows/${pk}/`);
      const rows = fragment(await answer.text());
      if (!groupOf(item)) item.append(rows);
    } catch (error) {
      item.setAttribute("aria-expanded", "false");
      toast(error.message, { failed: true });
    }
    item.removeAttribute("aria-busy");
    markChosen();
    for (const child of item.querySelectorAll("[role=treeitem]")) {
      if (opened.has(child.dataset.pk)) await open(child);
    }
  }
  remember();
  showPath();
}

function fold(item) {
  item.setAttribute("aria-expanded", "false");
  opened.delete(item.dataset.pk);
  if (item.contains(document.activeElement)) focus(item);
  remember();
  showPath();
}

const toggle = (item) => (isOpen(item) ? fold(item) : open(item));

async function refresh() {
  const focused = itemOf(document.activeElement)?.dataset.pk;
  const asked = new Set(opened.keys());
  try {
    const answer = await get("rows/", {
      open: [...opened].map(([pk, shown]) => `${pk}:${shown}`).join(","),
      roots,
    });
    const rows = fragment(await answer.text());
    tree.style.minHeight = `${tree.offsetHeight}px`;
    keepingLine(() => groupOf(null).replaceWith(rows));
    tree.querySelector(".first-steps")?.remove();
    tree.style.minHeight = "";
  } catch (error) {
    toast(error.message, { failed: true });
  }
  // What was opened or folded while the rows were on their way.
  for (const item of tree.querySelectorAll("[aria-expanded]")) {
    const { pk } = item.dataset;
    if (isOpen(item) && !opened.has(pk)) item.setAttribute("aria-expanded", "false");
    else if (!isOpen(item) && opened.has(pk) && !asked.has(pk)) open(item);
  }
  markChosen();
  makeReachable();
  if (focused && !document.activeElement.closest(".adding")) focus(byPk(focused), { scroll: false });
  showPath();
}

/** One row is always reached by Tab. */
function makeReachable() {
  if (!current()) {
    const wanted = stored.focus && byPk(stored.focus);
    const item = wanted && isShown(wanted) ? wanted : tree.querySelector("[role=treeitem]");
    if (item) item.tabIndex = 0;
  }
}

/** Fetch more rows of the branch the button ends; gives the first of them. */
async function showMore(button) {
  const group = button.closest("[role=group]");
  const pk = group.dataset.parent;
  const shown = countIn(group);
  if (!pk) {
    roots = shown + settings.page;
    await refresh();
    return null;
  }
  button.disabled = true;
  try {
    const answer = await get(`rows/${pk}/`, { start: shown });
    const more = fragment(await answer.text()).querySelector("[role=group]");
    button.closest("li").remove();
    const first = more.querySelector("[role=treeitem]");
    group.append(...more.children);
    widen(pk, shown + settings.page);
    remember();
    return first;
  } catch (error) {
    button.disabled = false;
    toast(error.message, { failed: true });
    return null;
  }
}

/* --- Changes -------------------------------------------------------------------- */

async function act(name, items) {
  if (!items.length) return;
  switch (name) {
    case "none":
      return chooseNone();
    case "move_to":
    case "copy_to":
      return carry(name, items);
    case "copy":
      return change("copy", { nodes: pks(items) }).then((told) => told && focus(byPk(told.pk)));
    case "item": {
      const now = items.length === 1 ? items[0].dataset.item || "" : "";
      const value = await askFor(words.item_title, words.item_help, now, words);
      if (value !== null) await change("do", { do: "item", nodes: pks(items), value });
      return;
    }
    case "delete":
      return deleteForGood(pks(items));
    case "trash": {
      const { nextElementSibling: below, previousElementSibling: above } = items[0];
      const next = [below, above].find((one) => one?.dataset.pk) || parentOf(items[0]);
      const told = await change("do", { do: "trash", nodes: pks(items) });
      if (told && next) focus(byPk(next.dataset.pk));
      return;
    }
    default:
      await change("do", { do: name, nodes: pks(items) });
  }
}

async function carry(name, items) {
  const [first] = items;
  if (items.some((item) => item.dataset.kind !== first.dataset.kind)) {
    return toast(words.mixed_kinds, { failed: true });
  }
  if (first.dataset.kind === "subject") {
    return toast(words.subject_top, { failed: true });
  }
  const place = await choosePlace({
    title: words[name],
    help: name === "copy_to" ? words.copy_help : words[`goes_inside_${first.dataset.kind}`],
    words,
    find: async (q) => {
      const values = { kind: first.dataset.kind, near: first.dataset.subject, q };
      return (await (await get("places/", values)).json()).places;
    },
  });
  if (place === null) return;
  const values = { nodes: pks(items), target: place };
  const told = await (name === "copy_to"
    ? change("copy", values)
    : change("move", { ...values, position: "last-child" }));
  if (told) focus(byPk(told.pk || first.dataset.pk));
}

async function shift(item, step) {
  const { pk } = item.dataset;
  const towards = step < 0 ? "previousElementSibling" : "nextElementSibling";
  const told = await change("move", async () => {
    // Past the last row that is shown there may be more.
    const more = byPk(pk)?.[towards]?.querySelector(":scope > .show-more");
    if (more) await showMore(more);
    const beside = byPk(pk)?.[towards]?.dataset.pk;
    return beside && { nodes: pk, target: beside, position: step < 0 ? "left" : "right" };
  });
  if (told) focus(byPk(pk));
}

/** A line to write titles in: at `place` as `startAdding` says. */
async function start(kind, place = {}) {
  if (place.parent) await open(place.parent);
  startAdding(kind, place, ({ values, added }) =>
    change("quick-add", values, (told) => added(told.pk)),
  );
}

/** What N does: adds inside; below a lesson, which holds none. */
function addFrom(item) {
  const child = childOf(item.dataset.kind);
  if (child) start(child, { parent: item });
  else start(item.dataset.kind, { beside: item });
}

/* --- Pointer and keys ---------------------------------------------------------------- */

const doors = { act, start };

tree.addEventListener("click", (event) => {
  const item = itemOf(event.target);
  const button = event.target.closest("button");
  if (button?.classList.contains("show-more")) {
    return inTurn(() => showMore(button)).then((first) => focus(first, { scroll: false }));
  }
  if (!item) return;
  if (button?.classList.contains("twist")) {
    focus(item, { scroll: false });
    toggle(item);
  } else if (button?.classList.contains("menu-button")) {
    if (isMenuOf(item)) closeMenu();
    else openMenu(item, doors);
    event.stopPropagation();
  } else if (event.target.classList.contains("pick")) {
    choose(item, event.target.checked, event.shiftKey);
  } else if (!event.target.closest("a, button, input, .grip")) {
    focus(item, { scroll: false });
  }
});

tree.addEventListener("dblclick", (event) => {
  const item = itemOf(event.target);
  if (item && !event.target.closest("a, button, input, .grip")) toggle(item);
});

tree.addEventListener("keydown", (event) => {
  const item = itemOf(event.target);
  if (!item || event.target.matches("input:not(.pick), button") || event.ctrlKey || event.metaKey) {
    return;
  }
  const rows = rowsOf();
  const now = rows.indexOf(item);
  const inwards = isRtl ? "ArrowLeft" : "ArrowRight";
  const outwards = isRtl ? "ArrowRight" : "ArrowLeft";
  const handled = (() => {
    switch (event.key) {
      case "ArrowDown":
      case "ArrowUp": {
        const step = event.key === "ArrowDown" ? 1 : -1;
        if (event.altKey) {
          if (settings.change && !settings.flat) shift(item, step);
          return true;
        }
        if (event.shiftKey) choose(item, true);
        focus(rows[now + step]);
        if (event.shiftKey && rows[now + step]) choose(rows[now + step], true);
        return true;
      }
      case inwards:
        if (item.getAttribute("aria-expanded") === "false") open(item);
        else if (isOpen(item)) focus(rows[now + 1]);
        return true;
      case outwards:
        if (isOpen(item)) fold(item);
        else focus(parentOf(item));
        return true;
      case "Home":
        focus(rows[0]);
        return true;
      case "End":
        focus(rows[rows.length - 1]);
        return true;
      case "Enter":
        if (event.repeat) return true; // held down since something else
        location.assign(item.querySelector("a").href);
        return true;
      case " ":
        choose(item, undefined, event.shiftKey);
        return true;
      case "Delete":
        if (settings.change && !("trashed" in item.dataset)) act("trash", withChosen(item));
        return true;
      case "ContextMenu":
        openMenu(item, doors);
        return true;
      case "F10":
        if (event.shiftKey) openMenu(item, doors);
        return event.shiftKey;
      case "Escape":
        chooseNone();
        return true;
    }
    // Letters by their key: an Arabic keyboard writes others.
    if (event.altKey || event.shiftKey) return false;
    switch (event.code) {
      case "KeyN":
        addFrom(item);
        return true;
      case "KeyM":
        if (settings.change) act("move_to", withChosen(item));
        return true;
    }
    return false;
  })();
  if (handled) event.preventDefault();
});

document.addEventListener("keydown", (event) => {
  const isWriting = event.target.closest?.("input, textarea, select, [contenteditable], dialog");
  if (isWriting || event.altKey) return;
  if (event.ctrlKey || event.metaKey) {
    if (event.code !== "KeyZ" || event.shiftKey || !undoable.length) return;
    event.preventDefault();
    if (!event.repeat) takeBack(undoable.at(-1));
    return;
  }
  if (event.key === "/" || event.code === "Slash") {
    event.preventDefault();
    document.getElementById("tree-q").focus();
  } else if (event.code === "KeyN" && !itemOf(event.target) && !event.shiftKey) {
    event.preventDefault();
    start("subject");
  }
});

document.getElementById("add-root")?.addEventListener("click", () => start("subject"));

document.getElementById("chosen-bar").addEventListener("click", (event) => {
  const name = event.target.dataset.do;
  if (name) act(name, [...tree.querySelectorAll("[aria-selected='true']")]);
});

document.querySelector(".tree-search").addEventListener("change", (event) => {
  if (event.target.matches("select")) event.target.form.requestSubmit();
});
document.querySelector(".tree-search").addEventListener("submit", (event) => {
  for (const field of event.target.querySelectorAll("[name]")) field.disabled = !field.value;
});
window.addEventListener("pageshow", () => {
  for (const field of document.querySelectorAll(".tree-search [name]")) field.disabled = false;
});

if (settings.change && !settings.flat) {
  startDragging({
    withChosen,
    open,
    refuse: (said) => toast(said, { failed: true }),
    drop: (items, target, position) =>
      change("move", { nodes: pks(items), target: target.dataset.pk, position }).then(
        (told) => told && focus(byPk(items[0].dataset.pk)),
      ),
  });
}

/* --- Begin ------------------------------------------------------------------------------ */

const said = sessionStorage.getItem("memora.tree.said");
if (said) {
  sessionStorage.removeItem("memora.tree.said");
  say(JSON.parse(said));
}
// Where the address says to look, or else where one was.
const at = settings.at;
if (at) {
  for (const [pk, shown] of at.way) widen(pk, shown);
  const address = new URL(location.href);
  address.searchParams.delete("at");
  history.replaceState(null, "", address);
}
if (!settings.flat && (opened.size || roots > settings.page)) await inTurn(refresh);
makeReachable();
const row = settings.flat ? null : byPk(at ? at.pk : stored.focus);
if (row && isShown(row)) {
  focus(row, { scroll: false });
  row.querySelector(".row").scrollIntoView({ block: "center" });
}
markChosen();
showPath();
tree.dataset.ready = "";
