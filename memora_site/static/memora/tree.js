/* The content tree: opening branches, keys, menus, choosing, and asking for changes.

The server writes the rows; this script fetches them, and after every change fetches
what is open again, so that what is on the page is what is stored. */

import { startDragging } from "./tree-drag.js";
import { askFor, choosePlace, confirmed } from "./tree-dialogs.js";

const read = (id) => JSON.parse(document.getElementById(id).textContent);
const words = read("tree-words");
const menuWords = read("tree-menu-words");
const kindWords = read("tree-kind-words");
const settings = read("tree-settings");
const tree = document.getElementById("tree");
const isRtl = document.documentElement.dir === "rtl";
const CHILD = { subject: "track", track: "unit", unit: "topic", topic: "lesson" };
const PAGE = 100;

/* --- What is open, for this tab ------------------------------------------- */

const STORE = "memora.tree";
const stored = JSON.parse(sessionStorage.getItem(STORE) || "{}");
const opened = new Map((stored.open || []).map(([pk, shown]) => [String(pk), shown]));
let roots = stored.roots || PAGE;

function remember() {
  const focused = tree.querySelector("[role=treeitem][tabindex='0']");
  sessionStorage.setItem(
    STORE,
    JSON.stringify({ open: [...opened], roots, focus: focused?.dataset.pk }),
  );
}

/* --- Asking the server ----------------------------------------------------- */

const csrf = () => document.querySelector("#tree-csrf input").value;

async function get(path, values = {}) {
  const query = new URLSearchParams(values);
  if (settings.view) query.set("view", settings.view);
  const answer = await fetch(`${settings.base}${path}?${query}`);
  if (answer.redirected || !answer.ok) throw new Error(problem(answer));
  return answer;
}

function problem(answer) {
  if (answer.redirected) return words.signed_out;
  return answer.status === 403 ? words.forbidden : words.failed;
}

async function post(path, values) {
  const body = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    for (const one of [value].flat()) body.append(name, one);
  }
  let answer;
  try {
    answer = await fetch(`${settings.base}${path}/`, {
      method: "POST",
      headers: { "X-CSRFToken": csrf() },
      body,
    });
  } catch {
    return { refused: words.failed };
  }
  if (answer.redirected || !(answer.ok || answer.status === 409)) {
    return { refused: problem(answer) };
  }
  return answer.json();
}

/** Ask for a change; say what came of it, and show the tree as it is then. */
async function change(path, values) {
  let told = await post(path, values);
  if (told.ask) {
    if (!(await confirmed(told))) return null;
    told = await post(path, { ...values, confirmed: "yes" });
  }
  if (told.refused) {
    toast(told.refused, { failed: true });
    return null;
  }
  for (const pk of told.open || []) opened.set(String(pk), opened.get(String(pk)) || PAGE);
  if (settings.flat) {
    if (told.said) sessionStorage.setItem("memora.tree.said", JSON.stringify(told));
    location.reload();
    return told;
  }
  await refresh();
  if (told.said) toast(told.said, told);
  return told;
}

/* --- Toasts ------------------------------------------------------------------ */

function toast(said, { undo = "", failed = false } = {}) {
  const box = document.createElement("div");
  box.className = failed ? "toast is-failed" : "toast";
  const text = document.createElement("span");
  text.textContent = said;
  box.append(text);
  if (undo) {
    const button = Object.assign(document.createElement("button"), {
      type: "button",
      textContent: words.undo,
      className: "undo",
    });
    button.addEventListener("click", () => {
      box.remove();
      change("undo", { record: undo });
    });
    box.append(button);
  }
  const close = Object.assign(document.createElement("button"), {
    type: "button",
    textContent: "×",
    className: "close",
    ariaLabel: words.close,
  });
  close.addEventListener("click", () => box.remove());
  box.append(close);
  const toasts = document.getElementById("toasts");
  while (toasts.children.length > 2) toasts.firstChild.remove();
  toasts.append(box);
  const wait = failed || undo ? 15000 : 6000;
  let timer = setTimeout(() => box.remove(), wait);
  box.addEventListener("pointerenter", () => clearTimeout(timer));
  box.addEventListener("pointerleave", () => {
    timer = setTimeout(() => box.remove(), wait / 2);
  });
}

