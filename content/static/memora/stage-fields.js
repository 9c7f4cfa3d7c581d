/* The fields of a stage's form. json-editor manages the structure (objects, lists, optional
 * parts); these classes show the values. Only the server validates them, with the same
 * messages during input and on saving. */
"use strict";

(() => {
  const { element: el, fill } = Memora;
  const settings = JSON.parse(document.getElementById("stage-editor")?.textContent || "null");
  if (!settings || !window.JSONEditor) return;
  const texts = settings.texts;
  Memora.stageSettings = settings;

  /* --- Server --- */

  /* Return the current CSRF token; a sign-in in another tab may have replaced it. */
  Memora.token = () =>
    document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1] ||
    document.querySelector("[name=csrfmiddlewaretoken]").value;

  /* Show a link to sign in, after a request was redirected to the login page. */
  Memora.showSignedOut = (holder) => {
    const link = el("a", { href: settings.urls.sign_in, target: "_blank", text: texts.sign_in });
    holder.replaceChildren(`${texts.signed_out} `, link);
  };

  function removeButton(editor, click) {
    const what = fill(texts.remove_what, { what: editor.schema.title || "" });
    return el("button", { type: "button", class: "field-remove", title: what, "aria-label": what, text: "✕", on: { click } });
  }

  /* --- Single values --- */

  let ids = 0;

  class Field extends JSONEditor.AbstractEditor {
    constructor(...args) {
      super(...args);
      this.no_link_holder = true;
    }

    get spec() {
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
      const help = this.spec.description
        ? el("p", { class: "field-help", id: `${this.fieldId}-help`, text: this.spec.description })
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

    /* Store the user's input. */
    onInput(value) {
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

  /* An item's id: hidden and never changed. */
  class Keep extends Field {
    build() {}
  }

  class Line extends Field {
    makeControl() {
      const technical = Boolean(this.spec.pattern);
      const long = !technical && (this.spec.maxLength || 0) > 100;
      this.input = el(long ? "textarea" : "input", {
        id: this.fieldId,
        rows: long ? 1 : undefined,
        type: long ? undefined : "text",
        title: technical ? undefined : texts.inline_hint,
        dir: technical ? "ltr" : "auto",
        autocomplete: "off",
        on: { input: () => this.onInput(this.input.value) },
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
        min: this.spec.minimum,
        max: this.spec.maximum,
        step: this.spec.type === "integer" ? "1" : "any",
        on: { input: () => this.onInput(this.input.value === "" ? undefined : Number(this.input.value)) },
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
        on: { input: () => this.onInput(this.input.value) },
      });
      return this.input;
    }
  }

  class Choice extends Field {
    makeControl() {
      const titles = this.spec["x-titles"] || {};
      this.input = el(
        "select",
        { id: this.fieldId, on: { change: () => this.onInput(this.input.value) } },
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
        on: { change: () => this.onInput(this.input.checked) },
      });
      return el("label", { class: "field-switch-label" }, this.input, ` ${this.schema.title}`);
    }

    show() {
      if (this.input) this.input.checked = Boolean(this.value);
    }
  }

  /* Marks the right answer by a click. */
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
            this.onInput(!this.value);
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
      this.input.title = right ? texts.right : texts.mark_right;
      this.input.setAttribute("aria-label", this.input.title);
      this.container.parentElement?.closest(".field-object")?.classList.toggle("is-right", right);
    }
  }

  /* --- Tokens of a sentence --- */

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
        placeholder: texts.token_hint,
        on: {
          keydown: (event) => {
            if (event.key === "Enter") {
              event.preventDefault();
              this.add();
            } else if (event.key === "Backspace" && !this.input.value && this.value?.length) {
              this.setTokens(this.value.slice(0, -1));
            }
          },
          blur: () => this.add(),
          paste: (event) => this.paste(event),
        },
      });
      const add = el("button", { type: "button", class: "chip-add", text: texts.token_add, on: { click: () => this.add() } });
      return el("div", { class: "tokens" }, this.list, el("span", { class: "token-entry" }, this.input, add));
    }

    add() {
      const added = this.input.value.split(/[|\n]/).map((text) => text.trim()).filter(Boolean);
      this.input.value = "";
      if (added.length) this.setTokens([...(this.value || []), ...added]);
    }

    /* A pasted sentence becomes one token per word; | and line breaks divide longer ones. */
    paste(event) {
      const text = event.clipboardData.getData("text/plain").trim();
      if (!/\s|\|/.test(text) || this.input.value) return;
      event.preventDefault();
      this.input.value = /[|\n]/.test(text) ? text : text.split(/\s+/).join("|");
      this.add();
    }

    setTokens(tokens) {
      this.onInput(tokens);
      this.show();
    }

    show() {
      if (!this.list) return;
      this.list.replaceChildren(
        ...(this.value || []).map((text, place) => {
          const title = fill(texts.remove_what, { what: text });
          const token = chip(text, title, () => this.setTokens(this.value.filter((_token, other) => other !== place)));
          token.append(el("span", { class: "chip-x", "aria-hidden": "true", text: "✕" }));
          return token;
        }),
      );
    }
  }

  /* Puts tokens in order by clicks. */
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
      const all = el("button", { type: "button", class: "chip-add", text: texts.order_all, on: { click: () => this.setTokens([...this.tokens]) } });
      const clear = el("button", { type: "button", class: "chip-add", text: texts.order_clear, on: { click: () => this.setTokens([]) } });
      return el("div", { class: "order" }, this.list, this.bank, this.hint, el("span", { class: "order-tools" }, all, clear));
    }

    get tokens() {
      return this.jsoneditor.getEditor(this.tokensPath)?.getValue() || [];
    }

    show() {
      if (!this.bank) return;
      super.show();
      const remaining = [...this.tokens];
      for (const used of this.value || []) {
        const place = remaining.indexOf(used);
        if (place >= 0) remaining.splice(place, 1);
      }
      this.bank.replaceChildren(
        ...remaining.map((text) => chip(text, text, () => this.setTokens([...(this.value || []), text]))),
      );
      this.hint.textContent = this.tokens.length ? (remaining.length ? texts.order_hint : "") : texts.order_empty;
    }
  }

  /* --- Captions in WebVTT format --- */

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
        placeholder: `00:01.000 --> 00:04.000\n…\n\n${texts.cue_hint}`,
        on: { input: () => this.onInput(parseCues(this.input.value)) },
      });
      const file = el("input", {
        type: "file",
        accept: ".vtt,text/vtt",
        "aria-label": texts.upload_captions,
        on: { change: () => this.readFile(file) },
      });
      return el("div", { class: "cues-control" }, this.input, el("label", { class: "cues-file" }, texts.upload_captions, file));
    }

    async readFile(file) {
      if (!file.files[0]) return;
      this.input.value = (await file.files[0].text()).replace(/^\ufeff/, "");
      file.value = "";
      this.onInput(parseCues(this.input.value));
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

  Memora.stageFields = { Field, Line, removeButton };
  Object.assign(JSONEditor.defaults.editors, {
    "memora-keep": Keep,
    "memora-line": Line,
    "memora-number": NumberField,
    "memora-code": Code,
    "memora-choice": Choice,
    "memora-switch": Switch,
    "memora-mark": Mark,
    "memora-tokens": Tokens,
    "memora-order": Order,
    "memora-cues": Cues,
  });
})();
