"""HTML of editors: what is kept, what is reported as lost, and the limits."""

import random
import re
import sys
from collections import Counter
from pathlib import Path

import nh3
import pytest

from content import html_policy, html_tokens, rich_text
from content.html_tokens import size, tokens, well_formed
from content.rich_text import Excess, LossKind, clean, has_content

# --- What is lost -------------------------------------------------------------------


def labels(lost) -> tuple[str, ...]:
    return tuple(f"{n} ({count})" if count > 1 else n for _kind, n, count in lost)


KEPT = [
    '<h2 id="one">a</h2><p><a href="#one" rel="noopener noreferrer">1</a></p>',
    '<sup><a href="#fn1" id="ref1" rel="noopener noreferrer">1</a></sup>',
    '<ol type="a" start="3"><li value="5">a</li></ol>',
    '<pre><code class="language-c++">int a;</code></pre><kbd>Ctrl</kbd>',
    "<dl><dt>Mean</dt><dd>The average</dd></dl>",
    '<details open=""><summary>Solution</summary><p>42</p></details>',
    '<figure><img src="/a.png" alt="a"><figcaption>Fig. 1</figcaption></figure>',
    "<ruby>漢<rp>(</rp><rt>kan</rt><rp>)</rp></ruby>",
    '<audio controls="" src="/media/a.mp3"></audio>',
    '<table><caption>a</caption><tbody><tr><th scope="col" align="right">a</th>'
    '<td colspan="2" align="center">b</td></tr></tbody></table>',
    "<section><h2>a</h2></section><aside>b</aside>",
    '<math display="block"><mfrac><mn>1</mn><mn>2</mn></mfrac></math>',
    '<math><semantics><mi>x</mi><annotation encoding="application/x-tex">x'
    "</annotation></semantics></math>",
    '<svg viewBox="0 0 9 9"><title>a</title><defs><linearGradient id="g">'
    '<stop offset="1" stop-color="red"></stop></linearGradient></defs>'
    '<path d="M0 0L9 9" fill="url(#g)"></path><text x="1">نص</text></svg>',
]


@pytest.mark.parametrize("html", KEPT)
def test_what_lessons_may_contain_is_kept_as_it_is(html):
    cleaned = clean(f"{html}<template></template>")  # not only the usual case
    assert (cleaned.html, labels(cleaned.lost)) == (html, ("<template>",))
    assert clean(html) == rich_text.Cleaned(html)


@pytest.mark.parametrize(
    ("html", "kept", "lost"),
    [
        (
            '<svg onload="x()"><script>x()</script><path d="M0"/></svg>',
            '<svg><path d="M0"></path></svg>',
            ("<script>", "<svg onload>"),
        ),
        (
            '<svg><path fill="url(https://a.example/#g)" style="fill: red"/></svg>',
            "<svg><path></path></svg>",
            ("<path fill>", "<path style>"),
        ),
        (
            r"<svg><path fill='u\72l(https://a.example)'/></svg>",
            "<svg><path></path></svg>",
            ("<path fill>",),
        ),
        (
            "<svg><foreignObject><p>نص</p></foreignObject></svg>",
            "<svg></svg>",
            ("<foreignobject>", "<p>", "“نص”"),
        ),
        (
            '<svg><use href="#a"/><image href="/a.png"/><animate/></svg>',
            "<svg></svg>",
            ("<use>", "<image>", "<animate>"),
        ),
        (
            '<svg><a href="javascript:x()"><text>a</text></a></svg>',
            '<svg><a rel="noopener noreferrer"><text>a</text></a></svg>',
            ('<a href="javascript:…">',),
        ),
        (
            '<math href="https://a.example"><maction><mi>x</mi></maction></math>',
            "<math><mi>x</mi></math>",
            ("<maction>", "<math href>"),
        ),
        (
            "<math><annotation-xml encoding='text/html'><p>x</p></annotation-xml></math>",
            "<math></math>",
            ("<annotation-xml>", "<p>", "“x”"),
        ),
        ('<h2 id="a b">a</h2>', "<h2>a</h2>", ("<h2 id>",)),
        ('<ol type="x"><li>a</li></ol>', "<ol><li>a</li></ol>", ("<ol type>",)),
        (
            '<audio autoplay src="/a.mp3"></audio>',
            '<audio src="/a.mp3" controls=""></audio>',
            ("<audio autoplay>",),
        ),
        (
            '<p>صورة <img alt="نقطة" src="data:image/png;base64,iVBO"> هنا</p>',
            '<p>صورة <img alt="نقطة"> هنا</p>',
            ('<img src="data:…">',),
        ),
        ("<template><p>x</p></template>y", "y", ("<template>", "<p>", "“x”")),
        ("<form>a<input value=b><input></form>", "a", ("<form>", "<input> (2)")),
        ('<p style="color: red">a</p>', "<p>a</p>", ("<p style>",)),
        ('<p onclick="x()">a<script>b</script></p>', None, ("<script>", "<p onclick>")),
        ('<a href="javascript:x()">a</a>', None, ('<a href="javascript:…">',)),
        ("<td>a</td>", "a", ("<td>",)),
        ("<font color=red>a</font>", "a", ("<font>",)),
        ("<textarea>a <b>b</b></textarea>", "a &lt;b&gt;b&lt;/b&gt;", ("<textarea>",)),
        ('<iframe src="https://a.example">b</iframe>c', "c", ("<iframe>",)),
        ("<x-chart>a</x-chart>", "a", ("<x-chart>",)),
    ],
)
def test_what_is_lost_is_said(html, kept, lost):
    cleaned = clean(html)
    assert labels(cleaned.lost) == lost
    assert kept is None or cleaned.html == kept


