/* Dragging rows of the content tree by their handle, with mouse, pen or touch. */

import { childOf, depth, itemOf, selectedCountText, texts, titleOf, tree } from "./tree-page.js";

const STARTS_AFTER = 4; // pixels
const OPENS_AFTER = 600; // milliseconds over a closed branch
const EDGE = 70; // pixels from the window's edge within which it scrolls

/** Make rows draggable. `drop(items, target, position)` is called for an allowed place,
    `reject(why)` for any other. */
export function startDragging({ withSelected, expand, reject, drop }) {
  let drag = null;

  tree.addEventListener("pointerdown", (event) => {
    const grip = event.target.closest(".grip");
    if (!grip || event.button !== 0 || drag) return;
    event.preventDefault();
    grip.setPointerCapture(event.pointerId);
    drag = { grip, item: itemOf(grip), x: event.clientX, y: event.clientY, pointer: event.pointerId };
    grip.addEventListener("pointermove", onMove);
    grip.addEventListener("pointerup", onUp);
    grip.addEventListener("pointercancel", stop);
    document.addEventListener("keydown", onKey, true);
  });

  function begin() {
    drag.items = withSelected(drag.item);
    drag.kind = drag.item.dataset.kind;
    drag.ghost = document.createElement("div");
    drag.ghost.className = "drag-ghost";
    drag.label = document.createElement("bdi");
    const count = drag.items.length;
    drag.label.textContent = count > 1 ? selectedCountText(count) : titleOf(drag.item);
    drag.why = document.createElement("span");
    drag.why.className = "why";
    drag.ghost.append(drag.label, drag.why);
    drag.line = document.createElement("div");
    drag.line.className = "drop-line";
    document.body.append(drag.ghost, drag.line);
    document.body.classList.add("is-dragging");
    for (const item of drag.items) item.classList.add("is-dragged");
    drag.started = true;
    scroll();
  }

  function onMove(event) {
    drag.nowX = event.clientX;
    drag.nowY = event.clientY;
    if (!drag.started) {
      const far = Math.hypot(event.clientX - drag.x, event.clientY - drag.y);
      if (far < STARTS_AFTER) return;
      begin();
    }
    updateTarget();
  }

  /** Find and show the target of a drop. */
  function updateTarget() {
    const { ghost, nowX: x, nowY: y } = drag;
    const width = ghost.offsetWidth;
    ghost.style.left = `${Math.max(0, Math.min(x + 14, window.innerWidth - width - 4))}px`;
    ghost.style.top = `${y + 14}px`;
    const box = tree.getBoundingClientRect();
    // Only the pointer's height selects the row.
    const inside = Math.max(box.left + 20, Math.min(x, box.right - 20));
    const under = document.elementFromPoint(inside, y);
    const item = under && tree.contains(under) ? itemOf(under) : null;
    drag.place = item ? placeAt(item, y) : null;
    waitToOpen(item);
    show();
  }

  function placeAt(item, y) {
    const kind = item.dataset.kind;
    const row = item.querySelector(".row").getBoundingClientRect();
    const isLower = y > row.top + row.height / 2;
    if (drag.items.includes(item)) return { item };
    if (drag.items.some((one) => one.contains(item))) return { item, why: texts.into_itself };
    if (drag.items.some((one) => one.dataset.kind !== drag.kind)) {
      return { item, why: texts.mixed_kinds };
    }
    if (kind === drag.kind) return { item, position: isLower ? "right" : "left" };
    if (childOf(kind) === drag.kind) {
      const isOpen = item.getAttribute("aria-expanded") === "true";
      return { item, position: isOpen ? "first-child" : "last-child" };
    }
    const why = drag.kind === "subject" ? texts.subject_top : texts[`goes_inside_${drag.kind}`];
    return { item, why };
  }

  function show() {
    const { line, ghost, place } = drag;
    for (const old of tree.querySelectorAll(".drops-inside")) old.classList.remove("drops-inside");
    ghost.classList.toggle("is-refused", Boolean(place?.why));
    drag.why.textContent = place?.why || "";
    line.hidden = !place?.position;
    if (!place?.position) return;
    const { item, position } = place;
    const row = item.querySelector(".row").getBoundingClientRect();
    const name = item.querySelector(".name").getBoundingClientRect();
    const tall = item.getBoundingClientRect();
    let top = row.bottom;
    if (position === "left") top = row.top;
    else if (position === "right") top = tall.bottom;
    if (position === "last-child" || position === "first-child") {
      item.querySelector(".row").classList.add("drops-inside");
      line.hidden = position === "last-child";
    }
    const indent = position === "first-child" ? 24 : 0;
    const isRtl = document.documentElement.dir === "rtl";
    const start = isRtl ? row.left : name.left + indent;
    const end = isRtl ? name.right - indent : row.right;
    line.style.left = `${start}px`;
    line.style.width = `${Math.max(40, end - start)}px`;
    line.style.top = `${top - 1}px`;
  }

  function waitToOpen(item) {
    const closed =
      item &&
      item.getAttribute("aria-expanded") === "false" &&
      depth(item.dataset.kind) < depth(drag.kind) &&
      !drag.items.includes(item);
    if (drag.waitsAt === (closed ? item : null)) return;
    clearTimeout(drag.timer);
    drag.waitsAt = closed ? item : null;
    if (!closed) return;
    drag.timer = setTimeout(async () => {
      await expand(item);
      if (drag?.started) updateTarget();
    }, OPENS_AFTER);
  }

  function scroll() {
    if (!drag?.started) return;
    const bar = document.querySelector(".tree-bar").getBoundingClientRect().bottom;
    const above = Math.max(0, bar) + EDGE - drag.nowY;
    const below = drag.nowY - (window.innerHeight - EDGE);
    const by = above > 0 ? -above : Math.max(0, below);
    if (by) {
      const before = window.scrollY;
      window.scrollBy(0, Math.max(-24, Math.min(24, by / 3)));
      if (window.scrollY !== before) updateTarget();
    }
    requestAnimationFrame(scroll);
  }

  function onKey(event) {
    if (event.key !== "Escape") return;
    event.preventDefault();
    event.stopPropagation();
    stop();
  }

  function onUp() {
    const { started, place, items } = drag;
    stop();
    if (!started || !place) return;
    if (place.why) reject(place.why);
    else if (place.position) drop(items, place.item, place.position);
  }

  function stop() {
    if (!drag) return;
    clearTimeout(drag.timer);
    const { grip, pointer } = drag;
    grip.removeEventListener("pointermove", onMove);
    grip.removeEventListener("pointerup", onUp);
    grip.removeEventListener("pointercancel", stop);
    document.removeEventListener("keydown", onKey, true);
    if (grip.hasPointerCapture(pointer)) grip.releasePointerCapture(pointer);
    drag.ghost?.remove();
    drag.line?.remove();
    document.body.classList.remove("is-dragging");
    for (const item of drag.items || []) item.classList.remove("is-dragged");
    for (const old of tree.querySelectorAll(".drops-inside")) old.classList.remove("drops-inside");
    drag = null;
  }
}
