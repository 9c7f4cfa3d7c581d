/* The content tree: opening branches, selection, keyboard, and changes.

The server renders the rows. This script fetches them, and after every change fetches the
open branches again, so that the page shows the stored state. */

import { preserveLine, startAdd } from "./tree-quick-add.js";
import { askFor, choosePlace, confirmed } from "./tree-dialogs.js";
import { clearSelection, markSelected, select, withSelected } from "./tree-selection.js";
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
  texts,
  toast,
  tree,
} from "./tree-page.js";
import { showPath } from "./tree-path.js";
import { deletePermanently, get, post } from "./tree-api.js";

/* --- Open branches, stored per tab ----------------------------------------- */

const STORE = "memora.tree";
const stored = JSON.parse(sessionStorage.getItem(STORE) || "{}");
const opened = new Map((stored.open || []).map(([pk, shown]) => [String(pk), shown]));
let roots = stored.roots || settings.page;

function saveState() {
  sessionStorage.setItem(
    STORE,
    JSON.stringify({ open: [...opened], roots, focus: current()?.dataset.pk }),
  );
}

/** Fetch at least `shown` rows of a branch; "" is the list of subjects. */
function ensureRows(pk, shown) {
  if (!pk) roots = Math.max(roots, shown);
  else opened.set(pk, Math.max(opened.get(pk) || settings.page, shown));
}

/* --- Requests ---------------------------------------------------------------- */

let busy = Promise.resolve();

/** Run `work` after all earlier requests, so that changes do not overlap. */
function enqueue(work) {
  const finished = busy.then(work);
  busy = finished.catch(() => {});
  return finished;
}

/** Request a change, show the result, and fetch the tree again.

`values` is the data, or a function called when the request starts that returns (or
resolves with) the data, or null for no request. `onSuccess` gets the response before the rows
are fetched again. */
function change(path, values, onSuccess = () => {}) {
  return enqueue(async () => {
    const data = typeof values === "function" ? await values() : values;
    if (!data) return null;
    let result = await post(path, data);
    if (result.question) {
      if (!(await confirmed(result))) return null;
      result = await post(path, { ...data, confirmed: "yes" });
    }
    if (result.error) {
      toast(result.error, { failed: true });
      return null;
    }
    for (const [pk, shown] of result.open_branches || []) ensureRows(pk, shown);
    if (settings.flat) {
      if (result.message) sessionStorage.setItem("memora.tree.message", JSON.stringify(result));
      location.reload();
      return result;
    }
    onSuccess(result);
    await refresh();
    if (result.message) notify(result);
    return result;
  });
}

/* --- Undo ------------------------------------------------------------------------- */

const undoable = [];
const redoable = [];

/** Show what was done; it can be undone by the button or Ctrl+Z. What was undone can be redone
    by the button, Ctrl+Shift+Z or Ctrl+Y, until the next change. */
function notify(result) {
  if (result.redo) {
    offer(result, redoable, "redo", { again: "yes" });
  } else if (result.undo) {
    if (!result.isAgain) redoable.splice(0).forEach((last) => last.close());
    offer(result, undoable, "undo");
  } else {
    toast(result.message);
  }
}

function offer(result, stack, name, values = {}) {
  const last = { record: result[name] };
  last.run = () => {
    stack.splice(stack.indexOf(last), 1);
    last.close();
    change("undo", { record: last.record, ...values }, (answer) => {
      answer.isAgain = "again" in values;
    });
  };
  last.close = toast(result.message, { [name]: last.run });
  stack.push(last);
}

/* --- Rows ---------------------------------------------------------------------- */

/** Make the focused row the one that Tab reaches, and remember it for the next visit. */
tree.addEventListener("focusin", (event) => {
  const item = itemOf(event.target);
  if (!item) return;
  for (const old of tree.querySelectorAll("[tabindex='0'][role=treeitem]")) old.tabIndex = -1;
  item.tabIndex = 0;
  saveState();
});

const fragment = (html) => {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content;
};

async function expand(item) {
  if (item.getAttribute("aria-expanded") === null) return;
  const pk = item.dataset.pk;
  ensureRows(pk, settings.page);
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
    markSelected();
    for (const child of item.querySelectorAll("[role=treeitem]")) {
      if (opened.has(child.dataset.pk)) await expand(child);
    }
  }
  saveState();
  showPath();
}

function collapse(item) {
  item.setAttribute("aria-expanded", "false");
  opened.delete(item.dataset.pk);
  if (item.contains(document.activeElement)) focus(item);
  saveState();
  showPath();
}

const toggle = (item) => (isOpen(item) ? collapse(item) : expand(item));

