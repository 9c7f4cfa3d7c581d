/* Selecting rows of the content tree, to change several at once. */

import { byPk, countOfChosen, rowsOf, settings, tree } from "./tree-page.js";

const chosen = new Set();
let lastChosen = null;

/** Select or deselect a row; with `range`, all of its kind since the last selected one. */
export function choose(item, wanted = !chosen.has(item.dataset.pk), range = false) {
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

export function chooseNone() {
  chosen.clear();
  markChosen();
}

/** Mark the selected rows in the tree. */
export function markChosen() {
  for (const pk of chosen) if (!byPk(pk)) chosen.delete(pk);
  for (const item of tree.querySelectorAll("[role=treeitem][aria-selected]")) {
    const is = chosen.has(item.dataset.pk);
    item.setAttribute("aria-selected", String(is));
    const box = item.querySelector(".pick");
    if (box) box.checked = is;
  }
  document.getElementById("chosen-bar").hidden = chosen.size === 0;
  document.getElementById("chosen-count").textContent = countOfChosen(chosen.size);
}

/** Return the selected rows if `item` is one of them, else only it; in tree order. */
export function withChosen(item) {
  if (!chosen.has(item.dataset.pk)) return [item];
  return [...tree.querySelectorAll("[role=treeitem]")].filter((one) =>
    chosen.has(one.dataset.pk),
  );
}