@pytest.mark.parametrize(
    "html",
    [
        '<svg><a xlink:href="javascript:x()"><text>a</text></a></svg>',
        '<svg xml:base="javascript:x()//"><a href="#x">b</a></svg>',
        "<svg><title><img src=x onerror=x()></title><desc><img onerror=x()></desc></svg>",
        "<math><mtext><table><mglyph><style><!--</style>"
        '<img title="--&gt;&lt;img src=1 onerror=x()&gt;"></mtext></math>',
        '<svg></p><style><a id="</style><img src=1 onerror=x()>"></svg>',
        "<form><math><mtext></form><form><mglyph><style></math><img src onerror=x()>",
        '<svg><foreignObject><iframe src="javascript:x()"></iframe></foreignObject></svg>',
        '<audio src="javascript:x()" onplay="x()"></audio>',
    ],
)
def test_drawings_and_formulas_smuggle_nothing_in(html):
    for token in tokens(clean(html).html):
        assert token.name not in ("iframe", "script", "style", "foreignobject")
        for name, value in token.attribute_values():
            assert not name.startswith(("on", "xlink", "xml"))
            assert "javascript:" not in value


def test_the_address_of_a_recording_is_absolute_for_readers():
    html = '<audio controls="" src="/media/a.mp3"></audio>'
    read = rich_text.sanitise(html, absolute=lambda path: f"https://a.example{path}")
    assert 'src="https://a.example/media/a.mp3"' in read


def test_siblings_that_close_themselves_are_not_nested():
    html = f"<svg>{'<path/>' * 500}</svg>"
    assert clean(html).html == f"<svg>{'<path></path>' * 500}</svg>"


@pytest.mark.parametrize(
    "html",
    [
        "<p>a<!-- a note --></p>",
        '<p class="MsoNormal" data-x="1" aria-label="a" id="a">a<o:p></o:p></p>',
        "<html><head><title>a</title></head><body><section>a</section></body></html>",
        "<![if !supportLists]>a<![endif]><?xml:namespace prefix = o ?>",
        '<a href="https://a.example" target="_blank" rel="nofollow">a</a>',
        "<table><tr><td>a<td>b</table>",
        "<p>a<p>b<ul><li>c<li>d</ul>",
        "a &amp; b &lt; c & d",
        "<B>a</b><BR/><Img Src='/a.png'>",
    ],
)
def test_what_nobody_would_miss_is_not_mentioned(html):
    assert clean(html).lost == ()


