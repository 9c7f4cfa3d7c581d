/* The pictures of pasted documents. Word writes addresses of files into the HTML, and the
 * pictures themselves into the RTF beside it; other programs write `data:` addresses; a
 * copied picture is a file. */
"use strict";

(() => {
  const TYPES = ["image/png", "image/jpeg", "image/webp", "image/gif"];
  const DATA = /^data:(image\/[a-z]+);base64,([a-z0-9+/=\s]+)$/i;
  const FILE = /^file:/i;
  // A picture in RTF: its format, control words and groups, then its bytes in hexadecimal.
  const RTF_PICTURE = /\\(png|jpeg)blip(?:\\[a-z]+-?[0-9]*|\{[^{}]*\}|\s)*?\s*([0-9a-f][0-9a-f\s]*)\}/gi;

  function toFile(type, bytes) {
    return new File([bytes], `picture.${type.slice("image/".length)}`, { type });
  }

  /* Return the picture of a `data:` address; null if it is none that can be uploaded. */
  function ofData(address) {
    const [, type, packed] = DATA.exec(address) || [];
    if (!TYPES.includes(type?.toLowerCase())) return null;
    try {
      const text = atob(packed.replace(/\s/g, ""));
      return toFile(type.toLowerCase(), Uint8Array.from(text, (char) => char.charCodeAt(0)));
    } catch {
      return null; // not base64
    }
  }

  function ofRtf(rtf) {
    return [...rtf.matchAll(RTF_PICTURE)].map(([, format, digits]) => {
      const pairs = digits.replace(/\s/g, "").match(/../g) || [];
      return toFile(`image/${format.toLowerCase()}`, Uint8Array.from(pairs, (pair) => parseInt(pair, 16)));
    });
  }

  /* Return the pictures of a paste that have to be uploaded, as `files`, and a function that
   * returns the pasted HTML with their new addresses. Null if it has none, or one of them
   * is not in the clipboard. */
  Memora.pastedPictures = (clipboard) => {
    if (!clipboard) return null;
    const html = clipboard.getData("text/html");
    const copied = [...clipboard.files].filter((file) => TYPES.includes(file.type));
    if (!html) {
      const images = (addresses) => addresses.map((src) => Memora.element("img", { src, alt: "" }).outerHTML);
      return copied.length ? { files: copied, html: (addresses) => images(addresses).join("") } : null;
    }
    const page = new DOMParser().parseFromString(html, "text/html");
    const source = (image) => image.getAttribute("src") || "";
    const images = [...page.images].filter((image) => FILE.test(source(image)) || /^data:/i.test(source(image)));
    const ofFiles = images.filter((image) => FILE.test(source(image)));
    const beside = ofFiles.length === 1 && copied.length === 1 ? copied : ofRtf(clipboard.getData("text/rtf"));
    if (ofFiles.length && ofFiles.length !== beside.length) return null;
    const files = images.map((image) => (FILE.test(source(image)) ? beside.shift() : ofData(source(image))));
    if (!files.length || files.includes(null)) return null;
    for (const image of images) {
      for (const name of image.getAttributeNames()) {
        if (!["alt", "height", "width"].includes(name)) image.removeAttribute(name);
      }
    }
    return {
      files,
      html: (addresses) => {
        images.forEach((image, place) => image.setAttribute("src", addresses[place]));
        return page.body.innerHTML;
      },
    };
  };
})();
