/* The page of a student: ask before a device is removed; print a code; label cells. */

document.querySelectorAll("form[data-confirm]").forEach((form) => {
  form.addEventListener("submit", (event) => {
    if (!window.confirm(form.dataset.confirm)) event.preventDefault();
  });
});
document.querySelectorAll("[data-print]").forEach((button) => {
  button.addEventListener("click", () => window.print());
});
// One open form at a time: each is small, and two with a reason would be confused.
const actions = [...document.querySelectorAll(".student-actions > details")];
actions.forEach((details) => {
  details.addEventListener("toggle", () => {
    if (!details.open) return;
    actions.forEach((other) => (other.open = other === details));
    details.querySelector("input:not([type=hidden])")?.focus();
  });
});
// On a phone the tables of plans and products have no header: each cell has its label.
document.querySelectorAll(".inline-group table").forEach((table) => {
  const labels = [...(table.tHead?.rows[0].cells ?? [])].map((cell) => cell.textContent.trim());
  [...table.tBodies].flatMap((body) => [...body.rows]).forEach((row) => {
    [...row.cells].forEach((cell, column) => {
      if (labels[column]) cell.dataset.label = labels[column];
    });
  });
});
