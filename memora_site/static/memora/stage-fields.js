/* The fields a stage's form is made of, on json-editor: it keeps the structure (objects,
 * lists, what may be added), these show each value. Whether a value is right is decided by
 * the server alone, which answers with the same messages while typing and on saving. */
"use strict";

(() => {
  const { element: el, fill, safeHtml } = Memora;
  const settings = JSON.parse(document.getElementById("stage-editor")?.textContent || "null");
  if (!settings || !window.JSONEditor) return;
  const words = settings.words;
  Memora.stageSettings = settings;

  const editors = JSONEditor.defaults.editors;
  JSONEditor.defaults.languages.memora = words;
  JSONEditor.defaults.language = "memora";
  JSONEditor.defaults.resolvers.unshift(
    (schema) => typeof schema.format === "string" && schema.format.startsWith("memora-") && schema.format,
  );

  /* --- The form's schema: the type's, with a field of ours at every place --- */

  function formatOf(schema, inOptions) {
    if (schema["x-item-id"]) return "keep";
    if (schema["x-widget"] && !["options", "pairs"].includes(schema["x-widget"])) return schema["x-widget"];
    if (schema.enum) return "choice";
    if (schema.contentMediaType === "text/html") return schema["x-embed"] ? "code" : "rich";
    switch (schema.type) {
      case "boolean":
        return inOptions ? "mark" : "switch";
      case "integer":
      case "number":
        return "number";
      case "array":
        return "array";
      case "object":
        return "object";
      default:
        return "line";
    }
  }

  function formSchema(schema, { order = 0, inOptions = false } = {}) {
    const format = formatOf(schema, inOptions);
    const made = {
      type: schema.type,
      format: `memora-${format}`,
      title: schema.title,
      propertyOrder: order,
      memora: schema,
    };
    if (schema.default !== undefined) made.default = schema.default;
    if (schema.enum) made.enum = schema.enum;
    if (format === "keep") made.options = { hidden: true };
    if (format === "object") {
      const properties = Object.entries(schema.properties);
      made.properties = Object.fromEntries(
        properties.map(([key, inner], place) => [key, formSchema(inner, { order: place, inOptions })]),
      );
      // A switch always stands there: off is what leaving it out means.
      const switches = properties.filter(([, inner]) => inner.type === "boolean").map(([key]) => key);
      made.required = [...(schema.required || []), ...switches];
      made.really_required = schema.required || [];
      made.additionalProperties = false;
    }
    if (format === "array") {
      made.items = formSchema(schema.items, { inOptions: schema["x-widget"] === "options" });
      if (schema.minItems) made.minItems = schema.minItems;
    }
    return made;
  }

  /* --- Objects and lists --- */

  class ObjectField extends editors.object {
    build() {
      super.build();
      this.container.classList.add("field-object");
      this.adds = el("p", { class: "field-adds" });
      this.container.append(this.adds);
      this.showAdds();
    }

    layoutEditors() {
      super.layoutEditors();
      this.showAdds();
    }

    showAdds() {
      if (!this.adds) return;
      const missing = Object.entries(this.schema.properties).filter(
        ([key, schema]) => !this.editors[key] && schema.format !== "memora-keep",
      );
      this.adds.replaceChildren(
        ...missing.map(([key, schema]) =>
          el("button", {
            type: "button",
            class: "field-add",
            "data-key": key,
            text: `+ ${schema.title}`,
            on: { click: () => this.addOptional(key) },
          }),
        ),
      );
    }

    addOptional(key) {
      this.addObjectProperty(key);
      this.onChange(true);
      const made = this.editors[key]?.container;
      made?.querySelector("input:not([type=file]), textarea, select, [contenteditable]")?.focus();
    }

    // The server says what is wrong (`Memora.stages.showFaults`).
    showValidationErrors() {}

    removeOptional(key) {
      this.editors[key]?.setValue(undefined);
      this.removeObjectProperty(key);
      this.onChange(true);
      this.adds.querySelector(`[data-key="${key}"]`)?.focus();
    }

    /* What a value leaves out is taken out of the form, but for what must be there. */
    setValue(value, initial) {
      super.setValue(value, initial);
      if (!this.adds) return;
      for (const key of Object.keys(this.editors)) {
        const given = value && typeof value === "object" && value[key] !== undefined;
        if (!given && !this.isRequiredObject(this.editors[key])) this.removeObjectProperty(key);
      }
    }
  }

  class ListField extends editors.array {
    build() {
      super.build();
      this.container.classList.add("field-list", `list-${this.schema.memora["x-widget"] || "plain"}`);
      this.add_row_button.classList.add("row-add");
      const parent = this.parent;
      if (parent?.removeOptional && !parent.schema.really_required.includes(this.key)) {
        this.title.append(removeButton(this, () => parent.removeOptional(this.key)));
      }
    }

    getElementEditor(place) {
      const row = super.getElementEditor(place);
      row.array_controls?.classList.add("row-tools");
      return row;
    }

    showValidationErrors() {}
  }

  function removeButton(editor, click) {
    const what = fill(words.remove_what, { what: editor.schema.title || "" });
    return el("button", { type: "button", class: "field-remove", title: what, "aria-label": what, text: "✕", on: { click } });
  }

  /* --- One value --- */

  let ids = 0;

  class Field extends JSONEditor.AbstractEditor {
    constructor(...given) {
      super(...given);
      this.no_link_holder = true;
    }

    get said() {
      return this.schema.memora || {};
    }

    get isOptional() {
      const parent = this.parent;
      return Boolean(parent?.removeOptional) && !parent.schema.really_required.includes(this.key);
    }

    build() {
      this.fieldId = `stage-field-${(ids += 1)}`;
      this.container.classList.add("field", `field-${this.schema.format.slice(7)}`);
      this.label = this.makeLabel();
      this.control = this.makeControl();
      const help = this.said.description
        ? el("p", { class: "field-help", id: `${this.fieldId}-help`, text: this.said.description })
        : null;
      this.container.append(...[this.label, this.control, help].filter(Boolean));
      const input = this.container.querySelector(`#${this.fieldId}`);
      if (help && input) input.setAttribute("aria-describedby", help.id);
    }

    makeLabel() {
      const text = el("label", { for: this.fieldId, text: this.schema.title || "" });
      const line = el("span", { class: "field-label" }, text);
      if (this.isOptional) line.append(removeButton(this, () => this.parent.removeOptional(this.key)));
      return line;
    }

    getDefault() {
      if (this.schema.default !== undefined) return this.schema.default;
      return this.schema.enum ? this.schema.enum[0] : undefined;
    }

    setValue(value) {
      this.value = value === null || value === "" ? undefined : value;
      this.show();
      this.notify();
    }

    /* What somebody typed. */
    typed(value) {
      this.value = value === "" ? undefined : value;
      this.is_dirty = true;
      this.onChange(true);
    }

    refreshValue() {}
    showValidationErrors() {}
    updateHeaderText() {}
    getTitle() {
      return this.schema.title || "";
    }

    show() {}
  }

  /* An item's id: kept as it is, shown to nobody. */
  class Keep extends Field {
    build() {}
  }

  class Line extends Field {
    makeControl() {
      const technical = Boolean(this.said.pattern);
      const long = !technical && (this.said.maxLength || 0) > 100;
      this.input = el(long ? "textarea" : "input", {
        id: this.fieldId,
        rows: long ? 1 : undefined,
        type: long ? undefined : "text",
        dir: technical ? "ltr" : "auto",
        autocomplete: "off",
        on: { input: () => this.typed(this.input.value) },
      });
      return this.input;
    }

    show() {
      if (this.input && this.input.value !== (this.value ?? "")) this.input.value = this.value ?? "";
    }
  }

  class NumberField extends Line {
    makeControl() {
      this.input = el("input", {
        id: this.fieldId,
        type: "number",
        dir: "ltr",
        min: this.said.minimum,
        max: this.said.maximum,
        step: this.said.type === "integer" ? "1" : "any",
        on: { input: () => this.typed(this.input.value === "" ? undefined : Number(this.input.value)) },
      });
      return this.input;
    }
  }

  class Code extends Line {
    makeControl() {
      this.input = el("textarea", {
        id: this.fieldId,
        rows: 5,
        dir: "ltr",
        class: "json-code",
        spellcheck: "false",
        on: { input: () => this.typed(this.input.value) },
      });
      return this.input;
    }
  }

  class Choice extends Field {
    makeControl() {
      const titles = this.said["x-titles"] || {};
      this.input = el(
        "select",
        { id: this.fieldId, on: { change: () => this.typed(this.input.value) } },
        ...this.schema.enum.map((value) => el("option", { value, text: titles[value] || value })),
      );
      return this.input;
    }

    show() {
      if (this.input && this.value !== undefined) this.input.value = this.value;
    }
  }

  class Switch extends Field {
    makeLabel() {
      return null;
    }

    makeControl() {
      this.input = el("input", {
        id: this.fieldId,
        type: "checkbox",
        on: { change: () => this.typed(this.input.checked) },
      });
      return el("label", { class: "field-switch-label" }, this.input, ` ${this.schema.title}`);
    }

    show() {
      if (this.input) this.input.checked = Boolean(this.value);
    }
  }

  /* The right answer, marked by clicking it. */
  class Mark extends Field {
    makeLabel() {
      return null;
    }

    makeControl() {
      this.input = el("button", {
        id: this.fieldId,
        type: "button",
        class: "mark",
        on: {
          click: () => {
            this.typed(!this.value);
            this.show();
          },
        },
      });
      return this.input;
    }

    show() {
      if (!this.input) return;
      const right = Boolean(this.value);
      this.input.setAttribute("aria-pressed", right);
      this.input.textContent = right ? "✓" : "";
      this.input.title = right ? words.right : words.mark_right;
      this.input.setAttribute("aria-label", this.input.title);
      this.container.parentElement?.closest(".field-object")?.classList.toggle("is-right", right);
    }
  }

  /* --- Text with formatting --- */

  const TOOLS = [
    ["bold", "B", "bold"],
    ["italic", "I", "italic"],
    ["underline", "U", "underline"],
    ["heading", "H", "formatBlock", "h3"],
    ["bullets", "•", "insertUnorderedList"],
    ["numbers", "1.", "insertOrderedList"],
    ["quote", "❝", "formatBlock", "blockquote"],
    ["link", "↗", "createLink"],
    ["plain", "⌫", "removeFormat"],
  ];

  class Rich extends Field {
    makeControl() {
      document.execCommand("defaultParagraphSeparator", false, "p");
      this.input = el("div", {
        id: this.fieldId,
        class: "rich-text",
        contenteditable: "true",
        role: "textbox",
        "aria-multiline": "true",
        "aria-label": this.schema.title || "",
        dir: "auto",
        on: {
          input: () => this.typed(this.written()),
          paste: (event) => this.paste(event),
        },
      });
      this.area = el("textarea", {
        class: "json-code rich-source",
        dir: "ltr",
        rows: 5,
        hidden: true,
        "aria-label": words.source,
        spellcheck: "false",
        on: { input: () => this.typed(this.area.value) },
      });
      const tools = TOOLS.map(([name, face, command, argument]) =>
        el("button", {
          type: "button",
          class: `tool tool-${name}`,
          title: words[name],
          "aria-label": words[name],
          text: face,
          on: {
            mousedown: (event) => event.preventDefault(), // the selection stays
            click: () => this.apply(command, argument),
          },
        }),
      );
      this.switcher = el("button", {
        type: "button",
        class: "tool tool-source",
        "aria-pressed": "false",
        text: words.source,
        on: { click: () => this.toggleSource() },
      });
      const bar = el("span", { class: "rich-tools", role: "toolbar" }, ...tools, this.switcher);
      return el("div", { class: "rich" }, bar, this.input, this.area);
    }

    written() {
      const box = el("div", {}, safeHtml(this.input.innerHTML));
      const empty = !box.textContent.trim() && !box.querySelector("img, hr");
      return empty ? undefined : box.innerHTML;
    }

    apply(command, argument) {
      this.input.focus();
      if (command === "createLink") {
        const address = window.prompt(words.link_address, "https://");
        if (!address || !/^(https?:|mailto:|tel:)/i.test(address)) return;
        document.execCommand(command, false, address);
      } else if (command === "formatBlock") {
        const block = document.queryCommandValue("formatBlock");
        document.execCommand(command, false, block === argument ? "p" : argument);
      } else {
        document.execCommand(command, false);
      }
      this.typed(this.written());
    }

    paste(event) {
      event.preventDefault();
      const html = event.clipboardData.getData("text/html");
      if (html) {
        const box = el("div", {}, safeHtml(html));
        document.execCommand("insertHTML", false, box.innerHTML);
      } else {
        document.execCommand("insertText", false, event.clipboardData.getData("text/plain"));
      }
    }

    toggleSource() {
      const toSource = this.area.hidden;
      this.area.hidden = !toSource;
      this.input.hidden = toSource;
      this.switcher.setAttribute("aria-pressed", toSource);
      this.show();
    }

    show() {
      if (!this.input) return;
      if (this.area.value !== (this.value ?? "")) this.area.value = this.value ?? "";
      if (!this.input.contains(document.activeElement) || this.written() !== this.value) {
        this.input.replaceChildren(safeHtml(this.value));
      }
    }
  }

  /* Formatted or Markdown, as the format beside it says. */
  class Text extends Rich {
    makeControl() {
      const rich = super.makeControl();
      this.plain = el("textarea", {
        class: "markdown",
        rows: 8,
        dir: "auto",
        "aria-label": this.schema.title || "",
        on: { input: () => this.typed(this.plain.value) },
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
      super.show();
    }
  }

  /* --- Pictures and videos --- */

  class Media extends Line {
    get kind() {
      return "image";
    }

    makeControl() {
      const address = super.makeControl();
      this.address = this.input;
      this.look = el("div", { class: "media-look" });
      this.file = el("input", {
        type: "file",
        accept: this.kind === "video" ? "video/mp4,video/webm" : "image/png,image/jpeg,image/webp,image/gif",
        class: "media-file",
        "aria-label": this.kind === "video" ? words.upload_video : words.upload_image,
        on: { change: () => this.file.files[0] && this.upload(this.file.files[0]) },
      });
      this.button = el("button", { type: "button", class: "media-upload", on: { click: () => this.file.click() } });
      this.progress = el("progress", { max: 100, hidden: true });
      this.state = el("span", { class: "media-state", role: "status" });
      this.stop = el("button", {
        type: "button",
        class: "media-cancel",
        hidden: true,
        text: words.cancel,
        on: { click: () => this.request?.abort() },
      });
      address.placeholder = words.or_address;
      return el(
        "div",
        { class: `media media-${this.kind}` },
        this.look,
        el("span", { class: "media-choose" }, this.button, this.file, address),
        el("span", { class: "media-progress" }, this.progress, this.state, this.stop),
      );
    }

    typed(value) {
      super.typed(value);
      this.show();
    }

    show() {
      super.show();
      if (!this.look) return;
      const first = this.kind === "video" ? words.upload_video : words.upload_image;
      this.button.textContent = this.value ? words.replace : first;
      if (this.look.dataset.shown === (this.value ?? "")) return;
      this.look.dataset.shown = this.value ?? "";
      this.look.replaceChildren(...(this.value ? [this.picture(this.value)] : []));
    }

    picture(url) {
      if (!/^(https:\/\/|\/(?!\/))/.test(url)) return "";
      return el("img", { src: url, alt: "", loading: "lazy" });
    }

    upload(file) {
      const body = new FormData();
      body.append("file", file);
      const request = new XMLHttpRequest();
      this.request = request;
      request.open("POST", settings.urls[this.kind]);
      request.setRequestHeader("X-CSRFToken", document.querySelector("[name=csrfmiddlewaretoken]").value);
      request.upload.onprogress = (event) => {
        if (!event.lengthComputable) return;
        const share = Math.round((100 * event.loaded) / event.total);
        this.progress.value = share;
        this.state.textContent = fill(words.uploading, { share: `${share}%` });
      };
      request.onload = () => this.uploaded(request, file);
      request.onerror = () => this.ended(words.upload_failed);
      request.onabort = () => this.ended("");
      this.progress.value = 0;
      this.progress.hidden = this.stop.hidden = false;
      this.button.disabled = true;
      request.send(body);
    }

    uploaded(request, file) {
      let answer = {};
      try {
        answer = JSON.parse(request.responseText);
      } catch {
        // a page, not ours: the status below says enough
      }
      if (request.status === 200) {
        this.ended("");
        this.typed(answer.source || answer.url);
        this.keep(file);
      } else if (request.status === 413) {
        this.ended(words.too_large);
      } else {
        this.ended(answer.message || words.upload_failed);
      }
    }

    ended(said) {
      this.progress.hidden = this.stop.hidden = true;
      this.button.disabled = false;
      this.state.textContent = said;
      this.file.value = "";
      this.request = null;
    }

    keep() {}
  }

  class Video extends Media {
    get kind() {
      return "video";
    }

    picture(source) {
      const foreign = source.startsWith("https://");
      const url = foreign ? source : `${settings.urls.watch}?source=${encodeURIComponent(source)}`;
      return el("video", { src: url, controls: true, preload: "metadata" });
    }

    /* The length is known from the file; nobody needs to write it. */
    keep(file) {
      const probe = document.createElement("video");
      probe.preload = "metadata";
      probe.src = URL.createObjectURL(file);
      probe.onloadedmetadata = () => {
        URL.revokeObjectURL(probe.src);
        if (!Number.isFinite(probe.duration) || !this.parent?.schema.properties.duration) return;
        this.parent.addObjectProperty("duration");
        this.parent.editors.duration.setValue(Math.max(1, Math.round(probe.duration)));
        this.parent.onChange(true);
        this.parent.refreshValue();
        this.onChange(true);
      };
    }
  }

  /* --- Words of a sentence --- */

  function chip(text, title, click) {
    return el("button", { type: "button", class: "chip", dir: "auto", title, text, on: { click } });
  }

  class Tokens extends Field {
    getDefault() {
      return [];
    }

    makeControl() {
      this.list = el("span", { class: "chips" });
      this.input = el("input", {
        id: this.fieldId,
        type: "text",
        dir: "auto",
        autocomplete: "off",
        placeholder: words.token_hint,
        on: {
          keydown: (event) => {
            if (event.key === "Enter") {
              event.preventDefault();
              this.add();
            } else if (event.key === "Backspace" && !this.input.value && this.value?.length) {
              this.put(this.value.slice(0, -1));
            }
          },
          blur: () => this.add(),
        },
      });
      const add = el("button", { type: "button", class: "chip-add", text: words.token_add, on: { click: () => this.add() } });
      return el("div", { class: "tokens" }, this.list, el("span", { class: "token-entry" }, this.input, add));
    }

    add() {
      const added = this.input.value.split(/[|\n]/).map((text) => text.trim()).filter(Boolean);
      this.input.value = "";
      if (added.length) this.put([...(this.value || []), ...added]);
    }

    put(tokens) {
      this.typed(tokens);
      this.show();
    }

    show() {
      if (!this.list) return;
      this.list.replaceChildren(
        ...(this.value || []).map((text, place) => {
          const title = fill(words.remove_what, { what: text });
          const made = chip(text, title, () => this.put(this.value.filter((_token, other) => other !== place)));
          made.append(el("span", { class: "chip-x", "aria-hidden": "true", text: "✕" }));
          return made;
        }),
      );
    }
  }

  /* Tokens put in order by clicking them. */
  class Order extends Tokens {
    makeLabel() {
      return el("span", { class: "field-label" }, el("b", { text: this.schema.title || "" }));
    }

    makeControl() {
      let sentence = this.parent;
      while (sentence && !sentence.schema.properties?.tokens) sentence = sentence.parent;
      this.tokensPath = `${sentence?.path}.tokens`;
      this.jsoneditor.watch(this.tokensPath, () => this.show());
      this.list = el("span", { class: "chips answer-line" });
      this.bank = el("span", { class: "chips bank" });
      this.hint = el("span", { class: "field-help" });
      const all = el("button", { type: "button", class: "chip-add", text: words.order_all, on: { click: () => this.put([...this.tokens]) } });
      const clear = el("button", { type: "button", class: "chip-add", text: words.order_clear, on: { click: () => this.put([]) } });
      return el("div", { class: "order" }, this.list, this.bank, this.hint, el("span", { class: "order-tools" }, all, clear));
    }

    get tokens() {
      return this.jsoneditor.getEditor(this.tokensPath)?.getValue() || [];
    }

    show() {
      if (!this.bank) return;
      super.show();
      const left = [...this.tokens];
      for (const used of this.value || []) {
        const place = left.indexOf(used);
        if (place >= 0) left.splice(place, 1);
      }
      this.bank.replaceChildren(
        ...left.map((text) => chip(text, text, () => this.put([...(this.value || []), text]))),
      );
      this.hint.textContent = this.tokens.length ? (left.length ? words.order_hint : "") : words.order_empty;
    }
  }

  /* --- Captions, as WebVTT writes them --- */

  const TIMES = /^\s*([\d:.,]+)\s*-->\s*([\d:.,]+)/;

  function seconds(text) {
    return text
      .replace(",", ".")
      .split(":")
      .reduce((sum, part) => sum * 60 + Number(part), 0);
  }

  function clock(time) {
    const minutes = String(Math.floor(time / 60)).padStart(2, "0");
    return `${minutes}:${(time % 60).toFixed(3).padStart(6, "0")}`;
  }

  function parseCues(text) {
    return text
      .split(/\r?\n\s*\r?\n/)
      .map((block) => block.trim())
      .filter((block) => block && !/^(WEBVTT|NOTE|STYLE|REGION)/.test(block))
      .map((block) => {
        const lines = block.split(/\r?\n/);
        const place = lines.findIndex((line) => TIMES.test(line));
        if (place < 0) return { text: block };
        const [, start, end] = lines[place].match(TIMES);
        return { start: seconds(start), end: seconds(end), text: lines.slice(place + 1).join("\n") };
      });
  }

  class Cues extends Field {
    makeControl() {
      this.input = el("textarea", {
        id: this.fieldId,
        rows: 6,
        dir: "auto",
        class: "cues",
        placeholder: `00:01.000 --> 00:04.000\n…\n\n${words.cue_hint}`,
        on: { input: () => this.typed(parseCues(this.input.value)) },
      });
      return this.input;
    }

    show() {
      if (!this.input) return;
      const now = JSON.stringify(parseCues(this.input.value));
      if (now === JSON.stringify(this.value || [])) return;
      this.input.value = (this.value || [])
        .map((cue) => `${clock(cue.start || 0)} --> ${clock(cue.end || 0)}\n${cue.text || ""}`)
        .join("\n\n");
    }
  }

  Object.assign(editors, {
    "memora-object": ObjectField,
    "memora-array": ListField,
    "memora-keep": Keep,
    "memora-line": Line,
    "memora-number": NumberField,
    "memora-code": Code,
    "memora-choice": Choice,
    "memora-switch": Switch,
    "memora-mark": Mark,
    "memora-rich": Rich,
    "memora-text": Text,
    "memora-image": Media,
    "memora-video": Video,
    "memora-tokens": Tokens,
    "memora-order": Order,
    "memora-cues": Cues,
  });

  /* A form in `holder` for a config of `type`; null where the type has no schema. */
  Memora.stageForm = (holder, type, config) => {
    const schema = settings.types[type];
    if (!schema) return null;
    return new JSONEditor(holder, {
      schema: formSchema(schema),
      startval: config,
      theme: "barebones",
      disable_theme_rules: true,
      disable_collapse: true,
      disable_edit_json: true,
      disable_properties: true,
      disable_array_delete_all_rows: true,
      disable_array_delete_last_row: true,
      display_required_only: true,
      remove_empty_properties: true,
      remove_false_properties: true,
      prompt_before_delete: false,
      show_errors: "never",
      use_name_attributes: false,
      form_name_root: "root",
    });
  };
})();
