/* Sanitise users' HTML before it is shown: only known tags and attributes. */
"use strict";
window.Memora = window.Memora || {};

(() => {
  // The tags that the server keeps (nh3's defaults); the rich text editor removes others.
  const KEPT = new Set(
    ("A ABBR ACRONYM AREA ARTICLE ASIDE B BDI BDO BLOCKQUOTE BR CAPTION CENTER CITE CODE COL COLGROUP " +
      "DATA DD DEL DETAILS DFN DIV DL DT EM FIGCAPTION FIGURE FOOTER H1 H2 H3 H4 H5 H6 HEADER HGROUP HR " +
      "I IMG INS KBD LI MAP MARK NAV OL P PRE Q RP RT RTC RUBY S SAMP SMALL SPAN STRIKE STRONG SUB " +
      "SUMMARY SUP TABLE TBODY TD TFOOT TH THEAD TIME TR TT U UL VAR WBR").split(" "),
  );
  // Tags removed with their content; the content of other unknown tags stays.
  const DROPPED = new Set(
    ("SCRIPT STYLE TEMPLATE IFRAME OBJECT EMBED NOSCRIPT SVG MATH FORM INPUT BUTTON SELECT " +
      "TEXTAREA LINK META BASE TITLE AUDIO VIDEO CANVAS FRAMESET FRAME").split(" "),
  );
  const EVERYWHERE = ["dir", "lang", "title"];
  const CELLS = ["align", "char", "charoff"];
  const OF_TAG = {
    A: ["href", "hreflang"],
    BLOCKQUOTE: ["cite"],
    COL: [...CELLS, "span"],
    COLGROUP: [...CELLS, "span"],
    DEL: ["cite", "datetime"],
    HR: ["align", "size", "width"],
    IMG: ["src", "alt", "width", "height", "align"],
    INS: ["cite", "datetime"],
    OL: ["start"],
    Q: ["cite"],
    TABLE: [...CELLS, "summary"],
    TBODY: CELLS,
    TD: [...CELLS, "colspan", "rowspan", "headers"],
    TFOOT: CELLS,
    TH: [...CELLS, "colspan", "rowspan", "headers", "scope"],
    THEAD: CELLS,
    TR: CELLS,
  };
  const SAFE_LINK = /^(https?:|mailto:|tel:|\/(?!\/)|#)/i;
  const SAFE_IMAGE = /^(https?:|\/(?!\/))/i;

  function copy(from, to, document, frame) {
    for (const node of from.childNodes) {
      if (node.nodeType === Node.TEXT_NODE) {
        to.append(document.createTextNode(node.data));
      } else if (node.nodeType === Node.ELEMENT_NODE) {
        const tag = node.tagName.toUpperCase();
        if (tag === "IFRAME" && frame) to.append(...frame(node));
        if (DROPPED.has(tag)) continue;
        if (!KEPT.has(tag)) {
          copy(node, to, document, frame);
          continue;
        }
        const kept = document.createElement(tag);
        for (const name of [...EVERYWHERE, ...(OF_TAG[tag] || [])]) {
          if (!node.hasAttribute(name)) continue;
          const value = node.getAttribute(name);
          if (name === "href" && !SAFE_LINK.test(value.trim())) continue;
          if (name === "cite" && !SAFE_LINK.test(value.trim())) continue;
          if (name === "src" && !SAFE_IMAGE.test(value.trim())) continue;
          kept.setAttribute(name, value);
        }
        if (tag === "A") kept.setAttribute("rel", "noopener noreferrer");
        copy(node, kept, document, frame);
        to.append(kept);
      }
    }
  }

  /* Return the sanitised content of some HTML, as nodes. It is parsed in an inert document.
   * `frame` returns the nodes that replace an <iframe>; without it, iframes are removed. */
  Memora.safeHtml = (html, { frame = null } = {}) => {
    const parsed = new DOMParser().parseFromString(String(html ?? ""), "text/html");
    const fragment = document.createDocumentFragment();
    copy(parsed.body, fragment, document, frame);
    return fragment;
  };

  /* Create an element with the attributes in `set`; `class`, `text` and `on` are special. */
  Memora.element = (tag, set = {}, ...children) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(set)) {
      if (value === undefined || value === null || value === false) continue;
      if (name === "class") node.className = value;
      else if (name === "text") node.textContent = value;
      else if (name === "on") {
        for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
      } else node.setAttribute(name, value === true ? "" : value);
    }
    node.append(...children.filter((child) => child !== null && child !== undefined));
    return node;
  };

  /* Create an icon from one SVG path, 24 by 24. */
  Memora.icon = (path) => {
    const [svg, line] = ["svg", "path"].map((tag) => document.createElementNS("http://www.w3.org/2000/svg", tag));
    svg.setAttribute("class", "drawn-icon");
    svg.setAttribute("viewBox", "0 0 24 24");
    line.setAttribute("d", path);
    svg.append(line);
    return svg;
  };

  /* Replace the placeholders `%(name)s` of a text. */
  Memora.fill = (text, values) =>
    text.replace(/%\((\w+)\)s/g, (place, name) => (name in values ? values[name] : place));
})();
