/* Adding to the content tree in place: a line to write a title in. Enter adds it, and
the line goes on below it; Escape leaves.

The line names its place by keys, not by rows: the rows are fetched again after every
change, and the line is put back among them with what is written in it. */

import { byPk, current, focus, groupOf, kindWords, parentOf, settings } from "./tree-page.js";

let line = null;

/** Offer a line for a `kind`: on a side of `beside`, last in `parent`, or at the end of
    the subjects. `add(line)` asks for it. */
export function startAdding(kind, { parent = null, beside = null, side = "right" }, add) {
  if (!settings.add || settings.flat) return;
  line?.element.remove();
  const element = document.createElement("li");
  element.className = "adding";
  element.setAttribute("role", "none");
  const input = Object.assign(document.createElement("input"), {
    type: "text",
    maxLength: 255,
    dir: "auto",
    placeholder: kindWords[kind].title,
    ariaLabel: kindWords[kind].title,
  });
  element.append(input);
  const mine = {
    element,
    input,
    parent: (parent || (beside && parentOf(beside)))?.dataset.pk || "",
    beside: beside?.dataset.pk || "",
    side,
  };
  line = mine;
  put();
  element.scrollIntoView({ block: "center" });
  input.focus();

  let waiting = 0;
  const leave = () => {
    if (line === mine) line = null;
    element.remove();
    focus(byPk(mine.beside) || byPk(mine.parent) || current());
  };
  const send = async (title) => {
    waiting += 1;
    input.value = "";
    const told = await add({
      // Asked when its turn has come: below what was added before it.
      values: () =>
        mine.beside
          ? { title, kind, beside: mine.beside, side: mine.side }
          : { title, kind, parent: mine.parent },
      added: (pk) => Object.assign(mine, { beside: String(pk), side: "right" }),
    });
    waiting -= 1;
    if (!told) input.value = [title, input.value].filter(Boolean).join(" ");
  };
  input.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.isComposing) return;
    if (event.key === "Escape") return leave();
    if (event.key !== "Enter") return;
    event.preventDefault();
    if (event.repeat) return; // held down
    const title = input.value.trim();
    if (title) send(title);
    else if (!waiting) leave();
  });
  // Later: a line that is put back among new rows has lost the focus for a moment.
  input.addEventListener("blur", () =>
    setTimeout(() => {
      if (line !== mine || waiting || input.value.trim() || document.activeElement === input) return;
      line = null;
      element.remove();
    }),
  );
}

function put() {
  const { element, beside, parent, side } = line;
  const row = byPk(beside);
  const group = groupOf(byPk(parent));
  if (row) {
    row[side === "left" ? "before" : "after"](element);
  } else if (group) {
    group.querySelector(":scope > .nothing")?.remove();
    group.append(element);
  } else {
    line = null; // what it was to go into is gone
  }
}

/** Do `work`, which replaces the rows; the line stays, as it is. */
export function keepingLine(work) {
  const held = line && document.activeElement === line.input;
  work();
  if (!line) return;
  put();
  if (held) line?.input.focus();
}
