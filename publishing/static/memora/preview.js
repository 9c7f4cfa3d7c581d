/* Show a lesson as the app does, from the published JSON: seven interactive types of stage.
 * Editors' content is inserted as text, or through `Memora.safeHtml`. */
"use strict";

(() => {
  const { element: el, fill, safeHtml } = Memora;
  const texts = JSON.parse(document.getElementById("texts").textContent);
  const player = document.querySelector(".player");
  const isLive = player.hasAttribute("data-live");
  let lesson = JSON.parse(document.getElementById("lesson-document").textContent);
  let place = 0;
  let faces = []; // the source of each shown stage

  const text = (value, tag = "span", set = {}) => el(tag, { dir: "auto", ...set, text: value ?? "" });
  const html = (value, set = {}) => el("div", { class: "html", dir: "auto", ...set }, safeHtml(value));
  const button = (label, click, set = {}) => el("button", { type: "button", text: label, ...set, on: { click } });

  function picture(url, alt = "") {
    if (typeof url !== "string" || !/^(https?:\/\/|\/(?!\/))/.test(url)) return null;
    return el("img", { src: url, alt, loading: "lazy" });
  }

  function feedback() {
    const line = el("p", { class: "feedback", role: "status" });
    return {
      line,
      show(right, message = right ? texts.right : texts.wrong) {
        line.className = `feedback ${right ? "is-right" : "is-wrong"}`;
        line.textContent = `${right ? "✓" : "✗"} ${message}`;
      },
      clear() {
        line.className = "feedback";
        line.textContent = "";
      },
    };
  }

  /* Shuffle deterministically, so that the order stays while the lesson is edited. */
  function shuffled(items, salt) {
    const weight = (index) => {
      let hash = 2166136261;
      for (const sign of `${salt}:${index}`) hash = Math.imul(hash ^ sign.codePointAt(0), 16777619);
      return hash >>> 0;
    };
    const order = items.map((_item, index) => index).sort((a, b) => weight(a) - weight(b));
    const same = order.every((index, at) => index === at);
    return (same && order.length > 1 ? [...order.slice(1), order[0]] : order).map((index) => items[index]);
  }

  /* --- Markdown without raw HTML: tags are shown as text --- */

  /* All quantifiers are limited, so a text with many opening marks takes time linear in its
   * length. */
  const INLINE =
    /(`{1,3})(.{1,999}?)\1|!\[([^\]]{0,999})\]\(([^\s)]{1,2048})\)|\[([^\]]{1,999})\]\(([^\s)]{1,2048})\)|\*\*(.{1,999}?)\*\*|__(.{1,999}?)__|\*(.{1,999}?)\*|_(.{1,999}?)_|~~(.{1,999}?)~~|\\([\\`*_{}[\]()#+\-.!~>])/;

  function inline(source, into) {
    let rest = source;
    for (;;) {
      const found = INLINE.exec(rest);
      if (!found) break;
      into.append(rest.slice(0, found.index));
      const [whole, , code, alt, src, label, href, strong, strong2, em, em2, struck, escaped] = found;
      if (code !== undefined) into.append(el("code", { text: code.trim() }));
      else if (src !== undefined) into.append(picture(src, alt) || whole);
      else if (href !== undefined) {
        if (/^(https?:|mailto:|tel:)/i.test(href)) {
          const link = el("a", { href, target: "_blank", rel: "noopener noreferrer" });
          inline(label, link);
          into.append(link);
        } else into.append(whole);
      } else if (escaped !== undefined) into.append(escaped);
      else {
        const tag = strong ?? strong2 ? "strong" : em ?? em2 ? "em" : "del";
        const element = el(tag);
        inline(strong ?? strong2 ?? em ?? em2 ?? struck, element);
        into.append(element);
      }
      rest = rest.slice(found.index + whole.length);
    }
    into.append(rest);
  }

  function lines(source, into) {
    const rows = source.split("\n");
    let paragraph = "";
    rows.forEach((row, at) => {
      const isLast = at === rows.length - 1;
      const breaks = !isLast && (row.endsWith("  ") || row.endsWith("\\"));
      if (!breaks) {
        paragraph += isLast ? row : `${row}\n`;
        return;
      }
      inline(paragraph + (row.endsWith("\\") ? row.slice(0, -1) : row.trimEnd()), into);
      into.append(el("br"));
      paragraph = "";
    });
    inline(paragraph, into);
  }

  function withoutClosingMarks(heading) {
    let end = heading.length;
    while (end > 0 && heading[end - 1] === "#") end -= 1;
    return heading.slice(0, end).trimEnd();
  }

  function rowCells(row) {
    return row.trim().replace(/^\||\|$/g, "").split("|").map((cell) => cell.trim());
  }

  const DEEPEST_QUOTE = 20;

  function markdown(source, depth = 0) {
    const box = el("div", { class: "html markdown", dir: "auto" });
    const rows = String(source).replace(/\r\n?/g, "\n").split("\n");
    const block = (tag, content) => {
      const element = el(tag, { dir: "auto" });
      lines(content, element);
      return element;
    };
    let at = 0;
    while (at < rows.length) {
      const row = rows[at];
      let match;
      if (!row.trim()) {
        at += 1;
      } else if ((match = /^\s*(```|~~~)/.exec(row))) {
        const code = [];
        for (at += 1; at < rows.length && !rows[at].trim().startsWith(match[1]); at += 1) code.push(rows[at]);
        at += 1;
        box.append(el("pre", { dir: "ltr" }, el("code", { text: code.join("\n") })));
      } else if ((match = /^(#{1,6})\s(.*)$/.exec(row))) {
        box.append(block(`h${match[1].length}`, withoutClosingMarks(match[2].trim())));
        at += 1;
      } else if (/^\s*([-*_])(\s*\1){2,}\s*$/.test(row)) {
        box.append(el("hr"));
        at += 1;
      } else if (depth < DEEPEST_QUOTE && /^\s*>/.test(row)) {
        const quoted = [];
        for (; at < rows.length && /^\s*>/.test(rows[at]); at += 1) quoted.push(rows[at].replace(/^\s*>\s?/, ""));
        const quote = el("blockquote", { dir: "auto" });
        quote.append(...markdown(quoted.join("\n"), depth + 1).childNodes);
        box.append(quote);
      } else if (/^\s*([-*+]|\d+[.)])\s+/.test(row)) {
        const ordered = /^\s*\d/.test(row);
        const mark = ordered ? /^\s*\d+[.)]\s+/ : /^\s*[-*+]\s+/;
        const element = el(ordered ? "ol" : "ul", { dir: "auto" });
        while (at < rows.length && mark.test(rows[at])) {
          let item = rows[at].replace(mark, "");
          for (at += 1; at < rows.length && /^\s{2,}\S/.test(rows[at]) && !mark.test(rows[at]); at += 1) item += `\n${rows[at].trim()}`;
          element.append(block("li", item));
        }
        box.append(element);
      } else if (row.includes("|") && /^\|?\s*:?-+:?(\s*\|\s*:?-+:?)*\s*\|?$/.test((rows[at + 1] || "").trim())) {
        const table = el("table", { dir: "auto" });
        const line = (tag, cells) => table.append(el("tr", {}, ...cells.map((cell) => block(tag, cell))));
        line("th", rowCells(row));
        for (at += 2; at < rows.length && rows[at].includes("|"); at += 1) line("td", rowCells(rows[at]));
        box.append(table);
      } else {
        const paragraph = [];
        for (; at < rows.length && rows[at].trim() && !/^(\s*(```|~~~|>|[-*+]\s|\d+[.)]\s)|#{1,6}\s)/.test(rows[at]); at += 1) paragraph.push(rows[at]);
        if (!paragraph.length) paragraph.push(rows[at++]);
        box.append(block("p", paragraph.join("\n")));
      }
    }
    return box;
  }

  /* --- Stage types --- */

  /* Create a frame of another site. It keeps its own origin, which players need, and gets
   * this site's host as referrer, which some players require. A page of this site gets an
   * opaque origin. */
  function frame(src, set = {}) {
    const isOurs = new URL(src, location.href).origin === location.origin;
    return el("iframe", {
      sandbox: `allow-scripts allow-forms allow-presentation${isOurs ? "" : " allow-same-origin"}`,
      title: texts.embedded,
      allow: "fullscreen; encrypted-media; picture-in-picture",
      allowfullscreen: true,
      referrerpolicy: "strict-origin-when-cross-origin",
      ...set,
      src,
    });
  }

  function embedded(written) {
    const src = written.getAttribute("src") || "";
    if (!/^https:\/\//.test(src)) return [];
    const set = {};
    for (const name of ["width", "height", "title", "referrerpolicy"]) {
      if (written.hasAttribute(name)) set[name] = written.getAttribute(name);
    }
    return [frame(src, set)];
  }

  function video(config, done) {
    if (/^https:\/\//.test(config.player_url || "")) {
      setTimeout(done); // another site's player reports no progress
      return el("div", { class: "video" }, frame(config.player_url));
    }
    const url = config.signed_url || config.source;
    const box = el("div", { class: "video" });
    if (!/^https?:\/\//.test(url || "")) {
      box.append(el("p", { class: "quiet", text: texts.no_video }));
      return box;
    }
    const screen = el("video", { src: url, controls: true, playsinline: true, preload: "metadata" });
    if (picture(config.poster)) screen.poster = config.poster;
    const failed = el("p", { class: "quiet", role: "status" });
    screen.addEventListener("error", () => (failed.textContent = texts.no_video));
    screen.addEventListener("ended", done);
    for (const track of config.captions || []) {
      if (track.url) {
        screen.append(el("track", { kind: "captions", srclang: track.language, label: track.label || track.language, src: track.url }));
        screen.crossOrigin = "anonymous";
      } else if (track.cues) {
        const added = screen.addTextTrack("captions", track.label || track.language, track.language);
        for (const cue of track.cues) added.addCue(new VTTCue(cue.start, cue.end, plain(cue.text)));
      }
    }
    box.append(screen, failed);
    return box;
  }

  /* Escape WebVTT tags (<b>, <v …>) in a caption: editors write plain text. */
  function plain(text) {
    return String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  }

  function reading(config) {
    return config.format === "html" ? html(config.body) : markdown(config.body);
  }

  function quiz(config, done) {
    const left = new Set(config.questions.keys());
    return el(
      "div",
      { class: "quiz" },
      ...config.questions.map((question, number) =>
        oneQuestion(question, Boolean(config.shuffle_options), () => {
          left.delete(number);
          if (!left.size) done();
        }),
      ),
    );
  }

  function oneQuestion(question, isShuffled, done) {
    const several = question.options.filter((option) => option.correct).length > 1;
    const result = feedback();
    const options = isShuffled ? shuffled(question.options, question.id) : question.options;
    const explanation = question.explanation ? html(question.explanation, { class: "html explanation", hidden: true }) : null;
    const choices = options.map((option) => {
      const element = el("button", { type: "button", class: "option", "aria-pressed": "false" }, picture(option.image), text(option.text));
      element.addEventListener("click", () => {
        if (several) element.setAttribute("aria-pressed", element.getAttribute("aria-pressed") !== "true");
        else choices.forEach((other) => other.setAttribute("aria-pressed", other === element));
        choices.forEach((other) => other.classList.remove("is-wrong"));
        result.clear();
        if (!several) check();
      });
      return element;
    });
    function check() {
      const picked = choices.map((choice) => choice.getAttribute("aria-pressed") === "true");
      if (!picked.some(Boolean)) return;
      const right = options.every((option, at) => Boolean(option.correct) === picked[at]);
      result.show(right);
      choices.forEach((choice, at) => {
        if (picked[at] && !options[at].correct) choice.classList.add("is-wrong");
        if (right && options[at].correct) choice.classList.add("is-right");
        if (right) choice.disabled = true;
      });
      if (explanation) explanation.hidden = false;
      if (right) done();
    }
    return el(
      "section",
      { class: "question" },
      html(question.prompt, { class: "html prompt" }),
      picture(question.image),
      el("p", { class: "quiet", text: several ? texts.choose_all : texts.choose_one }),
      el("div", { class: "options" }, ...choices),
      several ? button(texts.check, check, { class: "check" }) : null,
      result.line,
      explanation,
    );
  }

  function matching(config, done) {
    const result = feedback();
    const left = [...config.pairs.keys()];
    const right = shuffled(left, config.pairs.map((pair) => pair.left).join("|"));
    const chosen = { left: null, right: null };
    let found = 0;
    const face = (pair, side, number) => {
      const element = el(
        "button",
        { type: "button", class: `pair-side side-${side}`, "aria-pressed": "false", "data-pair": number },
        picture(pair[`${side}_image`]),
        text(pair[side]),
      );
      element.addEventListener("click", () => choose(side, element));
      return element;
    };
    function choose(side, element) {
      chosen[side]?.setAttribute("aria-pressed", "false");
      chosen[side] = element;
      element.setAttribute("aria-pressed", "true");
      if (!chosen.left || !chosen.right) return;
      const both = [chosen.left, chosen.right];
      const match = both[0].dataset.pair === both[1].dataset.pair;
      chosen.left = chosen.right = null;
      for (const one of both) {
        one.setAttribute("aria-pressed", "false");
        one.classList.remove("is-wrong");
        if (match) {
          one.classList.add("is-right");
          one.disabled = true;
        } else {
          one.classList.add("is-wrong");
          setTimeout(() => one.classList.remove("is-wrong"), 700);
        }
      }
      if (match) found += 1;
      const all = found === config.pairs.length;
      result.show(match, all ? texts.matched : undefined);
      if (all) done();
    }
    return el(
      "div",
      { class: "matching" },
      text(config.prompt || texts.match, "p", { class: "prompt" }),
      el(
        "div",
        { class: "pairs" },
        el("div", {}, ...left.map((number) => face(config.pairs[number], "left", number))),
        el("div", {}, ...right.map((number) => face(config.pairs[number], "right", number))),
      ),
      result.line,
    );
  }

  function reveal(config, done) {
    const unseen = new Set(config.cards.keys());
    return el(
      "div",
      { class: "cards" },
      config.prompt ? text(config.prompt, "p", { class: "prompt" }) : null,
      ...config.cards.map((card, number) => {
        const back = html(card.back, { class: "html back", hidden: true });
        const turn = button(texts.reveal, () => {
          back.hidden = !back.hidden;
          turn.textContent = back.hidden ? texts.reveal : texts.hide;
          turn.setAttribute("aria-expanded", !back.hidden);
          unseen.delete(number);
          if (!unseen.size) done();
        }, { class: "turn", "aria-expanded": "false" });
        return el("section", { class: "card" }, picture(card.image), html(card.front, { class: "html front" }), back, turn);
      }),
    );
  }

  function sentences(config, done) {
    const left = new Set(config.sentences.keys());
    return el(
      "div",
      { class: "sentences" },
      config.prompt ? text(config.prompt, "p", { class: "prompt" }) : null,
      ...config.sentences.map((sentence, number) =>
        oneSentence(sentence, () => {
          left.delete(number);
          if (!left.size) done();
        }),
      ),
    );
  }

  function oneSentence(sentence, done) {
    const result = feedback();
    const line = el("div", { class: "line", dir: "auto", "aria-label": texts.answer });
    const bank = el("div", { class: "bank", dir: "auto" });
    const explanation = sentence.explanation ? html(sentence.explanation, { class: "html explanation", hidden: true }) : null;
    const token = (word) => {
      const element = text(word, "button", { type: "button", class: "token" });
      element.addEventListener("click", () => {
        (element.parentElement === bank ? line : bank).append(element);
        result.clear();
      });
      return element;
    };
    bank.append(...shuffled(sentence.tokens, sentence.answer.join(" ")).map(token));
    const check = () => {
      const built = JSON.stringify([...line.children].map((child) => child.textContent));
      const right = [sentence.answer, ...(sentence.also_accepted || [])].some((answer) => JSON.stringify(answer) === built);
      result.show(right);
      if (!right) return;
      for (const element of [...line.children, ...bank.children]) element.disabled = true;
      line.classList.add("is-right");
      if (explanation) explanation.hidden = false;
      done();
    };
    return el(
      "section",
      { class: "sentence" },
      text(sentence.prompt || texts.build, "p", { class: "prompt" }),
      line,
      bank,
      el("p", { class: "sentence-tools" }, button(texts.check, check, { class: "check" }), button(texts.clear, () => bank.append(...line.children))),
      result.line,
      explanation,
    );
  }

  function interactive(config, done) {
    const rule = config.completion || { rule: "opened" };
    const box = el("div", { class: "interactive" });
    const height = `${Number(config.height) || 480}px`;
    if (/^https:\/\//.test(config.url || "")) {
      box.append(frame(config.url));
      box.firstChild.style.height = height;
    } else {
      box.append(safeHtml(config.html, { frame: embedded }));
      box.style.minHeight = height;
    }
    if (rule.rule === "opened") setTimeout(done);
    if (rule.rule === "time") setTimeout(done, 1000 * rule.seconds);
    if (rule.rule === "message") {
      window.addEventListener("message", (event) => {
        const message = event.data?.type ?? event.data;
        const isInside = [...box.querySelectorAll("iframe")].some((one) => one.contentWindow === event.source);
        if (isInside && message === "memora:completed") done();
      });
    }
    return box;
  }

  const TYPES = {
    Video: video,
    Text: reading,
    Quiz: quiz,
    Matching: matching,
    Reveal: reveal,
    SentenceBuilder: sentences,
    Interactive: interactive,
  };

  function body(stage, done) {
    if (stage.unfinished) return el("p", { class: "unfinished", text: `… ${texts.unfinished}` });
    const draw = TYPES[stage.type];
    if (draw) return draw(stage.config, done);
    return el("div", {}, el("p", { text: texts.stage_of_type }), el("pre", { dir: "ltr", text: JSON.stringify(stage.config, null, 2) }));
  }

  /* --- Lesson --- */

  function screens() {
    return lesson?.stages || [];
  }

  function draw() {
    const stages = screens();
    const title = document.querySelector(".lesson-title");
    title.textContent = lesson?.title || "";
    document.title = lesson?.title || "";
    if (!stages.length) {
      player.replaceChildren(el("p", { class: "empty", text: lesson ? texts.empty : "" }));
      return;
    }
    place = Math.min(place, stages.length);
    if (place === stages.length) {
      player.replaceChildren(
        el("div", { class: "the-end" }, el("p", { class: "big", text: "★" }), el("p", { role: "status", text: texts.done }), button(texts.restart, () => go(0))),
      );
      return;
    }
    const stage = stages[place];
    const completed = el("span", { class: "completed", role: "status" });
    const onward = button(place + 1 < stages.length ? texts.next : texts.finish, () => go(place + 1), { class: "onward" });
    const facts = [fill(texts.stage, { place: place + 1, count: stages.length })];
    if (stage.target_time) facts.push(fill(texts.seconds, { count: stage.target_time }));
    const done = () => {
      completed.textContent = `✓ ${texts.completed}`;
      onward.classList.add("is-ready");
    };
    player.replaceChildren(
      el("progress", { max: stages.length, value: place + 1, "aria-label": facts[0] }),
      el("p", { class: "facts quiet", dir: document.documentElement.dir, text: facts.join(" · ") }),
      text(stage.title, "h2"),
      el("div", { class: `stage stage-${TYPES[stage.type] ? stage.type : "any"}` }, body(stage, done)),
      el(
        "p",
        { class: "moves", dir: document.documentElement.dir },
        place ? button(texts.back, () => go(place - 1)) : null,
        completed,
        stage.is_skippable ? button(texts.skip, () => go(place + 1), { class: "skip" }) : null,
        onward,
      ),
    );
  }

  function go(to) {
    place = Math.max(0, to);
    draw();
    window.scrollTo(0, 0);
  }

  /* --- Live preview beside the form --- */

  function faceOf(stage) {
    return JSON.stringify(stage, (key, value) => (["id", "signed_url", "expires_at"].includes(key) ? undefined : value));
  }

  if (isLive) {
    window.addEventListener("message", (event) => {
      if (event.origin !== location.origin || event.source !== window.parent) return;
      if (event.data?.memora !== "document") return;
      const { document: updated, direction, stage } = event.data;
      const before = [lesson?.title, place, faces[place]].join();
      const moved = typeof stage === "number" && stage !== faces.asked;
      faces = updated.stages.map(faceOf);
      lesson = updated;
      if (moved && stage >= 0) place = stage;
      faces.asked = stage;
      player.dir = direction || "auto";
      if (before !== [lesson.title, place, faces[place]].join() || !player.children.length) draw();
    });
    window.parent.postMessage({ memora: "ready" }, location.origin);
  }
  draw();
})();
