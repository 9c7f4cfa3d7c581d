/* The context menu of a row of the content tree. */

import { childOf, focus, isRtl, kindTexts, menuTexts, settings, titleOf } from "./tree-page.js";

let menu = null;

/** Close the menu; the focus returns to its row unless `back` is false. */
export function closeMenu({ back = true } = {}) {
  if (!menu) return;
  const { element, item } = menu;
  element.remove();
  menu = null;
  if (back) focus(item, { scroll: false });
}

export const isMenuOf = (item) => menu?.item === item;

/** Return the URL of the tree, opened at this row. */
function addressOf(pk) {
  const query = new URLSearchParams({ at: pk });
  if (settings.view) query.set("view", settings.view);
  return `${settings.base}?${query}`;
}

/** Return the menu's entries: a name and a URL, a function, or nothing for a change of that
    name. */
function entries(item, start) {
  const { kind, id, pk } = item.dataset;
  const page = `${settings.base}${pk}/`;
  const list = [["open", `${page}change/`]];
  const has = (name) => name in item.dataset;
  const seenAs = settings.view ? `?${new URLSearchParams({ plan: settings.view })}` : "";
  list.push(["preview", settings.previews[kind].replace("/ID/", `/${id}/`) + seenAs]);
  if (has("trashed")) {
    if (settings.change) list.push(["restore"]);
    if (settings.delete) list.push(["delete", `${page}delete/`]);
    list.push(["history", `${page}history/`]);
    return list;
  }
  if (settings.flat) list.push(["show", addressOf(pk)]);
  if (settings.add && !settings.flat) {
    list.push(null);
    const child = childOf(kind);
    if (child) list.push(["inside", () => start(child, { parent: item }), kindTexts[child].inside]);
    for (const [name, side] of [["above", "left"], ["below", "right"]]) {
      list.push([name, () => start(kind, { beside: item, side }), kindTexts[kind][name]]);
    }
  }
  if (settings.add) {
    list.push(null, ["copy"]);
    if (kind !== "subject") list.push(["copy_to"]);
    if (childOf(kind)) list.push(["import_here", `${settings.exchange}?into=${id}`]);
  }
  if (settings.change) {
    if (kind !== "subject") list.push(["move_to"]);
    list.push(["rename"], null);
    list.push([has("published") ? "unpublish" : "publish"]);
    if (childOf(kind)) list.push(["publish_inside"], ["unpublish_inside"]);
    list.push(["schedule", `${settings.schedule}?node=${pk}`]);
    list.push([has("free") ? "not_free" : "free"], ["item"]);
  }
  list.push(null);
  if (kind === "subject") list.push(["quality", `${page}quality/`]);
  list.push(["history", `${page}history/`]);
  if (settings.change) list.push(["trash"]);
  return list;
}

/** Open the menu of `item`. `runAction(name, items)` makes a change, `start` begins adding. */
export function openMenu(item, { runAction, start }) {
  closeMenu({ back: false });
  const element = document.createElement("div");
  element.className = "row-menu";
  element.setAttribute("role", "menu");
  element.setAttribute("aria-label", titleOf(item));
  for (const entry of entries(item, start)) {
    if (entry === null) {
      element.append(Object.assign(document.createElement("hr"), { role: "separator" }));
      continue;
    }
    const [name, what, label = menuTexts[name]] = entry;
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
        else runAction(name, [item]);
      });
    }
    element.append(line);
  }
  document.body.append(element);
  menu = { element, item, top: window.scrollY };
  place(element, item.querySelector(".menu-button"));
  element.querySelector("[role=menuitem]").focus();
  element.addEventListener("keydown", keys);
}

function place(element, button) {
  const at = button.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = element;
  const left = isRtl ? at.left : at.right - width;
  const below = at.bottom + height < window.innerHeight;
  element.style.left = `${Math.max(4, Math.min(left, window.innerWidth - width - 4))}px`;
  element.style.top = `${below ? at.bottom : Math.max(4, window.innerHeight - height - 4)}px`;
}

function keys(event) {
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

document.addEventListener("click", (event) => {
  if (menu && !menu.element.contains(event.target)) closeMenu({ back: false });
});
// The menu has a fixed position: close it when its row has scrolled away. Scroll events
// from just before it opened may arrive later.
const moved = () => menu && Math.abs(window.scrollY - menu.top) > 8;
window.addEventListener("scroll", () => moved() && closeMenu({ back: false }), { passive: true });
