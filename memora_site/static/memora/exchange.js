/* A form is sent once: while the server works on it, its button does nothing. */

const enable = (within, yes) => {
  for (const button of within.querySelectorAll("[type=submit]")) button.disabled = !yes;
};
const page = document.querySelector(".exchange");

page.addEventListener("submit", (event) => enable(event.target, false));
// A browser may show the page again as it was left.
window.addEventListener("pageshow", () => enable(page, true));
