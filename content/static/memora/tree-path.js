/* The path of the topmost row, shown in the content tree's bar while the page scrolls. */

import { byPk, focus, itemOf, parentOf, pks, settings, titleOf, tree } from "./tree-page.js";

const bar = document.querySelector(".tree-bar");
const pathLine = document.getElementById("tree-path");
let pathShown = "";

/** Show the path of the first row below the bar. */
export function showPath() {
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
    if (isWaiting) return;
    isWaiting = true;
    requestAnimationFrame(() => {
      isWaiting = false;
      showPath();
    });
  },
  { passive: true },
);