@pytest.mark.parametrize(
    ("html", "kept"),
    [
        ("<p>حل $x<y$ ثم اختر</p>", "<p>حل $x&lt;y$ ثم اختر</p>"),
        ("<p>a<b c$ then</p>", "<p>a&lt;b c$ then</p>"),
        ("3 <5 و 7<9", "3 &lt;5 و 7&lt;9"),
        ("List<String> x<10>", "List&lt;String&gt; x&lt;10&gt;"),
        ("a </ b <", "a &lt;/ b &lt;"),
        ("x <!-- y", "x &lt;!-- y"),
        ("x <script y", "x &lt;script y"),
        ("<style>a", "&lt;style&gt;a"),
        ('a<b "c> d', 'a&lt;b "c&gt; d'),
        ("<سؤال>", "&lt;سؤال&gt;"),
        ("a<text>b", "a&lt;text&gt;b"),  # an SVG element
        ("<mn>1</mn>", "&lt;mn&gt;1&lt;/mn&gt;"),
        ("<plaintext>a", "&lt;plaintext&gt;a"),
    ],
)
def test_a_less_than_that_begins_no_tag_is_text(html, kept):
    cleaned = clean(html)
    assert (cleaned.html, cleaned.lost) == (kept, ())


def test_a_long_removed_text_is_named_by_its_start():
    lost = clean(f"<template>{'word ' * 100}</template>").lost
    assert lost[-1].kind == LossKind.TEXT
    assert len(lost[-1].name) <= 62


def test_an_embed_keeps_its_referrer_policy_unless_it_tells_too_much():
    frame = '<iframe src="https://a.example/x" referrerpolicy="{}"></iframe>'
    fine = frame.format("strict-origin-when-cross-origin")
    assert clean(fine, embed=True).html == fine
    cleaned = clean(frame.format("unsafe-url"), embed=True)
    assert cleaned.html == '<iframe src="https://a.example/x"></iframe>'
    assert labels(cleaned.lost) == ("<iframe referrerpolicy>",)


@pytest.mark.parametrize(
    "source",
    [
        "https://www.youtube.com/watch?v=dQw4w9WgXcQ&amp;t=9",
        "http://www.youtube.com/embed/dQw4w9WgXcQ?start=9",
        "//youtu.be/dQw4w9WgXcQ?t=9",
    ],
)
def test_a_frame_with_a_video_s_page_shows_its_player(source):
    player = "https://www.youtube-nocookie.com/embed/dQw4w9WgXcQ?start=9"
    cleaned = clean(f'<iframe src="{source}"></iframe>', embed=True)
    assert cleaned.html == f'<iframe src="{player}"></iframe>'
    assert cleaned.lost == ()


def test_an_embed_has_no_insecure_addresses():
    html = '<a href=" HTTP://a.example">a</a><iframe src="http://a.example"></iframe>'
    cleaned = clean(html, embed=True)
    assert "example" not in cleaned.html
    assert labels(cleaned.lost) == ("<a href>", "<iframe src>")


PIECES = [
    *("<p>", "</p>", "<b>", "</b>", "<li>", "<ul>", "</ul>", "<td>", "<table>", "a "),
    *("</table>", "<", ">", "&", "&lt;", '"', "'", "<math>", "</math>", "<svg>", "</"),
    *("<script>", "</script>", "<textarea>", "</textarea>", "<!--", "-->", "<img src="),
    *("/a.png", " style='x'", "<div ", "<font color=", "<select>", "<title>", "سؤال"),
    *(
        "<path/>",
        "<g>",
        "</g>",
        "<title/>",
        "<desc>",
        "<mi>",
        "<mtext>",
        "<mi/>",
        "<symbol>",
    ),
    *("</title>", "<foreignObject>", "<annotation-xml encoding=text/html>", "<audio>"),
    *("<iframe>", "</iframe>", "<a href='#a'>", "</a>", "<template>", "<noscript>"),
]


@pytest.mark.parametrize("embed", [False, True])
@pytest.mark.parametrize("seed", range(300))
def test_what_is_kept_is_safe_and_kept_again(seed, embed):
    choose = random.Random(seed)
    html = "".join(choose.choices(PIECES, k=choose.randint(1, 40)))
    once = clean(html, embed=embed)
    assert once.html == rich_text.sanitise(once.html, embed=embed)
    again = clean(once.html, embed=embed)
    assert (again.html, again.lost) == (once.html, ())


