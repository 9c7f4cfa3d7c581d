/* Selecting rows of the content tree, to change several at once. */

import { byPk, rowsOf, selectedCountText, settings, tree } from "./tree-page.js";

const selected = new Set();
let lastSelected = null;

/** Select or deselect a row; with `range`, all of its kind since the last selected one. */
export function select(item, wanted = !selected.has(item.dataset.pk), range = false) {
  if (!settings.change) return;
  const rows = rowsOf();
  const from = range && lastSelected ? rows.indexOf(byPk(lastSelected)) : -1;
  const to = rows.indexOf(item);
  const some = from < 0 ? [item] : rows.slice(Math.min(from, to), Math.max(from, to) + 1);
  for (const one of some) {
    if (one.dataset.kind !== item.dataset.kind && range) continue;
    if (wanted) selected.add(one.dataset.pk);
    else selected.delete(one.dataset.pk);
  }
  lastSelected = item.dataset.pk;
  markSelected();
}

export function clearSelection() {
  selected.clear();
  markSelected();
}

/** Mark the selected rows in the tree. */
export function markSelected() {
  for (const pk of selected) if (!byPk(pk)) selected.delete(pk);
  for (const item of tree.querySelectorAll("[role=treeitem][aria-selected]")) {
    const is = selected.has(item.dataset.pk);
    item.setAttribute("aria-selected", String(is));
    const box = item.querySelector(".pick");
    if (box) box.checked = is;
  }
  document.getElementById("selection-bar").hidden = selected.size === 0;
  document.getElementById("selection-count").textContent = selectedCountText(selected.size);
}

/** Return the selected rows if `item` is one of them, else only it; in tree order. */
export function withSelected(item) {
  if (!selected.has(item.dataset.pk)) return [item];
  return [...tree.querySelectorAll("[role=treeitem]")].filter((one) =>
    selected.has(one.dataset.pk),
  );
}
