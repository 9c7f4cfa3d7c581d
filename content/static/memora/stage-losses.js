/* What the formatted editor cannot hold: compare a text with what the editor makes of it. */
"use strict";

(() => {
  const SAME = { b: "strong", i: "em", del: "s", strike: "s" };
  // Elements that the editor adds or leaves out without a visible effect.
  const PLAIN = new Set("p br div span thead tbody colgroup o:p".split(" "));
  // Of a pasted page, its parts and the carriers of its style count no more than these.
  const PLAIN_PASTED = new Set([...PLAIN, ..."font section article header footer main nav meta style".split(" ")]);
  // Attributes for scripts and style sheets, as in content/rich_text.py.
  const NO_EFFECT = /^(class|rel|target|role|tabindex|contenteditable|spellcheck|draggable|version)$|^(xmlns|xml:|data-|aria-)/;

  function body(html) {
    return new DOMParser().parseFromString(html || "", "text/html").body;
  }

  /* Return the attributes of an element as text, without those of no effect. A language of
   * code has an effect. */
  function attributes(part) {
    return [...part.attributes]
      .filter(({ name, value }) => !NO_EFFECT.test(name) || (name === "class" && value.startsWith("language-")))
      .map(({ name, value }) => [name, value]);
  }

  /* Return the parts of a text as a map: what identifies a part, to its name for people. */
  function parts(html) {
    const found = new Map();
    for (const part of body(html).querySelectorAll("*")) {
      const tag = SAME[part.localName] || part.localName;
      if (!PLAIN.has(tag)) found.set(tag, `<${part.localName}>`);
      for (const [name, value] of attributes(part)) found.set(`${tag} ${name}=${value}`, `<${part.localName} ${name}>`);
    }
    return found;
  }

  function words(html) {
    return body(html).textContent.replace(/\s+/g, "");
  }

  /* Return whether `after` lacks something of `before`; what the server would remove counts, too. */
  function isLossy(before, after) {
    const has = parts(after);
    return [...parts(before).keys()].some((part) => !has.has(part)) || words(before) !== words(after);
  }

  /* Return what pasting would lose: `[names of parts with their counts, whether more than style]`. */
  function ofPaste(pasted, kept) {
    const has = parts(kept);
    const counts = new Map();
    let isMore = false;
    const count = (name) => counts.set(name, (counts.get(name) || 0) + 1);
    for (const part of body(pasted).querySelectorAll("*")) {
      const tag = SAME[part.localName] || part.localName;
      const source = part.getAttribute("src") || "";
      const scheme = /^(data|file|blob|cid):/i.exec(source);
      if (scheme || (!PLAIN_PASTED.has(tag) && !has.has(tag))) {
        count(scheme ? `<${part.localName} src="${scheme[0]}…">` : `<${part.localName}>`);
        isMore = true;
        continue;
      }
      for (const [name, value] of attributes(part)) {
        if (has.has(`${tag} ${name}=${value}`)) continue;
        count(`<${part.localName} ${name}>`);
        isMore ||= !["style", "id", "width", "height", "size", "color", "face", "dir", "lang"].includes(name);
      }
    }
    const named = [...counts].map(([name, times]) => (times > 1 ? `${name} × ${times}` : name));
    return [named, isMore];
  }

  Memora.losses = { isLossy, ofPaste };
})();
