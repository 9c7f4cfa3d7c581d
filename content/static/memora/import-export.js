/* Send a form once: its button is disabled until the server responds. */

const enable = (within, yes) => {
  for (const button of within.querySelectorAll("[type=submit]")) button.disabled = !yes;
};
const page = document.querySelector(".exchange");

page.addEventListener("submit", (event) => enable(event.target, false));
// The back button may restore the page with the button disabled.
window.addEventListener("pageshow", () => enable(page, true));
