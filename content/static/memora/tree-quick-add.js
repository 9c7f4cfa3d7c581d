/* Adding nodes in the content tree: an input line for titles. Enter adds a node and moves
the line below it; Escape closes the line.

The line stores its place as keys, not as rows: the rows are fetched again after every
change, and the line is inserted again with its input. */

import { byPk, current, focus, groupOf, kindTexts, parentOf, settings } from "./tree-page.js";

let line = null;

/** Show a line for a `kind`: on a side of `beside`, last in `parent`, or after the last
    subject. `add(line)` sends the request. */
export function startAdd(kind, { parent = null, beside = null, side = "right" }, add) {
  if (!settings.add || settings.flat) return;
  line?.element.remove();
  const element = document.createElement("li");
  element.className = "adding";
  element.setAttribute("role", "none");
  const input = Object.assign(document.createElement("input"), {
    type: "text",
    maxLength: 255,
    dir: "auto",
    placeholder: kindTexts[kind].title,
    ariaLabel: kindTexts[kind].title,
  });
  element.append(input);
  const newLine = {
    element,
    input,
    parent: (parent || (beside && parentOf(beside)))?.dataset.pk || "",
    beside: beside?.dataset.pk || "",
    side,
  };
  line = newLine;
  placeLine();
  element.scrollIntoView({ block: "center" });
  input.focus();

  let waiting = 0;
  const leave = () => {
    if (line === newLine) line = null;
    element.remove();
    focus(byPk(newLine.beside) || byPk(newLine.parent) || current());
  };
  const send = async (title) => {
    waiting += 1;
    input.value = "";
    const result = await add({
      // Called when its request starts: the place is below the node added before.
      values: () =>
        newLine.beside
          ? { title, kind, beside: newLine.beside, side: newLine.side }
          : { title, kind, parent: newLine.parent },
      added: (pk) => Object.assign(newLine, { beside: String(pk), side: "right" }),
    });
    waiting -= 1;
    if (!result) input.value = [title, input.value].filter(Boolean).join(" ");
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
  // Delayed: inserting the line among new rows removes the focus for a moment.
  input.addEventListener("blur", () =>
    setTimeout(() => {
      if (line !== newLine || waiting || input.value.trim() || document.activeElement === input) return;
      line = null;
      element.remove();
    }),
  );
}

function placeLine() {
  const { element, beside, parent, side } = line;
  const row = byPk(beside);
  const group = groupOf(byPk(parent));
  if (row) {
    row[side === "left" ? "before" : "after"](element);
  } else if (group) {
    group.querySelector(":scope > .nothing")?.remove();
    group.append(element);
  } else {
    line = null; // its parent was deleted
  }
}

/** Call `work`, which replaces the rows, and insert the line again with its input. */
export function preserveLine(work) {
  const hadFocus = line && document.activeElement === line.input;
  work();
  if (!line) return;
  placeLine();
  if (hadFocus) line?.input.focus();
}
