/* Formatted text in a stage's form: Tiptap, from django-prose-editor's bundle, with a
 * toolbar; or Markdown, or the HTML source. The server decides what is allowed. */
"use strict";

(() => {
  const { element: el, fill, icon, safeHtml, stageSettings: settings } = Memora;
  if (!settings) return;
  const { Field } = Memora.stageFields;
  const { formulas, losses } = Memora;
  const { texts } = settings;
  let library = null; // loaded when the first text is shown

  /* --- Editor extensions --- */

  // Inline tags without a tool, which imported texts may have.
  const KEPT = ["abbr", "bdi", "cite", "ins", "kbd", "mark", "q", "samp", "small", "sub", "sup", "var"];

  const BLOCKS = (
    "Paragraph Heading Blockquote CodeBlock BulletList OrderedList ListItem Table TableRow TableHeader TableCell"
  ).split(" ");
  const OTHERS = (
    "Document Text Bold Italic Underline Strike Code HardBreak UndoRedo Dropcursor Gapcursor"
  ).split(" ");

  let extensions = null;

  function extensionsOf(tiptap) {
    const attributesOf = (...names) => Object.fromEntries(names.map((name) => [name, { default: null }]));
    // An id of the text could be one of the page.
    const attributes = { ...attributesOf("dir", "lang", "title"), id: renamed("data-id") };
    const inlineMarks = [...KEPT, "span"].map((name) =>
      tiptap.Mark.create({
        name,
        addAttributes: () => attributes,
        parseHTML: () => [{ tag: name === "span" ? "span:is([dir], [lang], [title], [data-id])" : name }],
        renderHTML: ({ HTMLAttributes }) => [name, HTMLAttributes, 0],
      }),
    );
    const blocks = BLOCKS.map((name) => tiptap[name]);
    return [
      ...blocks,
      ...OTHERS.map((name) => tiptap[name]),
      tiptap.HorizontalRule.extend({ addInputRules: () => [] }), // a typed ___ is a gap of a fill-in text
      tiptap.Link.configure({ openOnClick: false, enableTarget: false }),
      tiptap.Image.configure({ inline: true }),
      formulas.extension(tiptap),
      ...inlineMarks,
      tiptap.Extension.create({
        addGlobalAttributes: () => [
          { types: [...blocks.map((block) => block.name), "link"], attributes },
          { types: ["listItem"], attributes: attributesOf("value") },
          { types: ["tableHeader"], attributes: attributesOf("align", "headers", "scope") },
          { types: ["tableCell"], attributes: attributesOf("align", "headers") },
          { types: ["code"], attributes: attributesOf("class") },
        ],
      }),
    ];
  }

  /* Describe an attribute that has another name in the editor than in the text. */
  function renamed(inEditor) {
    const read = (element) => element.getAttribute(inEditor);
    return { default: null, parseHTML: read, renderHTML: ({ id }) => (id ? { [inEditor]: id } : {}) };
  }

  function withAttribute(html, from, to) {
    if (!html?.includes(from)) return html;
    const page = new DOMParser().parseFromString(html, "text/html");
    for (const part of page.querySelectorAll(`[${from}]`)) {
      part.setAttribute(to, part.getAttribute(from));
      part.removeAttribute(from);
    }
    return page.body.innerHTML;
  }

  const forEditor = (html) => formulas.forEditor(withAttribute(html, "id", "data-id"));
  const forStorage = (html) => withAttribute(formulas.forStorage(html), "data-id", "id");

  /* --- Tools: name, action, when it is pressed --- */

  const FACES = { bold: "B", italic: "I", underline: "U", heading: "H", numbers: "1.", quote: "❝", formula: "√x", source: texts.source };
  const ICONS = {
    bullets: "M9 6h11M9 12h11M9 18h11M4 6h.01M4 12h.01M4 18h.01",
    link: "M10 14a4 4 0 0 0 5.7 0l3-3a4 4 0 0 0-5.7-5.7l-1 1M14 10a4 4 0 0 0-5.7 0l-3 3a4 4 0 0 0 5.7 5.7l1-1",
    picture: "M4 5h16v14H4zM4 16l4.5-5 4 4.5 3-3L20 17M15.5 9h.01",
    plain: "M6 5h12M12 5v14M4 20 20 8",
  };
  const TOOLS = [
    ["bold", (editor) => within(editor).toggleBold(), "bold"],
    ["italic", (editor) => within(editor).toggleItalic(), "italic"],
    ["underline", (editor) => within(editor).toggleUnderline(), "underline"],
    ["heading", (editor) => within(editor).toggleHeading({ level: 3 }), "heading"],
    ["bullets", (editor) => within(editor).toggleBulletList(), "bulletList"],
    ["numbers", (editor) => within(editor).toggleOrderedList(), "orderedList"],
    ["quote", (editor) => within(editor).toggleBlockquote(), "blockquote"],
    ["link", link, "link"],
    ["picture", picture, "image"],
    ["formula", formulas.insert, "formula"],
    ["plain", (editor) => within(editor).unsetAllMarks().clearNodes()],
  ];

  function within(editor) {
    return editor.chain().focus();
  }

  function link(editor) {
    const href = window.prompt(texts.link_address, editor.getAttributes("link").href || "https://");
    if (href === "") return within(editor).extendMarkRange("link").unsetLink();
    if (!href || !/^(https?:|mailto:|tel:)/i.test(href)) return null;
    return within(editor).extendMarkRange("link").setLink({ href });
  }

  async function picture(editor) {
    const chosen = await Memora.choosePicture({ described: true });
    return chosen && within(editor).setImage(chosen);
  }

  function tool(name, set) {
    const attributes = { type: "button", class: `tool tool-${name}`, title: texts[name], "aria-label": texts[name] };
    const button = el("button", { ...attributes, ...set }, FACES[name] || icon(ICONS[name]));
    button.addEventListener("mousedown", (event) => event.preventDefault()); // keep the selection
    return button;
  }

  class Rich extends Field {
    makeControl() {
      this.area = el("textarea", {
        class: "json-code rich-source",
        dir: "ltr",
        rows: 5,
        "aria-label": `${this.schema.title || ""}: ${texts.source}`,
        spellcheck: "false",
        hidden: true,
        on: { input: () => this.onInput(this.area.value) },
      });
      this.page = el("div", { class: "rich-page" });
      this.note = el("p", { class: "field-help rich-note", role: "status" });
      this.tools = TOOLS.map(([name, act, pressed]) =>
        tool(name, { "data-pressed": pressed, on: { click: () => this.apply(act) } }),
      );
      this.source = tool("source", {
        "aria-pressed": "false",
        on: { click: () => this.showSource(!this.isSource) },
      });
      for (const tool of [...this.tools, this.source]) tool.disabled = true; // until the editor is there
      const bar = el("span", { class: "rich-tools", role: "toolbar" }, ...this.tools, this.source);
      library ||= import(settings.urls.prose);
      library.then(
        (tiptap) => this.start(tiptap),
        () => (this.area.hidden = false),
      );
      this.uploads = el("p", { class: "rich-uploads" });
      return el("div", { class: "rich" }, bar, this.page, this.area, this.note, this.uploads);
    }

    start(tiptap) {
      if (this.isDestroyed) return;
      extensions ||= extensionsOf(tiptap);
      this.editor = new tiptap.Editor({
        element: this.page,
        extensions,
        editorProps: {
          attributes: {
            id: this.fieldId,
            class: "rich-text",
            role: "textbox",
            "aria-multiline": "true",
            "aria-label": this.schema.title || "",
            dir: "auto",
          },
          handlePaste: (view, event) => {
            const pictures = Memora.pastedPictures(event.clipboardData);
            if (!pictures) return !this.mayPaste(event.clipboardData?.getData("text/html"), tiptap);
            this.pasteWith(pictures, view, tiptap);
            return true;
          },
        },
        onUpdate: () => this.onInput(this.written()),
        onTransaction: () => this.showTools(),
      });
      this.source.disabled = false;
      this.show();
    }

    /* Name what pasting would lose, and ask unless it is only style. Return the answer. */
    mayPaste(html, tiptap) {
      this.note.textContent = "";
      if (!html) return true;
      const kept = tiptap.generateHTML(tiptap.generateJSON(forEditor(html), extensions), extensions);
      const [lost, isMore] = losses.ofPaste(html, forStorage(kept));
      if (!lost.length) return true;
      const what = lost.join(", ");
      if (isMore && !window.confirm(fill(texts.paste_without, { what }))) return false;
      this.note.textContent = fill(texts.pasted_without, { what });
      return true;
    }

    /* Upload the pictures of a paste, then paste it. Nothing is pasted if one is refused. */
    async pasteWith(pictures, view, tiptap) {
      if (!this.mayPaste(pictures.html(pictures.files.map(() => "/")), tiptap)) return;
      const addresses = await Memora.uploadPictures(pictures.files, this.uploads);
      if (addresses && !this.isDestroyed) view.pasteHTML(pictures.html(addresses));
    }

    destroy() {
      this.isDestroyed = true;
      this.editor?.destroy();
      super.destroy();
    }

    written() {
      const box = el("div", {}, safeHtml(forStorage(this.editor.getHTML())));
      // Remove the column widths that Tiptap adds to tables.
      box.querySelectorAll("colgroup:not(:has([span]))").forEach((group) => group.remove());
      const empty = !box.textContent.trim() && !box.querySelector("img, hr");
      return empty ? undefined : box.innerHTML;
    }

    async apply(act) {
      (await act(this.editor))?.run();
    }

    onInput(value) {
      super.onInput(value);
      this.shown = this.value;
    }

    showTools() {
      for (const tool of this.tools) {
        const name = tool.dataset.pressed;
        if (name) tool.setAttribute("aria-pressed", this.editor.isActive(name));
      }
    }

    /* Show the HTML source. It stays while the text has parts that the editor does not support. */
    showSource(wanted) {
      this.editor.commands.setContent(forEditor(this.value ?? ""), { emitUpdate: false });
      const isLossy = losses.isLossy(this.value, forStorage(this.editor.getHTML()));
      this.isSource = wanted || isLossy;
      this.source.setAttribute("aria-pressed", this.isSource);
      this.page.hidden = this.isSource;
      this.area.hidden = !this.isSource;
      for (const tool of this.tools) tool.disabled = this.isSource;
      this.note.textContent = isLossy ? texts.only_html : "";
    }

    show() {
      if (!this.area) return;
      if (this.area.value !== (this.value ?? "")) this.area.value = this.value ?? "";
      if (!this.editor || (this.isShown && this.shown === this.value)) return;
      this.isShown = true;
      this.shown = this.value;
      this.showSource(this.isSource);
    }
  }

  /* Formatted text or Markdown, by the format field beside it. */
  class Text extends Rich {
    makeControl() {
      const rich = super.makeControl();
      this.plain = el("textarea", {
        class: "markdown",
        rows: 8,
        dir: "auto",
        "aria-label": this.schema.title || "",
        on: { input: () => this.onInput(this.plain.value) },
      });
      this.rich = rich;
      this.formatPath = `${this.parent.path}.format`;
      this.jsoneditor.watch(this.formatPath, () => this.show());
      return el("div", {}, rich, this.plain);
    }

    show() {
      if (!this.plain) return;
      const isRich = this.jsoneditor.getEditor(this.formatPath)?.getValue() !== "markdown";
      this.rich.hidden = !isRich;
      this.plain.hidden = isRich;
      if (this.plain.value !== (this.value ?? "")) this.plain.value = this.value ?? "";
      if (isRich) super.show(); // Markdown must not be parsed as HTML
    }
  }

  Object.assign(JSONEditor.defaults.editors, { "memora-rich": Rich, "memora-text": Text });
})();