async function refresh() {
  const focused = itemOf(document.activeElement)?.dataset.pk;
  const requested = new Set(opened.keys());
  try {
    const answer = await get("rows/", {
      open: [...opened].map(([pk, shown]) => `${pk}:${shown}`).join(","),
      roots,
    });
    const rows = fragment(await answer.text());
    tree.style.minHeight = `${tree.offsetHeight}px`;
    preserveLine(() => groupOf(null).replaceWith(rows));
    tree.querySelector(".first-steps")?.remove();
    tree.style.minHeight = "";
  } catch (error) {
    toast(error.message, { failed: true });
  }
  // Apply branches opened or closed while the rows were being fetched.
  for (const item of tree.querySelectorAll("[aria-expanded]")) {
    const { pk } = item.dataset;
    if (isOpen(item) && !opened.has(pk)) item.setAttribute("aria-expanded", "false");
    else if (!isOpen(item) && opened.has(pk) && !requested.has(pk)) expand(item);
  }
  markSelected();
  makeReachable();
  if (focused && !document.activeElement.closest(".adding")) focus(byPk(focused), { scroll: false });
  showPath();
}

/** Ensure that Tab reaches one row. */
function makeReachable() {
  if (!current()) {
    const wanted = stored.focus && byPk(stored.focus);
    const item = wanted && isShown(wanted) ? wanted : tree.querySelector("[role=treeitem]");
    if (item) item.tabIndex = 0;
  }
}

/** Fetch more rows of the button's branch; resolves with the first new one. */
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
    ensureRows(pk, shown + settings.page);
    saveState();
    return first;
  } catch (error) {
    button.disabled = false;
    toast(error.message, { failed: true });
    return null;
  }
}

/* --- Changes -------------------------------------------------------------------- */

async function runAction(name, items) {
  if (!items.length) return;
  switch (name) {
    case "none":
      return clearSelection();
    case "move_to":
    case "copy_to":
      return moveOrCopyTo(name, items);
    case "copy":
      return change("copy", { nodes: pks(items) }).then((result) => result && focus(byPk(result.pk)));
    case "item": {
      const now = items.length === 1 ? items[0].dataset.item || "" : "";
      const value = await askFor(texts.item_title, texts.item_help, now, texts);
      if (value !== null) await change("do", { do: "item", nodes: pks(items), value });
      return;
    }
    case "rename": {
      const [item] = items;
      const now = (item.querySelector(".own-title bdi") || item.querySelector("a bdi")).textContent;
      const value = await askFor(texts.rename_title, "", now, texts, { isTitle: true });
      if (value && value !== now) await change("do", { do: "rename", nodes: pks([item]), value });
      focus(byPk(item.dataset.pk));
      return;
    }
    case "delete":
      return deletePermanently(pks(items));
    case "trash": {
      const { nextElementSibling: below, previousElementSibling: above } = items[0];
      const next = [below, above].find((one) => one?.dataset.pk) || parentOf(items[0]);
      const result = await change("do", { do: "trash", nodes: pks(items) });
      if (result && next) focus(byPk(next.dataset.pk));
      return;
    }
    default:
      await change("do", { do: name, nodes: pks(items) });
  }
}

async function moveOrCopyTo(name, items) {
  const [first] = items;
  if (items.some((item) => item.dataset.kind !== first.dataset.kind)) {
    return toast(texts.mixed_kinds, { failed: true });
  }
  if (first.dataset.kind === "subject") {
    return toast(texts.subject_top, { failed: true });
  }
  const place = await choosePlace({
    title: texts[name],
    help: name === "copy_to" ? texts.copy_help : texts[`goes_inside_${first.dataset.kind}`],
    texts,
    find: async (q) => {
      const values = { kind: first.dataset.kind, near: first.dataset.subject, q };
      return (await (await get("places/", values)).json()).places;
    },
  });
  if (place === null) return;
  const values = { nodes: pks(items), target: place };
  const result = await (name === "copy_to"
    ? change("copy", values)
    : change("move", { ...values, position: "last-child" }));
  if (result) focus(byPk(result.pk || first.dataset.pk));
}

async function moveByStep(item, step) {
  const { pk } = item.dataset;
  const towards = step < 0 ? "previousElementSibling" : "nextElementSibling";
  const result = await change("move", async () => {
    // There may be more rows after the last one shown.
    const more = byPk(pk)?.[towards]?.querySelector(":scope > .show-more");
    if (more) await showMore(more);
    const beside = byPk(pk)?.[towards]?.dataset.pk;
    return beside && { nodes: pk, target: beside, position: step < 0 ? "left" : "right" };
  });
  if (result) focus(byPk(pk));
}

