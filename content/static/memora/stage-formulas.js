/* Formulas in formatted text: TeX in \( \) and \[ \] is shown as KaTeX draws it. */
"use strict";

(() => {
  const { element: el, fill, stageSettings: settings } = Memora;
  if (!settings) return;
  const { texts, urls } = settings;
  const FORMULA = /\\\(([^]*?)\\\)|\\\[([^]*?)\\\]/g;
  const CODE = "code, pre";
  let katexLoaded = null;

  /* Load KaTeX when the first formula is shown. */
  function library() {
    katexLoaded ||= new Promise((resolve, reject) => {
      document.head.append(
        el("link", { rel: "stylesheet", href: urls.katex_style }),
        el("script", { src: urls.katex, on: { load: () => resolve(window.katex), error: reject } }),
      );
    });
    return katexLoaded;
  }

  /* Draw a formula in an element; return why it cannot be drawn, else "". */
  async function draw(place, { tex, display }) {
    try {
      const katex = await library();
      katex.render(tex, place, { displayMode: display, strict: "ignore", maxSize: 30 });
      return "";
    } catch (error) {
      place.textContent = written({ tex, display });
      return error.rawMessage || texts.no_answer;
    }
  }

  function written({ tex, display }) {
    return display ? `\\[${tex}\\]` : `\\(${tex}\\)`;
  }

  /* --- Between the stored text and the editor's --- */

  function changed(html, change) {
    const page = new DOMParser().parseFromString(html, "text/html");
    change(page);
    return page.body.innerHTML;
  }

  /* Return stored HTML with an element for each formula. */
  function forEditor(html) {
    if (!html || !/\\[([]/.test(html)) return html;
    return changed(html, (page) => {
      const walker = page.createTreeWalker(page.body, NodeFilter.SHOW_TEXT);
      const found = [];
      while (walker.nextNode()) if (!walker.currentNode.parentElement.closest(CODE)) found.push(walker.currentNode);
      for (const node of found) {
        const parts = [];
        let at = 0;
        for (const match of node.data.matchAll(FORMULA)) {
          const display = match[2] !== undefined;
          const set = { "data-formula": match[1] ?? match[2], "data-display": display };
          parts.push(node.data.slice(at, match.index), el("span", set));
          at = match.index + match[0].length;
        }
        if (parts.length) node.replaceWith(...parts, node.data.slice(at));
      }
    });
  }

  /* Return the editor's HTML with formulas as TeX. */
  function forStorage(html) {
    return changed(html, (page) => {
      for (const span of page.querySelectorAll("span[data-formula]")) {
        const { formula, display } = span.dataset;
        span.replaceWith(written({ tex: formula, display: display !== undefined }));
      }
    });
  }

  /* --- The dialog --- */

  /* Ask for a formula; resolves to it, to null without a change, or to "" to remove it. */
  function ask(formula) {
    return new Promise((resolve) => {
      let answer = null;
      const tex = el("textarea", { id: "formula-tex", dir: "ltr", rows: 3, spellcheck: "false", class: "json-code" });
      tex.value = formula?.tex ?? "";
      const display = el("input", { type: "checkbox", id: "formula-display" });
      display.checked = Boolean(formula?.display);
      const drawn = el("p", { class: "formula-drawn", dir: "ltr" });
      const fault = el("p", { class: "fault", role: "status" });
      const value = () => ({ tex: tex.value.trim(), display: display.checked });
      const close = (given) => {
        answer = given;
        dialog.close();
      };
      const done = el("button", { type: "submit", class: "button default", text: texts.formula_insert });
      async function show() {
        const now = value();
        const reason = now.tex ? await draw(drawn, now) : "";
        if (!now.tex) drawn.replaceChildren();
        if (now.tex !== value().tex) return; // typed on in the meantime
        fault.textContent = reason ? fill(texts.formula_fault, { reason }) : "";
        done.disabled = !now.tex || Boolean(reason);
      }
      const dialog = el(
        "dialog",
        { class: "admin-dialog formula-dialog", "aria-label": texts.formula },
        el("h2", { text: texts.formula }),
        el(
          "form",
          { method: "dialog" },
          el("p", {}, el("label", { for: "formula-tex", text: texts.formula_tex }), tex),
          el("p", { class: "formula-line" }, display, el("label", { for: "formula-display", text: texts.formula_display })),
          drawn,
          fault,
          el(
            "p",
            { class: "formula-buttons" },
            done,
            formula ? el("button", { type: "button", class: "button", text: texts.remove, on: { click: () => close("") } }) : null,
            el("button", { type: "button", class: "button", text: texts.cancel, on: { click: () => dialog.close() } }),
          ),
        ),
      );
      tex.addEventListener("input", show);
      display.addEventListener("change", show);
      dialog.querySelector("form").addEventListener("submit", (event) => {
        event.preventDefault();
        if (!done.disabled) close(value());
      });
      dialog.addEventListener("close", () => {
        dialog.remove();
        resolve(answer);
      });
      document.body.append(dialog);
      dialog.showModal();
      show();
      tex.focus();
    });
  }

  /* --- The editor's extension, and its tool --- */

  function extension(tiptap) {
    const kept = (name, attribute, read) => ({
      default: null,
      parseHTML: (span) => read(span.getAttribute(attribute)),
      renderHTML: (attributes) => ({ [attribute]: attributes[name] === false ? null : attributes[name] }),
    });
    return tiptap.Node.create({
      name: "formula",
      group: "inline",
      inline: true,
      atom: true,
      addAttributes: () => ({
        tex: kept("tex", "data-formula", (value) => value ?? ""),
        display: kept("display", "data-display", (value) => value !== null),
      }),
      parseHTML: () => [{ tag: "span[data-formula]", priority: 60 }],
      renderHTML: ({ HTMLAttributes }) => ["span", HTMLAttributes],
      addNodeView:
        () =>
        ({ node, editor, getPos }) => {
          const dom = el("span", { class: "rich-formula", dir: "ltr", title: texts.formula_change });
          draw(dom, node.attrs);
          dom.addEventListener("click", async () => {
            const given = await ask(node.attrs);
            if (given === null) return;
            const range = { from: getPos(), to: getPos() + node.nodeSize };
            const chain = editor.chain().focus();
            if (given === "") chain.deleteRange(range).run();
            else chain.insertContentAt(range, { type: "formula", attrs: given }).run();
          });
          return { dom, ignoreMutation: () => true };
        },
    });
  }

  async function insert(editor) {
    const given = await ask(null);
    return given && editor.chain().focus().insertContent({ type: "formula", attrs: given });
  }

  Memora.formulas = { extension, forEditor, forStorage, insert };
})();
