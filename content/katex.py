"""KaTeX in QuickJS: an interpreter without files or network, with limits.

The same script draws formulas in the preview, so what is valid here is drawn there.
"""

from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

import quickjs

_SCRIPT = Path(__file__).parent / "static/vendor/katex/katex.js"
_SECONDS = 1
_BYTES = 64 * 1024 * 1024
_FUNCTIONS = """
  const options = (displayMode) => ({
    displayMode, strict: "ignore", maxSize: 30, output: "mathml",
  });
  const reason = (tex, displayMode) => {
    try {
      katex.__parse(tex, options(displayMode));
      return "";
    } catch (error) {
      return error.rawMessage || String(error);
    }
  };
  const mathml = (tex, displayMode) => katex.renderToString(tex, options(displayMode));
"""


class _KaTeX:
    """The interpreter; made at the first formula, used by one thread at a time."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._context: Any = None

    def call(self, function: str, tex: str, is_display: bool) -> str:
        """Return the result of a function of `_FUNCTIONS`.

        Raises:
            quickjs.JSException: the formula is not valid, or needs more time or memory
                than allowed.
        """
        with self._lock:
            if self._context is None:
                context = quickjs.Context()
                context.eval(_SCRIPT.read_text(encoding="utf-8"))
                context.eval(_FUNCTIONS)
                context.set_memory_limit(_BYTES)
                context.set_time_limit(_SECONDS)
                self._context = context
            try:
                return str(self._context.eval(function)(tex, is_display))
            except quickjs.JSException:
                # Out of time or memory: the context may be unusable.
                self._context = None
                raise


_KATEX = _KaTeX()


@lru_cache(maxsize=10_000)
def reason(tex: str, is_display: bool) -> str:
    """Return KaTeX's reason, in English, why it cannot draw a formula; "" if it can."""
    try:
        return _KATEX.call("reason", tex, is_display)
    except quickjs.JSException as error:
        return str(error)


def mathml(tex: str, is_display: bool) -> str:
    """Return a formula as MathML; "" if it is not valid."""
    if reason(tex, is_display):
        return ""
    try:
        return _KATEX.call("mathml", tex, is_display)
    except quickjs.JSException:
        return ""
