/* Sort a plan's subjects by keyboard: the arrow keys move the row whose handle has the
   focus, and Tab reaches the buttons to both ends. adminsortable2 does the dragging. */

const subjects = document.querySelector("#plan_subjects-group fieldset.sortable");
const subjectTexts = document.getElementById("plan-texts");
if (subjects && subjectTexts) orderByKeys(subjects, JSON.parse(subjectTexts.textContent));

function orderByKeys(fieldset, texts) {
  const rows = () =>
    [...fieldset.querySelectorAll("tr.has_original")].filter((row) => place(row));
  const place = (row) => row.querySelector("input._reorder_");
  const titleOf = (row) => row.querySelector(".field-subject bdi").textContent;
  const fill = (text, values) => text.replace(/%\((\w+)\)s/g, (_all, name) => values[name]);

  const status = document.createElement("p");
  status.className = "visually-hidden";
  status.setAttribute("role", "status");
  fieldset.append(status);

  for (const row of rows()) {
    // Not a <button>: Firefox does not allow dragging one.
    const grip = document.createElement("span");
    grip.className = "subject-grip";
    grip.tabIndex = 0;
    grip.setAttribute("role", "button");
    grip.title = fill(texts.drag, { title: titleOf(row) });
    grip.setAttribute("aria-label", grip.title);
    row.querySelector("td.original p").prepend(grip);
    for (const end of row.querySelectorAll(".sort [role=button]")) {
      end.tabIndex = 0;
      end.setAttribute("aria-label", `${end.title}: ${titleOf(row)}`);
    }
  }

  /** Announce the row's new position; the button that moved it keeps the focus. */
  function moved(row, button) {
    button.focus();
    const values = { title: titleOf(row), place: rows().indexOf(row) + 1 };
    status.textContent = fill(texts.moved, values);
  }

  fieldset.addEventListener("keydown", (event) => {
    const row = event.target.closest("tr.has_original");
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (event.target.matches(".subject-grip") && step) {
      event.preventDefault();
      const order = rows();
      const other = order[order.indexOf(row) + step];
      if (!other) return;
      if (step < 0) other.before(row);
      else other.after(row);
      rows().forEach((one, number) => (place(one).value = number + 1));
      moved(row, event.target);
    } else if (event.target.matches(".sort [role=button]") && /^(Enter| )$/.test(event.key)) {
      event.preventDefault();
      event.target.click();
    }
  });
  // adminsortable2's listener runs first and has moved the row.
  fieldset.addEventListener("click", (event) => {
    const end = event.target.closest(".sort [role=button]");
    if (end) moved(end.closest("tr"), end);
  });
}