@pytest.mark.parametrize("seed", range(300))
def test_no_word_is_lost_without_a_note(seed):
    choose = random.Random(seed)
    pieces = [f" w{number} " for number in range(20)]
    html = "".join(choose.choices([*PIECES, *pieces], k=choose.randint(1, 40)))
    written = [token for token in tokens(html) if not token.name]
    cleaned = clean(html)
    kept = html_tokens.tokens(cleaned.html)
    had = Counter(rich_text._text(written))
    had.subtract(Counter(rich_text._text(kept)))
    del had[" "]
    is_said = any(loss.kind == LossKind.TEXT for loss in cleaned.lost)
    assert is_said is any(count > 0 for count in had.values())


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("DRAWINGS", html_policy.DRAWINGS),
        ("MATHML", html_policy.MATHML),
        ("OF_DRAWING", html_policy.DRAWING_ATTRIBUTES),
        ("OF_MATHML", html_policy.MATHML_ATTRIBUTES),
    ],
)
def test_the_script_of_the_pages_has_the_same_lists(name, kept):
    script = (Path(rich_text.__file__).parent / "static/memora/html.js").read_text()
    written = re.search(rf"const {name} = names\((.*?)\);", script, re.DOTALL)
    assert set(" ".join(re.findall(r'"(.*?)"', written[1])).split()) == kept


# --- Limits ---------------------------------------------------------------------------


@pytest.fixture
def parsed(monkeypatch):
    """The lengths of the texts passed to nh3."""
    lengths: list[int] = []

    class Counted:
        def clean(self, html: str) -> str:
            lengths.append(len(html))
            return nh3.clean(html)

    monkeypatch.setattr(rich_text, "_CLEANER", Counted())
    return lengths


@pytest.mark.parametrize(
    ("html", "excess"),
    [
        ("<div>" * 40_000, Excess.ELEMENTS),
        ("<div>" * 101, Excess.DEPTH),
        ("<p>a</p>" * 10_001, Excess.ELEMENTS),
        ("a" * 1_000_001, Excess.CHARACTERS),
        # A parser repeats unclosed formatting elements in each following block.
        ("".join(f"<p><b title={n}></p>" for n in range(200)), Excess.ELEMENTS),
        ("<p><i>" * 60 + "</p>" * 60 + "<p>a</p>" * 500, Excess.ELEMENTS),
        ("<b>" * 90 + "</div>" + "<p>a</p>" * 200, None),
        ("<!-->" + "<div>" * 101 + "-->", None),  # a parser ends the comment at <!-->
        ("<div>" * 100, None),
        ("<p>a</p>" * 10_000, None),
        ("<p>a" * 5_000, None),
        ("<ul><li><p>a<li><p>b</ul>" * 1_000, None),
        ("<table>" + "<tr><td>a<td>b" * 1_000 + "</table>", None),
        ("<dl>" + "<dt>a<dd>b" * 1_000 + "</dl>", None),
    ],
)
def test_more_than_is_taken_is_never_parsed(parsed, html, excess):
    assert clean(html).excess == excess
    assert bool(parsed) is (excess is None)


@pytest.mark.parametrize("seed", range(200))
def test_a_parser_makes_no_more_than_was_counted(seed):
    choose = random.Random(seed)
    found = list(tokens("".join(choose.choices(PIECES, k=200))))
    made = nh3.clean(
        well_formed(found),
        tags=html_policy.TEXT["tags"] | {"font", "select", "title"},
    )
    bound = size(found)
    count = sum(bool(t.name) and not t.is_end for t in tokens(made))
    # A parser adds a table's <tbody> and <tr>.
    added = 2 * sum(t.name in ("td", "table") for t in found)
    assert count <= bound.elements + added


def steps_of(function, *given) -> int:
    """Return how many lines of Python ran."""
    count = 0

    def trace(_frame, _event, _argument):
        nonlocal count
        count += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function(*given)
    finally:
        sys.settrace(before)
    return count


WORST = [
    "<div>",
    "<",
    '<a "',
    "<a b='",
    "<!--",
    "<script>",
    "<textarea><xmp>",
    "<p>",
    "<li><p>",
    "<dt><dd><rb>",
    "<b>",
    "</b>",
    "<b></i>",
    "<math></svg>",
    "<svg><path/>",
    "&lt",
]


def read(html: str) -> None:
    found = list(tokens(html))
    size(found)
    well_formed(found)


@pytest.mark.parametrize("piece", WORST)
def test_twice_the_html_is_twice_the_work(piece):
    once, twice = (steps_of(read, piece * count) for count in (500, 1000))
    assert twice <= 2.1 * once


@pytest.mark.parametrize(
    ("html", "seen"),
    [
        ("<p>a</p>", True),
        ('<img src="/a.png">', True),
        ("<hr>", True),
        ("<p>&nbsp;&#8203;\u200f</p><br>", False),
        ("", False),
    ],
)
def test_whether_something_can_be_seen(html, seen):
    assert has_content(html) is seen
