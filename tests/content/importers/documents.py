"""Small Word documents."""

import io
import zipfile

W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
R = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
M = "http://schemas.openxmlformats.org/officeDocument/2006/math"
TYPES = "http://schemas.openxmlformats.org/package/2006/content-types"
RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
A = "http://schemas.openxmlformats.org/drawingml/2006/main"
WP = "http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing"
PIC = "http://schemas.openxmlformats.org/drawingml/2006/picture"


def paragraph(text, style=""):
    properties = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f"<w:p>{properties}<w:r><w:t>{text}</w:t></w:r></w:p>"


def heading(text, level):
    return paragraph(text, f"Heading{level}")


PICTURE = (
    f'<w:p><w:r><w:drawing><wp:inline xmlns:wp="{WP}"><wp:docPr id="1" name="p" '
    f'descr="A cell"/><a:graphic xmlns:a="{A}"><a:graphicData><pic:pic '
    f'xmlns:pic="{PIC}"><pic:blipFill><a:blip r:embed="rId1"/></pic:blipFill></pic:pic>'
    "</a:graphicData></a:graphic></wp:inline></w:drawing></w:r></w:p>"
)
FORMULA = f'<w:p><m:oMath xmlns:m="{M}"><m:r><m:t>x</m:t></m:r></m:oMath></w:p>'
NOTED = (
    '<w:p><w:r><w:t>Noted</w:t></w:r><w:r><w:footnoteReference w:id="2"/></w:r></w:p>'
)
TABLE = (
    "<w:tbl><w:tr><w:tc><w:p><w:r><w:t>cell one</w:t></w:r></w:p></w:tc>"
    "<w:tc><w:p><w:r><w:t>cell two</w:t></w:r></w:p></w:tc></w:tr></w:tbl>"
)


def docx(*parts, picture=b"", document=None):
    """Return a document of these paragraphs, with one footnote and one picture."""
    styles = "".join(
        f'<w:style w:type="paragraph" w:styleId="Heading{level}">'
        f'<w:name w:val="heading {level}"/></w:style>'
        for level in range(1, 7)
    )
    styles += '<w:style w:type="paragraph" w:styleId="Title"><w:name w:val="Title"/></w:style>'
    files = {
        "[Content_Types].xml": f'<Types xmlns="{TYPES}"><Default Extension="xml" '
        'ContentType="application/xml"/><Default Extension="png" '
        'ContentType="image/png"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{RELATIONS}"><Relationship Id="rId1" '
        f'Type="{R}/officeDocument" Target="word/document.xml"/></Relationships>',
        "word/_rels/document.xml.rels": f'<Relationships xmlns="{RELATIONS}">'
        f'<Relationship Id="rId1" Type="{R}/image" Target="media/a.png"/>'
        f'<Relationship Id="rId2" Type="{R}/footnotes" Target="footnotes.xml"/>'
        f'<Relationship Id="rId3" Type="{R}/styles" Target="styles.xml"/>'
        "</Relationships>",
        "word/document.xml": document
        or f'<w:document xmlns:w="{W}" xmlns:r="{R}"><w:body>{"".join(parts)}</w:body>'
        "</w:document>",
        "word/styles.xml": f'<w:styles xmlns:w="{W}">{styles}</w:styles>',
        "word/footnotes.xml": f'<w:footnotes xmlns:w="{W}"><w:footnote w:id="2">'
        "<w:p><w:r><w:t>The note</w:t></w:r></w:p></w:footnote></w:footnotes>",
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, text in files.items():
            opened.writestr(name, text)
        if picture:
            opened.writestr("word/media/a.png", picture)
    return out.getvalue()
