/* Build a stage's form from the JSON Schema of its type: json-editor with the fields of
 * stage-fields.js. */
"use strict";

(() => {
  const { element: el, fill, stageSettings: settings } = Memora;
  if (!settings) return;
  const { removeButton } = Memora.stageFields;
  const texts = settings.texts;
  const editors = JSONEditor.defaults.editors;
  JSONEditor.defaults.languages.memora = texts;
  JSONEditor.defaults.language = "memora";
  JSONEditor.defaults.resolvers.unshift(
    (schema) => typeof schema.format === "string" && schema.format.startsWith("memora-") && schema.format,
  );

  /* --- The form's schema: the type's schema plus the field class of each value --- */

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
    const result = {
      type: schema.type,
      format: `memora-${format}`,
      title: schema.title,
      propertyOrder: order,
      memora: schema,
    };
    if (schema.default !== undefined) result.default = schema.default;
    if (schema.enum) result.enum = schema.enum;
    if (format === "keep") result.options = { hidden: true };
    if (format === "object") {
      const properties = Object.entries(schema.properties);
      result.properties = Object.fromEntries(
        properties.map(([key, inner], place) => [key, formSchema(inner, { order: place, inOptions })]),
      );
      // A checkbox is always shown: a missing value means off.
      const switches = properties.filter(([, inner]) => inner.type === "boolean").map(([key]) => key);
      result.required = [...(schema.required || []), ...switches];
      result.really_required = schema.required || [];
      result.additionalProperties = false;
    }
    if (format === "array") {
      result.items = formSchema(schema.items, { inOptions: schema["x-widget"] === "options" });
      if (schema.minItems) result.minItems = schema.minItems;
    }
    return result;
  }

  /* --- Objects and lists --- */

  function isEmpty(value) {
    if (value === undefined || value === null || value === "") return true;
    return typeof value === "object" && Object.values(value).every(isEmpty);
  }

  /* Show a line after `place` that names the removed part and offers to restore it. */
  function offerUndo(place, title, restore) {
    const undo = () => {
      line.remove();
      restore();
    };
    const button = el("button", { type: "button", text: texts.undo, on: { click: undo } });
    const line = el("p", { class: "row-removed" }, el("span", { text: fill(texts.removed, { title }) }), button);
    place.after(line);
    button.focus();
  }

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
      const added = this.editors[key]?.container;
      added?.querySelector("input:not([type=file]), textarea, select, [contenteditable]")?.focus();
    }

    // Errors come from the server (`Memora.stages.showFaults`).
    showValidationErrors() {}

    removeOptional(key) {
      const value = this.editors[key].getValue();
      this.editors[key].setValue(undefined);
      this.removeObjectProperty(key);
      this.onChange(true);
      this.adds.querySelector(`[data-key="${key}"]`)?.focus();
      if (isEmpty(value)) return;
      offerUndo(this.adds, this.schema.properties[key].title, () => {
        if (!this.editors[key]) this.addOptional(key);
        this.editors[key].setValue(value);
        this.refreshValue();
        this.onChange(true);
      });
    }

    /* Remove optional parts that the value lacks from the form. */
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

    _createDeleteButton(place, holder) {
      const button = super._createDeleteButton(place, holder);
      let before;
      // json-editor's listener, which removes the row, runs between these two.
      button.addEventListener("click", () => (before = this.getValue()), true);
      button.addEventListener("click", () => this.removed(before, Number(button.dataset.i)));
      return button;
    }

    removed(before, at) {
      const row = before[at];
      if (isEmpty(row)) return;
      offerUndo(this.row_holder, `${this.getItemTitle()} ${at + 1}`, () => {
        const now = this.getValue();
        now.splice(at, 0, row);
        this.setValue(now);
        this.onChange(true);
      });
    }

    getElementEditor(place) {
      const row = super.getElementEditor(place);
      row.array_controls?.classList.add("row-tools");
      return row;
    }

    showValidationErrors() {}
  }

  Object.assign(editors, { "memora-object": ObjectField, "memora-array": ListField });

  /* Create a form in `holder` for a config of `type`; null if the type has no schema. */
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
