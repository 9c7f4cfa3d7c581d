/* Shared parts of the content tree: the page's texts and settings, its rows, its toasts. */

const read = (id) => JSON.parse(document.getElementById(id).textContent);

export const texts = read("tree-texts");
export const menuTexts = read("tree-menu-texts");
export const kindTexts = read("tree-kind-texts");
export const settings = read("tree-settings");
export const tree = document.getElementById("tree");
export const isRtl = document.documentElement.dir === "rtl";

/* --- Kinds and numbers --------------------------------------------------------------- */

/** Return the depth of a kind, from 0. */
export const depth = (kind) => settings.kinds.indexOf(kind);
export const childOf = (kind) => settings.kinds[depth(kind) + 1];

const plurals = new Intl.PluralRules(document.documentElement.lang);

/** Return "3 selected" in the plural form of the language. */
export const selectedCountText = (count) =>
  texts.selected[plurals.select(count)].replace("%(count)s", count);

/* --- Rows ---------------------------------------------------------------------------- */

export const itemOf = (element) => element?.closest?.("[role=treeitem]") || null;
export const byPk = (pk) => (pk ? tree.querySelector(`[role=treeitem][data-pk="${pk}"]`) : null);
export const isShown = (item) => !item.parentElement.closest('[aria-expanded="false"]');
export const rowsOf = () => [...tree.querySelectorAll("[role=treeitem]")].filter(isShown);
export const parentOf = (item) => itemOf(item.parentElement);
export const titleOf = (item) => item.querySelector("a bdi").textContent;
export const pks = (items) => items.map((item) => item.dataset.pk);
export const isOpen = (item) => item.getAttribute("aria-expanded") === "true";
/** Return the row that Tab reaches. */
export const current = () => tree.querySelector("[role=treeitem][tabindex='0']");

/** Focus a row. */
export function focus(item, { scroll = true } = {}) {
  if (!item) return;
  item.tabIndex = 0;
  item.focus({ preventScroll: true });
  if (scroll) item.querySelector(".row").scrollIntoView({ block: "nearest" });
}

/** Return the group of the direct children of `item`; without it, of the subjects. */
export const groupOf = (item) => (item || tree).querySelector(":scope > [role=group]");
export const countIn = (group) => group.querySelectorAll(":scope > [role=treeitem]").length;

/* --- Toasts -------------------------------------------------------------------------- */

/** Leave room for the toasts below the rows, and scroll the row with the focus above them. */
function reserve() {
  const { height } = document.getElementById("toasts").getBoundingClientRect();
  const room = height ? `${height + 32}px` : "";
  document.documentElement.style.scrollPaddingBottom = room;
  tree.style.paddingBlockEnd = room;
  const row = document.activeElement?.closest?.(".adding, [role=treeitem]");
  if (room && row) (row.querySelector(".row") || row).scrollIntoView({ block: "nearest" });
}

/** Show a message and return the function that closes it. With `undo` or `redo`, it has that
    button. */
export function toast(message, { undo = null, redo = null, failed = false } = {}) {
  const box = document.createElement("div");
  box.className = failed ? "toast is-failed" : "toast";
  const text = Object.assign(document.createElement("span"), { textContent: message, dir: "auto" });
  box.append(text);
  const close = () => {
    const hadFocus = box.contains(document.activeElement);
    box.remove();
    if (hadFocus) current()?.focus();
    reserve();
  };
  const add = (className, textContent, click) => {
    const button = document.createElement("button");
    Object.assign(button, { type: "button", className, textContent });
    button.addEventListener("click", () => {
      close();
      click?.();
    });
    box.append(button);
    return button;
  };
  if (undo) {
    const button = add("undo", texts.undo, undo);
    button.title = "Ctrl+Z";
    button.setAttribute("aria-keyshortcuts", "Control+Z Meta+Z");
  }
  if (redo) {
    const button = add("redo", texts.redo, redo);
    button.title = "Ctrl+Shift+Z";
    button.setAttribute("aria-keyshortcuts", "Control+Shift+Z Meta+Shift+Z");
  }
  add("close", "×").ariaLabel = texts.close;
  const toasts = document.getElementById("toasts");
  while (toasts.children.length > 2) toasts.firstChild.remove();
  toasts.append(box);
  reserve();
  const wait = failed || undo || redo ? 15000 : 6000;
  // Do not close a toast under the pointer or with the focus.
  const closeAfter = (ms) => setTimeout(() => box.matches(":hover, :focus-within") || close(), ms);
  let timer = closeAfter(wait);
  for (const [enter, leave] of [["pointerenter", "pointerleave"], ["focusin", "focusout"]]) {
    box.addEventListener(enter, () => clearTimeout(timer));
    box.addEventListener(leave, () => {
      clearTimeout(timer);
      timer = closeAfter(wait / 2);
    });
  }
  return close;
}
