/* Dialogs of the content tree. Each function resolves with the answer, or null. */

function dialog(title) {
  const element = document.createElement("dialog");
  element.className = "admin-dialog tree-dialog";
  const form = document.createElement("form");
  form.method = "dialog";
  const head = document.createElement("h2");
  head.textContent = title;
  head.id = "tree-dialog-title";
  element.setAttribute("aria-labelledby", head.id);
  form.append(head);
  element.append(form);
  document.body.append(element);
  return { element, form };
}

function paragraph(text, className = "") {
  return Object.assign(document.createElement("p"), { textContent: text, className });
}

function buttons(confirm, cancel) {
  const line = document.createElement("p");
  line.className = "dialog-buttons";
  const make = (textContent, value, className) =>
    Object.assign(document.createElement("button"), { type: "submit", textContent, value, className });
  line.append(make(confirm, "yes", "button default"), make(cancel, "", "button cancel"));
  line.lastChild.formNoValidate = true;
  return line;
}

/** Show a dialog; resolves with the result of `answer` if the user confirms. */
function run(element, answer) {
  return new Promise((resolve) => {
    element.addEventListener("close", () => {
      const value = element.returnValue === "" ? null : answer(element.returnValue);
      element.remove();
      resolve(value);
    });
    element.showModal();
  });
}

/** Ask for confirmation before a change with serious effects. */
export async function confirmed({ title, question, confirm_label: confirm, cancel_label: cancel }) {
  const { element, form } = dialog(title);
  form.append(paragraph(question, "consequence"), buttons(confirm, cancel));
  return (await run(element, () => true)) === true;
}

/** Ask for a product code; with `isTitle`, for a title, which must not be empty. */
export function askFor(title, help, value, texts, { isTitle = false } = {}) {
  const { element, form } = dialog(title);
  const input = Object.assign(document.createElement("input"), {
    type: "text",
    value,
    maxLength: isTitle ? 255 : 64,
    dir: isTitle ? "auto" : "ltr",
    required: isTitle,
    className: "vTextField",
    ariaLabel: title,
  });
  if (!isTitle) {
    input.autocomplete = "off";
    input.setAttribute("list", "product-codes");
  }
  form.append(input, paragraph(help, "help"), buttons(texts.save, texts.cancel));
  const answered = run(element, () => input.value.trim());
  input.select();
  return answered;
}

/** Ask for a place by searching; resolves with its key. */
export function choosePlace({ title, help, texts, find }) {
  const { element, form } = dialog(title);
  const input = Object.assign(document.createElement("input"), {
    type: "search",
    placeholder: texts.search_places,
    ariaLabel: texts.search_places,
    dir: "auto",
    className: "vTextField",
  });
  const list = document.createElement("ul");
  list.className = "places";
  const cancel = buttons("", texts.cancel);
  cancel.firstChild.remove();
  form.append(paragraph(help, "help"), input, list, cancel);
  let requests = 0;

  async function search() {
    const request = ++requests;
    let places;
    try {
      places = await find(input.value.trim());
    } catch (error) {
      list.replaceChildren(Object.assign(document.createElement("li"), { textContent: error.message }));
      return;
    }
    if (request !== requests) return;
    list.replaceChildren(...(places.length ? places.map(entry) : [nothing()]));
  }

  function nothing() {
    return Object.assign(document.createElement("li"), { textContent: texts.no_places, className: "quiet" });
  }

  function entry({ pk, title: name, path }) {
    const line = document.createElement("li");
    const button = Object.assign(document.createElement("button"), { type: "submit", value: String(pk) });
    const strong = Object.assign(document.createElement("bdi"), { textContent: name });
    const trail = Object.assign(document.createElement("span"), { className: "trail" });
    path.forEach((above, place) => {
      if (place) trail.append(" › ");
      trail.append(Object.assign(document.createElement("bdi"), { textContent: above }));
    });
    button.append(strong, trail);
    line.append(button);
    return line;
  }

  let timer = 0;
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(search, 150);
  });
  form.addEventListener("keydown", (event) => {
    const all = [input, ...list.querySelectorAll("button")];
    const now = all.indexOf(document.activeElement);
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && now >= 0) {
      event.preventDefault();
      all[Math.max(0, Math.min(all.length - 1, now + step))].focus();
    } else if (event.key === "Enter" && document.activeElement === input) {
      event.preventDefault();
      list.querySelector("button")?.focus();
    }
  });
  const answered = run(element, (value) => value);
  search();
  return answered;
}
