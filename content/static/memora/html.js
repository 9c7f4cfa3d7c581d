/* Sanitise users' HTML before it is shown: only known tags and attributes. */
"use strict";
window.Memora = window.Memora || {};

(() => {
  // The same names as in content/html_policy.py.
  const names = (text) => new Set(text.split(" "));
  const KEPT = names(
    "a abbr acronym area article aside audio b bdi bdo blockquote br caption center cite code col colgroup " +
      "data dd del details dfn div dl dt em figcaption figure footer h1 h2 h3 h4 h5 h6 header hgroup hr " +
      "i img ins kbd li map mark nav ol p pre q rp rt rtc ruby s samp section small source span strike strong sub " +
      "summary sup table tbody td tfoot th thead time tr tt u ul var wbr",
  );
  const DRAWINGS = names(
    "circle clipPath defs desc ellipse g line linearGradient marker mask path pattern polygon polyline " +
      "radialGradient rect stop svg text textPath title tspan",
  );
  const MATHML = names(
    "annotation math menclose merror mfrac mi mmultiscripts mn mo mover mpadded mphantom mprescripts " +
      "mroot mrow ms mspace msqrt mstyle msub msubsup msup mtable mtd mtext mtr munder munderover none " +
      "semantics",
  );
  const EVERYWHERE = ["dir", "id", "lang", "title"];
  const CELLS = ["align", "char", "charoff"];
  const OF_TAG = {
    a: ["href", "hreflang"],
    audio: ["controls", "loop", "preload", "src"],
    blockquote: ["cite"],
    code: ["class"],
    col: [...CELLS, "span"],
    colgroup: [...CELLS, "span"],
    data: ["value"],
    del: ["cite", "datetime"],
    details: ["open"],
    hr: ["align", "size", "width"],
    img: ["src", "alt", "width", "height", "align"],
    ins: ["cite", "datetime"],
    li: ["value"],
    ol: ["reversed", "start", "type"],
    pre: ["class"],
    q: ["cite"],
    source: ["src", "type"],
    table: [...CELLS, "summary"],
    tbody: CELLS,
    td: [...CELLS, "colspan", "rowspan", "headers"],
    tfoot: CELLS,
    th: [...CELLS, "colspan", "rowspan", "headers", "scope"],
    thead: CELLS,
    time: ["datetime"],
    tr: CELLS,
  };
  const OF_DRAWING = names(
    "aria-label clip-path clip-rule clipPathUnits color cx cy d direction dominant-baseline dx dy fill " +
      "fill-opacity fill-rule font-family font-size font-style font-weight fx fy gradientTransform " +
      "gradientUnits height lengthAdjust marker-end marker-mid marker-start markerHeight markerUnits " +
      "markerWidth mask maskUnits offset opacity orient pathLength patternContentUnits patternTransform " +
      "patternUnits points preserveAspectRatio r refX refY role rotate rx ry spreadMethod startOffset " +
      "stop-color stop-opacity stroke stroke-dasharray stroke-dashoffset stroke-linecap stroke-linejoin " +
      "stroke-miterlimit stroke-opacity stroke-width text-anchor text-decoration textLength transform " +
      "vector-effect viewBox visibility width x x1 x2 xmlns y y1 y2",
  );
  const OF_MATHML = names(
    "accent accentunder alttext columnalign columnlines columnspacing columnspan depth display " +
      "displaystyle encoding fence form frame height largeop linethickness lspace mathvariant maxsize " +
      "minsize movablelimits notation rowalign rowlines rowspacing rowspan rspace scriptlevel separator " +
      "stretchy symmetric voffset width xmlns",
  );
  // Tags removed with their content; the content of other unknown tags stays.
  const DROPPED = names(
    "script style template iframe object embed noscript form input button select textarea link meta base title " +
      "video canvas frameset frame",
  );
  const SPACES = {
    "http://www.w3.org/1999/xhtml": { kept: KEPT, of: (tag) => OF_TAG[tag] || [] },
    "http://www.w3.org/2000/svg": { kept: new Set(["a", ...DRAWINGS]), of: () => ["href", ...OF_DRAWING] },
    "http://www.w3.org/1998/Math/MathML": { kept: MATHML, of: () => OF_MATHML },
  };
  const SAFE_LINK = /^(https?:|mailto:|tel:|\/(?!\/)|#)/i;
  const SAFE_FILE = /^(https?:|\/(?!\/))/i;
  const LOCAL = /^\s*url\(#([^\s()'"\\]+)\)\s*$/i;

  /* Return the value of an attribute as it is kept; null removes it. */
  function valueOf(node, name, prefix) {
    const value = node.getAttribute(name);
    const isText = EVERYWHERE.includes(name) && name !== "id";
    if (name === "id") return prefix + value;
    if (name === "href" || name === "cite") {
      if (!SAFE_LINK.test(value.trim())) return null;
      return prefix && value.startsWith("#") ? `#${prefix}${value.slice(1)}` : value;
    }
    if (name === "src" && !SAFE_FILE.test(value.trim())) return null;
    if (name === "headers") return value.split(/\s+/).map((id) => prefix + id).join(" ");
    if (name === "class") return value.split(/\s+/).find((part) => part.startsWith("language-")) ?? null;
    if (!isText && /url\s*\(|\\/i.test(value) && node.namespaceURI.endsWith("svg")) {
      return LOCAL.test(value) ? value.replace(LOCAL, `url(#${prefix}$1)`) : null;
    }
    return value;
  }

  function copy(from, to, set) {
    for (const node of from.childNodes) {
      if (node.nodeType === Node.TEXT_NODE) {
        to.append(document.createTextNode(node.data));
      } else if (node.nodeType === Node.ELEMENT_NODE) {
        const tag = node.localName;
        const space = SPACES[node.namespaceURI];
        if (tag === "iframe" && set.frame) to.append(...set.frame(node));
        if (!space || (space.kept === KEPT && DROPPED.has(tag))) continue;
        if (!space.kept.has(tag)) {
          if (space.kept === KEPT) copy(node, to, set);
          continue;
        }
        const kept = document.createElementNS(node.namespaceURI, tag);
        for (const name of [...EVERYWHERE, ...space.of(tag)]) {
          const value = node.hasAttribute(name) ? valueOf(node, name, set.prefix) : null;
          if (value !== null) kept.setAttribute(name, value);
        }
        if (tag === "a") kept.setAttribute("rel", "noopener noreferrer");
        if (tag === "audio") kept.setAttribute("controls", "");
        copy(node, kept, set);
        to.append(kept);
      }
    }
  }

  /* Return the sanitised content of some HTML, as nodes. It is parsed in an inert document.
   * `frame` returns the nodes that replace an <iframe>; without it, iframes are removed.
   * `prefix` is put before each id and each reference to one, so that a text's ids are its own. */
  Memora.safeHtml = (html, { frame = null, prefix = "" } = {}) => {
    const parsed = new DOMParser().parseFromString(String(html ?? ""), "text/html");
    const fragment = document.createDocumentFragment();
    copy(parsed.body, fragment, { frame, prefix });
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