/** Show an input line for titles at `place`; see `startAdd`. */
async function start(kind, place = {}) {
  if (place.parent) await expand(place.parent);
  startAdd(kind, place, ({ values, added }) =>
    change("quick-add", values, (result) => added(result.pk)),
  );
}

/** Add a child (key N); beside a lesson, because lessons have no children. */
function addFrom(item) {
  const child = childOf(item.dataset.kind);
  if (child) start(child, { parent: item });
  else start(item.dataset.kind, { beside: item });
}

/* --- Pointer and keyboard ------------------------------------------------------------- */

const actions = { runAction, start };

tree.addEventListener("click", (event) => {
  const item = itemOf(event.target);
  const button = event.target.closest("button");
  if (button?.classList.contains("show-more")) {
    return enqueue(() => showMore(button)).then((first) => focus(first, { scroll: false }));
  }
  if (!item) return;
  if (button?.classList.contains("expander")) {
    focus(item, { scroll: false });
    toggle(item);
  } else if (button?.classList.contains("menu-button")) {
    if (isMenuOf(item)) closeMenu();
    else openMenu(item, actions);
    event.stopPropagation();
  } else if (event.target.classList.contains("pick")) {
    select(item, event.target.checked, event.shiftKey);
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
          if (settings.change && !settings.flat) moveByStep(item, step);
          return true;
        }
        if (event.shiftKey) select(item, true);
        focus(rows[now + step]);
        if (event.shiftKey && rows[now + step]) select(rows[now + step], true);
        return true;
      }
      case inwards:
        if (item.getAttribute("aria-expanded") === "false") expand(item);
        else if (isOpen(item)) focus(rows[now + 1]);
        return true;
      case outwards:
        if (isOpen(item)) collapse(item);
        else focus(parentOf(item));
        return true;
      case "Home":
        focus(rows[0]);
        return true;
      case "End":
        focus(rows[rows.length - 1]);
        return true;
      case "Enter":
        if (event.repeat) return true; // the key is still held down
        location.assign(item.querySelector("a").href);
        return true;
      case " ":
        select(item, undefined, event.shiftKey);
        return true;
      case "Delete":
        if (settings.change && !("trashed" in item.dataset)) runAction("trash", withSelected(item));
        return true;
      case "F2":
        if (settings.change && !("trashed" in item.dataset)) runAction("rename", [item]);
        return true;
      case "ContextMenu":
        openMenu(item, actions);
        return true;
      case "F10":
        if (event.shiftKey) openMenu(item, actions);
        return event.shiftKey;
      case "Escape":
        clearSelection();
        return true;
    }
    // By physical key: an Arabic keyboard layout produces other letters.
    if (event.altKey || event.shiftKey) return false;
    switch (event.code) {
      case "KeyN":
        addFrom(item);
        return true;
      case "KeyM":
        if (settings.change) runAction("move_to", withSelected(item));
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
    const isRedo = event.code === "KeyY" || (event.code === "KeyZ" && event.shiftKey);
    if (!isRedo && event.code !== "KeyZ") return;
    const last = (isRedo ? redoable : undoable).at(-1);
    if (!last) return;
    event.preventDefault();
    if (!event.repeat) last.run();
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

document.getElementById("selection-bar").addEventListener("click", (event) => {
  const name = event.target.dataset.do;
  if (name) runAction(name, [...tree.querySelectorAll("[aria-selected='true']")]);
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
    withSelected,
    expand,
    reject: (message) => toast(message, { failed: true }),
    drop: (items, target, position) =>
      change("move", { nodes: pks(items), target: target.dataset.pk, position }).then(
        (result) => result && focus(byPk(items[0].dataset.pk)),
      ),
  });
}

/* --- Start ------------------------------------------------------------------------------ */

const pending = sessionStorage.getItem("memora.tree.message");
if (pending) {
  sessionStorage.removeItem("memora.tree.message");
  notify(JSON.parse(pending));
}
// Focus the row in the URL, or else the last focused one.
const at = settings.at;
if (at) {
  for (const [pk, shown] of at.open_branches) ensureRows(pk, shown);
  const address = new URL(location.href);
  address.searchParams.delete("at");
  history.replaceState(null, "", address);
}
if (!settings.flat && (opened.size || roots > settings.page)) await enqueue(refresh);
makeReachable();
const row = settings.flat ? null : byPk(at ? at.pk : stored.focus);
if (row && isShown(row)) {
  focus(row, { scroll: false });
  row.querySelector(".row").scrollIntoView({ block: "center" });
}
markSelected();
showPath();
tree.dataset.ready = "";
