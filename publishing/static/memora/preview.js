/* Show a lesson as the app does, from the published JSON: each type of stage.
 * Editors' content is inserted as text, or through `Memora.safeHtml`. */
"use strict";

(() => {
  const { element: el, fill, safeHtml } = Memora;
  const texts = JSON.parse(document.getElementById("texts").textContent);
  const folding = JSON.parse(document.getElementById("folding").textContent);
  const player = document.querySelector(".player");
  const isLive = player.hasAttribute("data-live");
  let lesson = JSON.parse(document.getElementById("lesson-document").textContent);
  let place = 0;
  let faces = []; // the source of each shown stage
  let followed = 0; // the form's last request for a stage

  let dollars = false; // whether the shown stage has formulas between dollar signs

  /* Return a formula as KaTeX draws it; as it is written if it is not valid. */
  function formula({ tex, display }) {
    const place = el("span");
    try {
      katex.render(tex, place, { displayMode: display, strict: "ignore", maxSize: 30 });
    } catch {
      place.textContent = display ? `\\[${tex}\\]` : `\\(${tex}\\)`;
    }
    return place;
  }

  /* Draw the formulas in an element's texts, except in code. */
  function typeset(element, withDollars) {
    const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
    const found = [];
    while (walker.nextNode()) {
      const isCode = walker.currentNode.parentElement.closest("code, pre, .katex, math");
      if (!isCode && /[\\$]/.test(walker.currentNode.data)) found.push(walker.currentNode);
    }
    for (const node of found) {
      const drawn = Memora.formulaText.parts(node.data, withDollars);
      node.replaceWith(...drawn.map((part) => (typeof part === "string" ? part : formula(part))));
    }
    return element;
  }

  /* Isolate code, which runs from left to right; let wide tables scroll in a box of their own. */
  function arranged(box) {
    for (const code of box.querySelectorAll("code, kbd, samp, pre")) code.dir ||= "ltr";
    for (const table of box.querySelectorAll("table")) {
      if (table.parentElement.closest("table")) continue;
      const around = el("div", { class: "wide", tabindex: 0 });
      table.replaceWith(around);
      around.append(table);
    }
    return box;
  }

  /* A plain text with inline tags and formulas: a title, an option … */
  function text(value, tag = "span", set = {}) {
    const shown = Memora.formulaText.inlineText(String(value ?? ""), { dollars, draw: formula });
    return arranged(el(tag, { dir: "auto", ...set }, shown));
  }
  let ids = 0; // each text has its own ids, and links to them
  const untypeset = (value, set) =>
    el("div", { class: "html", dir: "auto", ...set }, safeHtml(value, { prefix: `text-${(ids += 1)}-` }));
  const html = (value, set = {}) => arranged(typeset(untypeset(value, set), dollars));
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

  /* --- Markdown: CommonMark with tables and strikethrough; tags are shown as text --- */

  const commonMark = markdownit({ html: false });
  commonMark.validateLink = (address) => /^(https?:|mailto:|tel:|\/(?!\/)|#)/i.test(address);
  // In a formula nothing is Markdown; it is drawn after the text is sanitised.
  commonMark.inline.ruler.before("escape", "formula", (state, silent) => {
    const found = Memora.formulaText.at(state.src, state.pos, dollars);
    if (!found || found.tex.includes("`")) return false;
    if (!silent) state.push("formula", "", 0).meta = found;
    state.pos = found.end;
    return true;
  });
  commonMark.renderer.rules.formula = (tokens, index) => {
    const { tex, display } = tokens[index].meta;
    return commonMark.utils.escapeHtml(display ? `\\[${tex}\\]` : `\\(${tex}\\)`);
  };
  // The page's policy has no inline styles.
  commonMark.core.ruler.push("cell_alignment", (state) => {
    for (const token of state.tokens) {
      const style = token.attrGet("style");
      if (style) token.attrs = [["align", style.replace("text-align:", "")]];
    }
  });

  function markdown(source) {
    // The rule above has found the formulas between dollar signs.
    const box = arranged(typeset(untypeset(commonMark.render(String(source)), { class: "html markdown" }), false));
    for (const block of box.querySelectorAll("p, h1, h2, h3, h4, h5, h6, ul, ol, li, blockquote, table, th, td")) {
      block.dir = "auto";
    }
    for (const link of box.querySelectorAll("a:not([href^='#'])")) link.target = "_blank";
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
    const draw = (question, finished) => oneQuestion(question, Boolean(config.shuffle_options), finished);
    return oneByOne(config, done, "quiz", draw);
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
      const element = text(word, "button", { type: "button", class: "token", "data-word": word });
      element.addEventListener("click", () => {
        (element.parentElement === bank ? line : bank).append(element);
        result.clear();
      });
      return element;
    };
    bank.append(...shuffled(sentence.tokens, sentence.answer.join(" ")).map(token));
    const check = () => {
      const built = JSON.stringify([...line.children].map((child) => child.dataset.word));
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

  function oneByOne(config, done, name, draw) {
    const left = new Set(config.questions.keys());
    const finished = (number) => () => {
      left.delete(number);
      if (!left.size) done();
    };
    return el(
      "div",
      { class: name },
      config.prompt ? text(config.prompt, "p", { class: "prompt" }) : null,
      ...config.questions.map((question, number) => draw(question, finished(number))),
    );
  }

  /* Replace each run of three or more underscores in the texts of `box` by `makeInput(number)`. */
  function putGaps(box, makeInput) {
    const walker = document.createTreeWalker(box, NodeFilter.SHOW_TEXT);
    const nodes = [];
    while (walker.nextNode()) nodes.push(walker.currentNode);
    const inputs = [];
    for (const node of nodes) {
      const [first, ...others] = node.data.split(/_{3,}/);
      const parts = others.flatMap((part) => {
        inputs.push(makeInput(inputs.length));
        return [inputs.at(-1), part];
      });
      if (parts.length) node.replaceWith(first, ...parts);
    }
    return inputs;
  }

  function fillIn(question, done) {
    const result = feedback();
    const prompt = untypeset(question.prompt, { class: "html prompt" });
    const makeInput = (number) =>
      el("input", {
        class: "gap",
        dir: "auto",
        autocomplete: "off",
        autocapitalize: "off",
        spellcheck: "false",
        "aria-label": fill(texts.gap, { number: number + 1 }),
        on: {
          input: (event) => {
            event.target.classList.remove("is-wrong");
            result.clear();
          },
          keydown: (event) => event.key === "Enter" && check(),
        },
      });
    const marked = putGaps(prompt, makeInput);
    const inputs = marked.length ? marked : [makeInput(0)];
    arranged(typeset(prompt, dollars));
    const explanation = question.explanation ? html(question.explanation, { class: "html explanation", hidden: true }) : null;
    const solution = button(texts.solution, () => {
      inputs.forEach((input, at) => (input.value = question.gaps[at].answers[0]));
      end();
    }, { hidden: true });
    const tools = el("p", { class: "sentence-tools" }, button(texts.check, check, { class: "check" }), solution);
    function end() {
      for (const input of inputs) {
        input.disabled = true;
        input.classList.remove("is-wrong");
      }
      tools.remove();
      if (explanation) explanation.hidden = false;
      done();
    }
    function check() {
      if (inputs.some((input) => !input.value.trim())) return;
      const right = inputs.map((input, at) => Memora.isRightAnswer(question.gaps[at], input.value, folding));
      inputs.forEach((input, at) => {
        input.classList.toggle("is-wrong", !right[at]);
        input.classList.toggle("is-right", right[at]);
      });
      const all = right.every(Boolean);
      result.show(all);
      if (all) end();
      else solution.hidden = false;
    }
    return el(
      "section",
      { class: "question" },
      prompt,
      picture(question.image),
      el("p", { class: "quiet", text: texts.fill_in }),
      marked.length ? null : el("p", {}, ...inputs),
      tools,
      result.line,
      explanation,
    );
  }

  function openAnswer(question, done) {
    const own = el("textarea", { class: "own-answer", rows: 4, dir: "auto", "aria-label": texts.own_answer, placeholder: texts.own_answer });
    const judgements = ["knew", "knew_partly", "knew_not"].map((name) =>
      button(texts[name], (event) => {
        for (const other of judgements) other.setAttribute("aria-pressed", other === event.target);
        done();
      }, { class: "judgement", "aria-pressed": "false" }),
    );
    const points = (question.rubric || []).map((point) =>
      el("li", {}, el("label", {}, el("input", { type: "checkbox" }), " ", text(point))),
    );
    const answer = el(
      "div",
      { class: "model-answer", hidden: true },
      question.model_answer ? el("h3", { text: texts.model_answer }) : null,
      question.model_answer ? html(question.model_answer) : null,
      points.length ? el("p", { class: "quiet", text: texts.rubric }) : null,
      points.length ? el("ul", { class: "rubric" }, ...points) : null,
      el("p", { class: "quiet", text: texts.judge }),
      el("p", { class: "sentence-tools" }, ...judgements),
    );
    const hasAnswer = question.model_answer || points.length;
    const compare = button(hasAnswer ? texts.compare : texts.answered, () => {
      own.readOnly = true;
      answer.hidden = false;
      compare.hidden = true;
      judgements[0].focus();
    }, { class: "check" });
    return el("section", { class: "question" }, html(question.prompt, { class: "html prompt" }), picture(question.image), own, compare, answer);
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
    FillIn: (config, done) => oneByOne(config, done, "fill-in", fillIn),
    OpenAnswer: (config, done) => oneByOne(config, done, "open-answer", openAnswer),
    Interactive: interactive,
  };

  function body(stage, done) {
    dollars = stage.config?.dollar_formulas === true;
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
    dollars = false;
    title.replaceChildren(...text(lesson?.title).childNodes);
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
      const { document: updated, direction, stage, asked } = event.data;
      const before = [lesson?.title, place, faces[place]].join();
      faces = updated.stages.map(faceOf);
      lesson = updated;
      if (typeof stage === "number" && asked !== followed) place = stage;
      followed = asked;
      player.dir = direction || "auto";
      if (before !== [lesson.title, place, faces[place]].join() || !player.children.length) draw();
    });
    window.parent.postMessage({ memora: "ready" }, location.origin);
  }
  draw();
})();
