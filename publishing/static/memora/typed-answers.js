/* Compare what a student typed with the accepted answers of a gap: the rules of
 * docs/content-format.md. Depends on no page. */
"use strict";
globalThis.Memora = globalThis.Memora || {};

(() => {
  const MARKS = /[\p{Mn}\p{Me}\p{Cf}]/u;
  const CONTROL = /[\0-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]/;
  const SPACES = /[\s\x85]+/;
  const MAX_DIGITS = 40;

  const collapse = (text) => text.split(SPACES).filter(Boolean).join(" ");

  function isInvisible(sign, tables) {
    const code = sign.codePointAt(0);
    const within = ([first, last]) => first.codePointAt(0) <= code && code <= last.codePointAt(0);
    return CONTROL.test(sign) || tables.remove_ranges.some(within);
  }

  /* Return the form of a text in which case, vowel signs and forms of letters are equal. */
  function fold(text, tables) {
    const shown = [...text].filter((sign) => !tables.remove_first.includes(sign)).join("");
    const lower = shown.normalize("NFKD").toLowerCase().replace(/ß/g, "ss").replace(/ς/g, "σ");
    const kept = [...lower.normalize("NFKD")].filter(
      (sign) => !MARKS.test(sign) && !isInvisible(sign, tables) && !tables.remove.includes(sign),
    );
    return collapse(kept.map((sign) => tables.replace[sign] ?? sign).join(""));
  }

  /* Return a text as it is displayed. */
  function visible(text, tables) {
    return collapse([...text.normalize("NFC")].filter((sign) => !isInvisible(sign, tables)).join(""));
  }

  /* Return the numbers that a text can mean. */
  function numbers(text, tables) {
    const latin = [...visible(text, tables)].map((sign) => tables.replace[sign] ?? sign).join("");
    const written = latin.replace(/\u2212/g, "-").replace(/ /g, "");
    const found = [];
    if (written.length > MAX_DIGITS) return found;
    if (/^[+-]?([0-9]+[.,]?[0-9]*|[.,][0-9]+)(e[+-]?[0-9]{1,2})?$/i.test(written)) found.push(Number(written.replace(",", ".")));
    if (/^[+-]?[0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?$/.test(written)) found.push(Number(written.replace(/,/g, "")));
    const quotient = /^([+-]?[0-9]+)\/([0-9]+)$/.exec(written);
    if (quotient && Number(quotient[2])) found.push(Number(quotient[1]) / Number(quotient[2]));
    return found;
  }

  function isNear(typed, answer, tolerance) {
    return Math.abs(typed - answer) <= tolerance + 1e-9 * Math.max(1, Math.abs(answer));
  }

  /* Return whether `typed` is one of the answers of `gap`.
   * `tables` are those of docs/search-folding.json. */
  Memora.isRightAnswer = (gap, typed, tables) => {
    if (gap.tolerance === undefined) {
      const face = gap.exact ? visible : fold;
      return gap.answers.some((answer) => face(answer, tables) === face(typed, tables));
    }
    const accepted = gap.answers.flatMap((answer) => numbers(answer, tables));
    const given = numbers(typed, tables);
    return given.some((value) => accepted.some((answer) => isNear(value, answer, gap.tolerance)));
  };
})();
