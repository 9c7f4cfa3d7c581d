/* A lesson's stages as cards: open, sort, add, remove. The posted form is the same as without
 * this script: each card's JSON is in its text area. */
"use strict";

(() => {
  const section = document.getElementById("stages");
  const settings = Memora.stageSettings;
  if (!section || !settings || section.hasAttribute("data-read-only")) return;
  const { element: el, fill, icon } = Memora;
  const { texts, types } = settings;
  const prefix = section.dataset.prefix;
  const list = section.querySelector(".stage-list");
  const status = section.querySelector(".stages-status");
  const form = section.closest("form");
  const states = new WeakMap();
  const lossesOf = new WeakMap(); // the parts of each card that saving would drop
  const EDGE = 70; // pixels from the window's edge within which a drag scrolls

  section.classList.add("is-scripted");

  function field(card, name) {
    return card.querySelector(`[name="${card.id}-${name}"]`);
  }

  function cards() {
    return [...list.querySelectorAll(".stage-card")];
  }

  function activeCards() {
    return cards().filter((card) => !isRemoved(card));
  }

  function isRemoved(card) {
    return Boolean(field(card, "DELETE")?.checked);
  }

  function titleOf(card) {
    return field(card, "title").value.trim() || types[field(card, "type").value]?.title || texts.new_stage;
  }

  function changed() {
    form.dispatchEvent(new CustomEvent("memora:changed"));
  }

  /* --- Card headers --- */

  function showHead(card) {
    const type = field(card, "type").value;
    const title = titleOf(card);
    card.querySelector(".stage-title").textContent = title;
    const facts = [
      types[type]?.title || type,
      fill(texts.seconds, { seconds: field(card, "target_time").value || "0" }),
    ];
    if (field(card, "is_skippable").checked) facts.push(texts.skippable);
    card.querySelector(".stage-facts").textContent = facts.join(" · ");
    const picture = section.querySelector(`.stage-type[data-type="${CSS.escape(type)}"] .stage-icon`);
    card.querySelector(".stage-picture").replaceChildren(...(picture ? [picture.cloneNode(true)] : []));
    const grip = card.querySelector(".stage-grip");
    grip.title = fill(texts.drag, { title });
    grip.setAttribute("aria-label", grip.title);
    const remove = card.querySelector(".stage-remove");
    remove.textContent = "✕";
    remove.title = fill(texts.remove_what, { what: title });
    remove.setAttribute("aria-label", remove.title);
    const copy = card.querySelector(".stage-copy");
    copy.title = fill(texts.copy_stage, { title });
    copy.setAttribute("aria-label", copy.title);
  }

  function renumber() {
    activeCards().forEach((card, place) => {
      card.querySelector(".stage-number").textContent = place + 1;
    });
    section.classList.toggle("is-empty", activeCards().length === 0);
  }

  /* --- Opening: the form is created when the card is opened --- */

  function isOpen(card) {
    return card.classList.contains("is-open");
  }

  function open(card, wanted = true) {
    card.classList.toggle("is-open", wanted);
    const toggle = card.querySelector(".stage-toggle");
    toggle.setAttribute("aria-expanded", wanted);
    toggle.title = wanted ? texts.close : texts.open;
    if (wanted && !states.get(card)) start(card);
    if (wanted) form.dispatchEvent(new CustomEvent("memora:opened", { detail: activeCards().indexOf(card) }));
  }

  function parsed(card) {
    try {
      return JSON.parse(field(card, "config").value || "{}");
    } catch {
      return undefined;
    }
  }

  function isNew(card) {
    return !field(card, "id")?.value && field(card, "config").value.trim() === "{}";
  }

  function start(card) {
    const state = { editor: null, baseline: null, original: field(card, "config").value, faults: null };
    states.set(card, state);
    const config = parsed(card);
    const holder = card.querySelector(".stage-form");
    if (config === undefined || !types[field(card, "type").value]) {
      showSource(card, true);
      holder.replaceChildren(
        el("p", { class: "quiet", text: config === undefined ? texts.not_json : texts.unknown_type }),
      );
      return;
    }
    holder.replaceChildren();
    state.editor = Memora.stageForm(holder, field(card, "type").value, config);
    state.editor.on("ready", () => {
      // A new stage's JSON is written immediately, so errors about missing values have a field.
      state.baseline = isNew(card) ? "" : JSON.stringify(state.editor.getValue());
      if (state.faults || lossesOf.has(card)) showFaults(card, state.faults || []);
      holder.addEventListener("focusout", (event) => touch(card, event.target));
    });
    state.editor.on("change", () => formChanged(card, state));
  }

  /* Write the JSON only after a change by the user: opening a stage does not change it. */
  function formChanged(card, state) {
    if (state.baseline === null || card.classList.contains("is-source")) return;
    const value = state.editor.getValue();
    const text = JSON.stringify(value) === state.baseline ? state.original : JSON.stringify(value, null, 2);
    if (field(card, "config").value === text) return;
    field(card, "config").value = text;
    state.faults = null; // outdated; the next response has the current ones
    changed();
  }

  /* Write the latest input: the form announces a change only in the next frame. */
  function flush(card) {
    const state = states.get(card);
    if (state?.editor?.ready) formChanged(card, state);
  }

  function showSource(card, wanted) {
    card.classList.toggle("is-source", wanted);
    const button = card.querySelector(".stage-json");
    button.setAttribute("aria-pressed", wanted);
    button.textContent = wanted ? texts.form : texts.json;
  }

  function toggleSource(card) {
    if (!card.classList.contains("is-source")) {
      showSource(card, true);
      return;
    }
    const config = parsed(card);
    if (config === undefined) {
      status.textContent = texts.not_json;
      return;
    }
    showSource(card, false);
    const state = states.get(card);
    if (state.editor) {
      state.editor.setValue(config);
    } else {
      states.delete(card);
      start(card);
    }
  }

  /* --- Errors at their fields --- */

  function touch(card, target) {
    const state = states.get(card);
    const place = target.closest?.("[data-schemapath]");
    if (!state || !place) return;
    (state.touched ||= new Set()).add(place.dataset.schemapath);
    if (state.faults) showFaults(card, state.faults);
  }

  function clearFaults(card) {
    card.querySelectorAll(".stage-form :is(.fault, .loss), .stage-source .fault").forEach((shown) => shown.remove());
    card.querySelectorAll(".has-fault").forEach((place) => place.classList.remove("has-fault"));
  }

  /* Leaving a field shows its errors. Between pointerdown and pointerup this would move the
   * button away from the pointer, and the click would be lost; so it waits for pointerup. */
  let isPressed = false;
  const waiting = [];
  document.addEventListener("pointerdown", () => (isPressed = true), true);
  for (const end of ["pointerup", "pointercancel"]) {
    document.addEventListener(end, onPointerUp, true);
  }

  function onPointerUp() {
    isPressed = false;
    // After the click event.
    setTimeout(() => waiting.splice(0).forEach((work) => work()));
  }

  function afterPointerUp(work) {
    if (isPressed) waiting.push(work);
    else work();
  }

  /* Show faults, as [path, reason]: all of them after saving; during input only those of
   * fields that the user has left. */
  function showFaults(card, faults, options) {
    afterPointerUp(() => renderFaults(card, faults, options));
  }

  /* Return the field at a path, or its nearest existing ancestor. */
  function placeOf(editor, path) {
    const names = ["root", ...path.map(String)];
    let place = null;
    while (names.length && !(place = editor.getEditor(names.join(".")))) names.pop();
    return [place, names.join(".")];
  }

  /* `losses`: [path, what] of parts that saving would drop; always shown. */
  function renderFaults(card, faults, { all = false, losses = null } = {}) {
    const state = states.get(card);
    if (state) {
      state.faults = faults;
      state.all ||= all;
    }
    if (losses) lossesOf.set(card, losses);
    card.classList.toggle("has-faults", faults.length > 0);
    const badge = card.querySelector(".stage-faults");
    badge.hidden = faults.length === 0;
    badge.textContent = faults.length ? `! ${texts.not_finished} (${faults.length})` : "";
    clearFaults(card);
    const editor = state?.editor;
    if (!editor?.ready) return;
    for (const [path, what] of lossesOf.get(card) || []) {
      const [place] = placeOf(editor, path);
      place?.container.append(el("p", { class: "loss", role: "status", text: what }));
    }
    for (const [path, reason] of faults) {
      const [place, where] = placeOf(editor, path);
      const touched = [...(state.touched || [])].some((done) => done === where || done.startsWith(`${where}.`));
      if (!place || !(state.all || touched)) continue;
      place.container.classList.add("has-fault");
      place.container.append(el("p", { class: "fault", role: "alert", text: reason }));
    }
  }

  /* --- Sorting: by dragging and by the arrow keys --- */

  function moved(card) {
    cards().forEach((other, place) => {
      field(other, "position").value = place + 1;
    });
    renumber();
    const place = activeCards().indexOf(card) + 1;
    status.textContent = fill(texts.moved, { title: titleOf(card), place });
    changed();
  }

  function drag(card) {
    card.classList.add("is-dragged");
    const before = cards().indexOf(card);
    let nowY = innerHeight / 2;
    const place = () => {
      const over = cards().find((other) => {
        const box = other.getBoundingClientRect();
        return other !== card && nowY >= box.top && nowY <= box.bottom;
      });
      if (!over) return;
      const box = over.getBoundingClientRect();
      if (nowY > box.top + box.height / 2) over.after(card);
      else over.before(card);
    };
    const move = (event) => {
      nowY = event.clientY;
      place();
    };
    // Near the window's edge the page scrolls automatically.
    const scroll = setInterval(() => {
      const by = Math.min(0, nowY - EDGE) + Math.max(0, nowY - (innerHeight - EDGE));
      if (!by) return;
      scrollBy(0, by / 3);
      place();
    }, 16);
    const end = () => {
      clearInterval(scroll);
      card.classList.remove("is-dragged");
      for (const name of ["pointerup", "pointercancel"]) document.removeEventListener(name, end);
      document.removeEventListener("pointermove", move);
      if (cards().indexOf(card) !== before) moved(card);
    };
    // On the document, because the card and its handle move while dragged.
    document.addEventListener("pointermove", move);
    for (const name of ["pointerup", "pointercancel"]) document.addEventListener(name, end);
  }

  function step(card, direction) {
    const order = activeCards();
    const other = order[order.indexOf(card) + direction];
    if (!other) return;
    if (direction < 0) other.before(card);
    else other.after(card);
    card.querySelector(".stage-grip").focus();
    moved(card);
  }

  /* --- Adding and removing --- */

  function add(type, after = null) {
    const total = form.querySelector(`[name="${prefix}-TOTAL_FORMS"]`);
    const template = document.getElementById("new-stage");
    const holder = document.createElement("template");
    holder.innerHTML = template.innerHTML.replaceAll("__prefix__", total.value);
    const card = holder.content.querySelector(".stage-card");
    total.value = Number(total.value) + 1;
    const last = Math.max(0, ...cards().map((other) => Number(field(other, "position").value)));
    list.append(card);
    field(card, "position").value = last + 1;
    field(card, "type").value = type;
    field(card, "config").value = "{}";
    if (after) copyFrom(card, after);
    prepare(card);
    renumber();
    open(card);
    card.scrollIntoView({ block: "nearest" });
    field(card, "title").focus();
    changed();
  }

  /* Copy the content of another card without its item ids: the new items get their own. */
  function copyFrom(card, other) {
    flush(other);
    const withoutIds = (key, value) => (key === "id" ? undefined : value);
    field(card, "config").value = JSON.stringify(parsed(other) ?? {}, withoutIds, 2);
    for (const name of ["title", "weight", "target_time"]) field(card, name).value = field(other, name).value;
    field(card, "is_skippable").checked = field(other, "is_skippable").checked;
    other.after(card);
    cards().forEach((one, place) => (field(one, "position").value = place + 1));
  }

  function remove(card, removed = true) {
    field(card, "DELETE").checked = removed;
    card.classList.toggle("is-removed", removed);
    const line = card.querySelector(".stage-removed");
    line.hidden = !removed;
    line.replaceChildren();
    if (removed) {
      open(card, false);
      line.append(
        el("span", { text: fill(texts.removed, { title: titleOf(card) }) }),
        el("button", { type: "button", text: texts.undo, on: { click: () => remove(card, false) } }),
      );
      line.querySelector("button").focus();
    }
    renumber();
    changed();
  }

  function prepare(card) {
    card.querySelector(".stage-toggle").addEventListener("click", () => open(card, !isOpen(card)));
    card.querySelector(".stage-json").addEventListener("click", () => toggleSource(card));
    const removes = card.querySelector(".stage-remove");
    removes.addEventListener("click", () => remove(card));
    removes.before(
      el(
        "button",
        { type: "button", class: "stage-copy", on: { click: () => add(field(card, "type").value, card) } },
        icon("M8 8h12v12H8zM4 16V4h12"),
      ),
    );
    showHead(card);
    showSource(card, false);
    const grip = card.querySelector(".stage-grip");
    grip.textContent = "⠿";
    grip.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      event.preventDefault(); // do not select text
      grip.focus();
      drag(card);
    });
    grip.addEventListener("keydown", (event) => {
      const direction = { ArrowUp: -1, ArrowDown: 1 }[event.key];
      if (!direction) return;
      event.preventDefault();
      step(card, direction);
    });
    card.addEventListener("input", (event) => {
      if (event.target.name) showHead(card);
    });
    if (!field(card, "DELETE")) card.querySelector(".stage-remove").hidden = true;
    else if (isRemoved(card)) remove(card);
  }

  /* --- All cards --- */

  function collect() {
    return activeCards().map((card) => ({
      type: field(card, "type").value,
      title: field(card, "title").value,
      config: parsed(card) ?? null,
      weight: field(card, "weight").value,
      target_time: field(card, "target_time").value,
      is_skippable: field(card, "is_skippable").checked,
    }));
  }

  Memora.stages = {
    collect,
    flush: () => cards().forEach(flush),
    activeCards,
    isOpen,
    open,
    showFaults: (faults, losses) =>
      activeCards().forEach((card, place) => showFaults(card, faults[place] || [], { losses: losses[place] || [] })),
  };

  // Sort the saved or posted cards by their positions.
  cards()
    .sort((one, other) => Number(field(one, "position").value || 1e9) - Number(field(other, "position").value || 1e9))
    .forEach((card) => list.append(card));
  for (const card of cards()) {
    prepare(card);
    const faults = JSON.parse(card.dataset.faults || "[]");
    if (card.classList.contains("has-faults") && !isRemoved(card)) {
      open(card);
      if (card.querySelector(".stage-source .errorlist") && !faults.length) showSource(card, true);
      if (faults.length) showFaults(card, faults, { all: true });
    }
  }
  renumber();

  // A link to a stage: the page's address ends in # and the stage's id.
  function openLinked() {
    const linked = cards().find((card) => `#${card.dataset.stage}` === location.hash);
    if (!linked) return;
    open(linked);
    linked.scrollIntoView({ block: "start" });
  }
  window.addEventListener("hashchange", openLinked);
  openLinked();

  const opener = section.querySelector(".add-stage-open");
  const choices = section.querySelector(".stage-types");
  opener?.addEventListener("click", () => {
    choices.hidden = !choices.hidden;
    opener.setAttribute("aria-expanded", !choices.hidden);
    if (!choices.hidden) choices.querySelector("button").focus();
  });
  choices?.addEventListener("click", (event) => {
    const chosen = event.target.closest(".stage-type");
    if (!chosen) return;
    choices.hidden = true;
    opener.setAttribute("aria-expanded", "false");
    add(chosen.dataset.type);
  });
  choices?.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    choices.hidden = true;
    opener.setAttribute("aria-expanded", "false");
    opener.focus();
  });

  // Warn before leaving the page with unsaved input.
  let dirty = false;
  form.addEventListener("memora:changed", () => (dirty = true));
  form.addEventListener("input", () => (dirty = true));
  form.addEventListener("memora:draft-stored", () => (dirty = false));
  form.addEventListener("submit", (event) => {
    cards().forEach(flush);
    if (Memora.blockForUploads()) {
      event.preventDefault();
    } else if (Memora.isSignedOut) {
      event.preventDefault();
      Memora.showSignedOut(status);
      status.querySelector("a").focus();
    } else {
      form.querySelector("[name=csrfmiddlewaretoken]").value = Memora.token();
      dirty = false;
    }
  });
  window.addEventListener("beforeunload", (event) => {
    if (!dirty) return;
    event.preventDefault();
    event.returnValue = texts.leave;
  });
})();
