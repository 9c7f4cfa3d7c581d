/* Formulas and inline tags in texts, by the rules of content/formulas.py and
 * content/inline_text.py. */
"use strict";
window.Memora = window.Memora || {};

(() => {
  const ENDS = { "\\(": "\\)", "\\[": "\\]", $$: "$$" };
  const START = /\\[([]/g;
  const START_WITH_DOLLARS = /\\[([$]|\$\$?/g;
  const DOLLAR = /(?<!\\)\$/g;
  const TAG = /<(\/?)(b|code|em|i|strong|sub|sup)>/gi;

  /* Find `pattern`, which is global, from a position on. */
  function search(pattern, text, at) {
    pattern.lastIndex = at;
    return pattern.exec(text);
  }

  /* Return the index of a formula's end and what follows it; null if it has no end. */
  function endOf(text, opened, at) {
    if (opened !== "$") {
      const end = text.indexOf(ENDS[opened], at);
      return end < 0 ? null : [end, end + 2];
    }
    const end = search(DOLLAR, text, at)?.index ?? at;
    const inside = text.slice(at, end);
    const isFormula = inside && inside === inside.trim() && !/\p{Nd}/u.test(text[end + 1] ?? "");
    return isFormula ? [end, end + 1] : null;
  }

  /* Return the formula that starts exactly at a position: { tex, display, end }, or null. */
  function formulaAt(text, at, dollars) {
    const found = search(dollars ? START_WITH_DOLLARS : START, text, at);
    if (found?.index !== at || found[0] === "\\$") return null;
    const start = at + found[0].length;
    const ends = endOf(text, found[0], start);
    return ends && { tex: text.slice(start, ends[0]), display: ["\\[", "$$"].includes(found[0]), end: ends[1] };
  }

  /* Return the words and formulas of a text in order: texts and { tex, display, end }. */
  function parts(text, dollars = false) {
    const found = [];
    let at = 0;
    let from = 0;
    const add = (words) => words && found.push(words);
    for (;;) {
      const opened = search(dollars ? START_WITH_DOLLARS : START, text, at);
      if (!opened) break;
      at = opened.index + opened[0].length;
      const formula = formulaAt(text, opened.index, dollars);
      if (opened[0] === "\\$" || formula) {
        add(text.slice(from, opened.index));
        found.push(formula || "$");
        from = at = formula?.end ?? at;
      } else if (opened[0][0] === "\\") {
        break; // no end
      }
    }
    add(text.slice(from));
    return found;
  }

  /* Return a plain text with inline tags and formulas as nodes. `draw` makes a node of a
   * formula. */
  function inlineText(text, { dollars = false, draw }) {
    const pieces = parts(text, dollars).flatMap((part) => {
      if (typeof part !== "string") return [part];
      const split = [];
      let at = 0;
      for (const tag of part.matchAll(TAG)) {
        split.push(part.slice(at, tag.index), { tag: tag[2].toLowerCase(), isEnd: Boolean(tag[1]), written: tag[0] });
        at = tag.index + tag[0].length;
      }
      return [...split, part.slice(at)].filter((piece) => piece !== "");
    });
    const open = [];
    for (const piece of pieces.filter((one) => one.tag)) {
      const isInCode = open.at(-1)?.tag === "code";
      if (!piece.isEnd) {
        if (!isInCode) open.push(piece);
        continue;
      }
      const depth = isInCode && piece.tag !== "code" ? -1 : open.findLastIndex((one) => one.tag === piece.tag);
      if (depth < 0) continue;
      open[depth].isMarkup = piece.isMarkup = true;
      open.length = depth;
    }
    const root = document.createDocumentFragment();
    let place = root;
    for (const piece of pieces) {
      if (typeof piece === "string") place.append(piece);
      else if (!piece.tag) place.append(draw(piece));
      else if (!piece.isMarkup) place.append(piece.written);
      else if (piece.isEnd) place = place.parentNode;
      else place = place.appendChild(document.createElement(piece.tag));
    }
    return root;
  }

  Memora.formulaText = { at: formulaAt, parts, inlineText };
})();