/* --- Rows ---------------------------------------------------------------------- */

const itemOf = (element) => element?.closest?.("[role=treeitem]") || null;
const byPk = (pk) => tree.querySelector(`[role=treeitem][data-pk="${pk}"]`);
const rowsOf = () => [...tree.querySelectorAll("[role=treeitem]")].filter(isShown);
const isShown = (item) => !item.parentElement.closest('[aria-expanded="false"]');
const groupOf = (item) => item.querySelector(":scope > [role=group]");
const parentOf = (item) => itemOf(item.parentElement);
const titleOf = (item) => item.querySelector("a bdi").textContent;

function focus(item, { scroll = true } = {}) {
  if (!item) return;
  for (const old of tree.querySelectorAll("[tabindex='0'][role=treeitem]")) {
    old.tabIndex = -1;
  }
  item.tabIndex = 0;
  item.focus({ preventScroll: true });
  if (scroll) item.querySelector(".row").scrollIntoView({ block: "nearest" });
  remember();
}

const fragment = (html) => {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content;
};

async function open(item) {
  if (item.getAttribute("aria-expanded") === null) return;
  const pk = item.dataset.pk;
  opened.set(pk, opened.get(pk) || PAGE);
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

const isOpen = (item) => item.getAttribute("aria-expanded") === "true";
const toggle = (item) => (isOpen(item) ? fold(item) : open(item));

async function refresh() {
  const focused = document.activeElement && itemOf(document.activeElement)?.dataset.pk;
  try {
    const answer = await get("rows/", {
      open: [...opened].map(([pk, shown]) => `${pk}:${shown}`).join(","),
      roots,
    });
    const top = tree.querySelector(":scope > [role=group]");
    const height = tree.offsetHeight;
    tree.style.minHeight = `${height}px`;
    top.replaceWith(fragment(await answer.text()));
    tree.querySelector(".first-steps")?.remove();
    tree.style.minHeight = "";
  } catch (error) {
    toast(error.message, { failed: true });
  }
  markChosen();
  makeReachable();
  if (focused) focus(byPk(focused), { scroll: false });
  showPath();
}

/** One row is always reached by Tab. */
function makeReachable() {
  if (!tree.querySelector("[role=treeitem][tabindex='0']")) {
    const wanted = stored.focus && byPk(stored.focus);
    const item = wanted && isShown(wanted) ? wanted : tree.querySelector("[role=treeitem]");
    if (item) item.tabIndex = 0;
  }
}

async function showMore(button) {
  const group = button.closest("[role=group]");
  const pk = group.dataset.parent;
  const shown = group.querySelectorAll(":scope > [role=treeitem]").length;
  if (!pk) {
    roots = shown + PAGE;
    await refresh();
    return;
  }
  button.disabled = true;
  try {
    const answer = await get(`rows/${pk}/`, { start: shown });
    const more = fragment(await answer.text()).querySelector("[role=group]");
    button.closest("li").remove();
    const first = more.querySelector("[role=treeitem]");
    group.append(...more.children);
    opened.set(pk, shown + PAGE);
    focus(first, { scroll: false });
  } catch (error) {
    button.disabled = false;
    toast(error.message, { failed: true });
  }
  remember();
}

/* --- Choosing many --------------------------------------------------------------- */

const chosen = new Set();
let lastChosen = null;

function choose(item, wanted = !chosen.has(item.dataset.pk), range = false) {
  if (!settings.change) return;
  const rows = rowsOf();
  const from = range && lastChosen ? rows.indexOf(byPk(lastChosen)) : -1;
  const to = rows.indexOf(item);
  const some = from < 0 ? [item] : rows.slice(Math.min(from, to), Math.max(from, to) + 1);
  for (const one of some) {
    if (one.dataset.kind !== item.dataset.kind && range) continue;
    if (wanted) chosen.add(one.dataset.pk);
    else chosen.delete(one.dataset.pk);
  }
  lastChosen = item.dataset.pk;
  markChosen();
}

function markChosen() {
  for (const pk of chosen) if (!byPk(pk)) chosen.delete(pk);
  for (const item of tree.querySelectorAll("[role=treeitem][aria-selected]")) {
    const is = chosen.has(item.dataset.pk);
    item.setAttribute("aria-selected", String(is));
    const box = item.querySelector(".pick");
    if (box) box.checked = is;
  }
  const bar = document.getElementById("chosen-bar");
  bar.hidden = chosen.size === 0;
  document.getElementById("chosen-count").textContent = words.chosen.replace("%s", chosen.size);
}

/** The chosen rows when `item` is one of them, else it alone; in the tree's order. */
function withChosen(item) {
  if (!chosen.has(item.dataset.pk)) return [item];
  return [...tree.querySelectorAll("[role=treeitem]")].filter((one) =>
    chosen.has(one.dataset.pk),
  );
}

const pks = (items) => items.map((item) => item.dataset.pk);

/* --- Changes -------------------------------------------------------------------- */

async function act(name, items) {
  if (!items.length) return;
  switch (name) {
    case "none":
      chosen.clear();
      return markChosen();
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
      return deleteForGood(items);
    case "trash": {
      const next = items[0].nextElementSibling || parentOf(items[0]);
      const told = await change("do", { do: "trash", nodes: pks(items) });
      if (told && next?.dataset.pk) focus(byPk(next.dataset.pk));
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
  if (name === "copy_to") await change("copy", { nodes: pks(items), target: place });
  else await change("move", { nodes: pks(items), target: place, position: "last-child" });
}

function deleteForGood(items) {
  const form = document.createElement("form");
  form.method = "post";
  form.action = settings.base;
  const add = (name, value) => {
    form.append(Object.assign(document.createElement("input"), { type: "hidden", name, value }));
  };
  add("csrfmiddlewaretoken", csrf());
  add("action", "delete_selected");
  for (const pk of pks(items)) add("_selected_action", pk);
  document.body.append(form);
  form.submit();
}

async function shift(item, step) {
  const towards = step < 0 ? "previousElementSibling" : "nextElementSibling";
  const beside = item[towards];
  if (!beside?.dataset.pk) return;
  const position = step < 0 ? "left" : "right";
  const told = await change("move", { nodes: item.dataset.pk, target: beside.dataset.pk, position });
  if (told) focus(byPk(item.dataset.pk));
}

/* --- Adding in place -------------------------------------------------------------- */

/** A line to write a title in; Enter adds it and offers the next. */
async function startAdding(kind, { parent = null, beside = null, side = "right" }) {
  if (!settings.add || settings.flat) return;
  tree.querySelector(".adding")?.remove();
  const line = document.createElement("li");
  line.className = "adding";
  line.setAttribute("role", "none");
  const input = Object.assign(document.createElement("input"), {
    type: "text",
    maxLength: 255,
    dir: "auto",
    placeholder: kindWords[kind].title,
    ariaLabel: kindWords[kind].title,
  });
  line.append(input);
  if (beside) {
    beside[side === "left" ? "before" : "after"](line);
  } else if (parent) {
    await open(parent);
    groupOf(parent)?.querySelector(":scope > .nothing")?.remove();
    groupOf(parent)?.append(line);
  } else {
    tree.querySelector(":scope > [role=group]").append(line);
  }
  line.scrollIntoView({ block: "center" });
  input.focus();
  const back = beside || parent;
  let isDone = false;
  const leave = () => {
    isDone = true;
    line.remove();
    if (back) focus(byPk(back.dataset.pk));
  };
  input.addEventListener("keydown", async (event) => {
    event.stopPropagation();
    if (event.isComposing) return;
    if (event.key === "Escape") return leave();
    if (event.key !== "Enter") return;
    event.preventDefault();
    const title = input.value.trim();
    if (!title) return leave();
    input.readOnly = true;
    const values = beside
      ? { title, beside: beside.dataset.pk, side }
      : { title, parent: parent?.dataset.pk || "" };
    const told = await change("quick-add", values);
    input.readOnly = false;
    if (told) startAdding(kind, { beside: byPk(told.pk), side: "right" });
  });
  input.addEventListener("blur", () => {
    if (!isDone && !input.value.trim() && !input.readOnly) line.remove();
  });
}

/** What N does: adds inside; below a lesson, which holds none. */
function addFrom(item) {
  const child = CHILD[item.dataset.kind];
  if (child) startAdding(child, { parent: item });
  else startAdding(item.dataset.kind, { beside: item, side: "right" });
}

/* --- The menu of a row ------------------------------------------------------------- */

let menu = null;

function closeMenu({ back = true } = {}) {
  if (!menu) return;
  const item = menu.item;
  menu.element.remove();
  menu = null;
  if (back) focus(item, { scroll: false });
}

function entries(item) {
  const { kind, id, pk } = item.dataset;
  const page = `${settings.base}${pk}/`;
  const list = [["open", `${page}change/`]];
  const has = (name) => name in item.dataset;
  if (settings.previews[kind]) list.push(["preview", settings.previews[kind].replace("/ID/", `/${id}/`)]);
  if (has("trashed")) {
    if (settings.change) list.push(["restore"]);
    if (settings.delete) list.push(["delete", `${page}delete/`]);
    list.push(["history", `${page}history/`]);
    return list;
  }
  if (settings.add && !settings.flat) {
    list.push(null);
    if (CHILD[kind]) list.push(["inside", () => addFrom(item), kindWords[CHILD[kind]].inside]);
    for (const [name, side] of [["above", "left"], ["below", "right"]]) {
      list.push([name, () => startAdding(kind, { beside: item, side }), kindWords[kind][name]]);
    }
  }
  if (settings.add) {
    list.push(null, ["copy"]);
    if (kind !== "subject") list.push(["copy_to"]);
  }
  if (settings.change) {
    if (kind !== "subject") list.push(["move_to"]);
    list.push(null);
    list.push([has("published") ? "unpublish" : "publish"]);
    if (CHILD[kind]) list.push(["publish_inside"], ["unpublish_inside"]);
    list.push([has("free") ? "not_free" : "free"], ["item"]);
  }
  list.push(null, ["history", `${page}history/`]);
  if (settings.change) list.push(["trash"]);
  return list;
}

function openMenu(item) {
  closeMenu({ back: false });
  const element = document.createElement("div");
  element.className = "row-menu";
  element.setAttribute("role", "menu");
  element.setAttribute("aria-label", titleOf(item));
  for (const entry of entries(item)) {
    if (entry === null) {
      element.append(Object.assign(document.createElement("hr"), { role: "separator" }));
      continue;
    }
    const [name, what, label = menuWords[name]] = entry;
    const line = document.createElement(typeof what === "string" ? "a" : "button");
    line.setAttribute("role", "menuitem");
    line.tabIndex = -1;
    line.textContent = label;
    line.dataset.name = name;
    if (typeof what === "string") {
      line.href = what;
    } else {
      line.type = "button";
      line.addEventListener("click", () => {
        closeMenu();
        if (what) what();
        else act(name, [item]);
      });
    }
    element.append(line);
  }
  document.body.append(element);
  menu = { element, item };
  place(element, item.querySelector(".menu-button"));
  element.querySelector("[role=menuitem]").focus();
  element.addEventListener("keydown", menuKeys);
}

function place(element, button) {
  const at = button.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = element;
  const left = isRtl ? at.left : at.right - width;
  const below = at.bottom + height < window.innerHeight;
  element.style.left = `${Math.max(4, Math.min(left, window.innerWidth - width - 4))}px`;
  element.style.top = `${below ? at.bottom : Math.max(4, window.innerHeight - height - 4)}px`;
}

function menuKeys(event) {
  const lines = [...menu.element.querySelectorAll("[role=menuitem]")];
  const now = lines.indexOf(document.activeElement);
  const to = { ArrowDown: now + 1, ArrowUp: now - 1, Home: 0, End: lines.length - 1 }[event.key];
  event.stopPropagation();
  if (to !== undefined) {
    event.preventDefault();
    lines[(to + lines.length) % lines.length].focus();
  } else if (event.key === "Escape" || event.key === "Tab") {
    event.preventDefault();
    closeMenu();
  }
}

/* --- The path, in view while one scrolls ------------------------------------------- */

const bar = document.querySelector(".tree-bar");
const pathLine = document.getElementById("tree-path");
let pathShown = "";

/** The path of the first row below the bar. */
function showPath() {
  if (settings.flat) return;
  const edge = bar.getBoundingClientRect().bottom;
  const box = tree.getBoundingClientRect();
  let item = null;
  if (box.top < edge - 4 && box.bottom > edge) {
    item = itemOf(document.elementFromPoint(box.left + box.width / 2, edge + 6));
  }
  const trail = [];
  for (let above = item && parentOf(item); above; above = parentOf(above)) trail.unshift(above);
  const key = pks(trail).join("/");
  if (key === pathShown) return;
  pathShown = key;
  pathLine.replaceChildren(
    ...trail.flatMap((above, place) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = titleOf(above);
      button.dataset.pk = above.dataset.pk;
      return place ? [document.createTextNode(" › "), button] : [button];
    }),
  );
}

pathLine.addEventListener("click", (event) => {
  const item = event.target.dataset.pk && byPk(event.target.dataset.pk);
  if (!item) return;
  const top = item.getBoundingClientRect().top + window.scrollY;
  window.scrollTo({ top: top - bar.offsetHeight - 40 });
  focus(item, { scroll: false });
});

let isWaiting = false;
window.addEventListener(
  "scroll",
  () => {
    if (menu) closeMenu({ back: false });
    if (isWaiting) return;
    isWaiting = true;
    requestAnimationFrame(() => {
      isWaiting = false;
      showPath();
    });
  },
  { passive: true },
);

/* --- Pointer and keys ---------------------------------------------------------------- */

tree.addEventListener("click", (event) => {
  const item = itemOf(event.target);
  const button = event.target.closest("button");
  if (button?.classList.contains("show-more")) return showMore(button);
  if (!item) return;
  if (button?.classList.contains("twist")) {
    focus(item, { scroll: false });
    toggle(item);
  } else if (button?.classList.contains("menu-button")) {
    if (menu?.item === item) closeMenu();
    else openMenu(item);
    event.stopPropagation();
  } else if (event.target.classList.contains("pick")) {
    choose(item, event.target.checked, event.shiftKey);
  } else if (!event.target.closest("a, button, input, .grip")) {
    focus(item, { scroll: false });
  }
});

document.addEventListener("click", (event) => {
  if (menu && !menu.element.contains(event.target)) closeMenu({ back: false });
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
        location.assign(item.querySelector("a").href);
        return true;
      case " ":
        choose(item, undefined, event.shiftKey);
        return true;
      case "Delete":
        if (settings.change && !("trashed" in item.dataset)) act("trash", withChosen(item));
        return true;
      case "ContextMenu":
        openMenu(item);
        return true;
      case "F10":
        if (event.shiftKey) openMenu(item);
        return event.shiftKey;
      case "Escape":
        chosen.clear();
        markChosen();
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
  if (isWriting || event.altKey || event.ctrlKey || event.metaKey) return;
  if (event.key === "/" || event.code === "Slash") {
    event.preventDefault();
    document.getElementById("tree-q").focus();
  } else if (event.code === "KeyN" && !itemOf(event.target) && !event.shiftKey) {
    event.preventDefault();
    startAdding("subject", {});
  }
});

document.getElementById("add-root")?.addEventListener("click", () => startAdding("subject", {}));

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
    tree,
    words,
    isRtl,
    itemOf,
    withChosen,
    open,
    titleOf,
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
  const told = JSON.parse(said);
  toast(told.said, told);
}
if (!settings.flat && (opened.size || roots > PAGE)) await refresh();
makeReachable();
markChosen();
showPath();
tree.dataset.ready = "";
