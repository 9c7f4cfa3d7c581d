"""XLSX files made by hand, as other programs write them and openpyxl does not."""

import io
import zipfile
from xml.sax.saxutils import escape, quoteattr

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
RELATION = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"


def text(reference, value):
    """A cell with inline text."""
    return (
        f'<c r="{reference}" t="inlineStr"><is><t xml:space="preserve">'
        f"{escape(value)}</t></is></c>"
    )


def row(number, *cells):
    return f'<row r="{number}">{"".join(cells)}</row>'


def rows(*lines):
    """Rows of texts from A1 on; a row may hold cells as XML instead."""
    made = []
    for number, line in enumerate(lines, start=1):
        cells = [
            cell if cell.startswith("<c") else text(f"{'ABCDEFGHIJ'[at]}{number}", cell)
            for at, cell in enumerate(line)
            if cell
        ]
        made.append(row(number, *cells))
    return "".join(made)


def worksheet(data, *, merged=(), root="worksheet", namespace=MAIN):
    merges = "".join(f'<mergeCell ref="{reference}"/>' for reference in merged)
    return (
        f'<{root} xmlns="{namespace}" xmlns:r="{RELATION}">'
        f"<sheetData>{data}</sheetData>"
        + (f"<mergeCells>{merges}</mergeCells>" if merged else "")
        + f"</{root}>"
    )


def styles(*codes):
    """A style sheet: style 0 is General, style n has the n-th number format."""
    formats = "".join(
        f'<numFmt numFmtId="{164 + at}" formatCode={quoteattr(code)}/>'
        for at, code in enumerate(codes)
    )
    used = "".join(f'<xf numFmtId="{164 + at}"/>' for at in range(len(codes)))
    return (
        f'<styleSheet xmlns="{MAIN}"><numFmts>{formats}</numFmts>'
        f'<cellStyleXfs><xf numFmtId="9"/></cellStyleXfs>'
        f'<cellXfs><xf numFmtId="0"/>{used}</cellXfs>'
        f'<dxfs><dxf><numFmt numFmtId="164" formatCode="0"/></dxf></dxfs></styleSheet>'
    )


def strings(*items):
    """A table of shared strings, each an ``<si>`` element as XML."""
    inner = "".join(f"<si>{item}</si>" for item in items)
    return f'<sst xmlns="{MAIN}">{inner}</sst>'


def workbook(sheets, *, shared=None, style=None, parts=(), prolog=""):
    """Return the bytes of an XLSX file.

    Args:
        sheets: (title, state, worksheet XML) each; or one worksheet's XML.
        parts: more members, (name, content) each.
        prolog: XML before the worksheet elements.
    """
    if isinstance(sheets, str):
        sheets = [("Lessons", "visible", sheets)]
    listed, relations = "", ""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        for at, (title, state, xml) in enumerate(sheets, start=1):
            listed += (
                f'<sheet name={quoteattr(title)} sheetId="{at}" state="{state}" '
                f'r:id="rId{at}"/>'
            )
            relations += _relation(f"rId{at}", "worksheet", f"worksheets/sheet{at}.xml")
            packed.writestr(f"xl/worksheets/sheet{at}.xml", prolog + xml)
        for kind, content in (("sharedStrings", shared), ("styles", style)):
            if content is not None:
                relations += _relation(kind, kind, f"/xl/{kind}.xml")
                packed.writestr(f"xl/{kind}.xml", content)
        packed.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{MAIN}" xmlns:r="{RELATION}"><sheets>{listed}</sheets>'
            "</workbook>",
        )
        packed.writestr("xl/_rels/workbook.xml.rels", _relations(relations))
        packed.writestr(
            "_rels/.rels",
            _relations(_relation("rId1", "officeDocument", "xl/workbook.xml")),
        )
        packed.writestr("[Content_Types].xml", _types(len(sheets), shared, style))
        for name, content in parts:
            packed.writestr(name, content)
    return out.getvalue()


def _types(count, shared, style):
    """The content types of the parts. Memora ignores them; other programs need them."""
    main = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    parts = [("workbook", "sheet.main")]
    parts += [("sharedStrings", "sharedStrings")] if shared is not None else []
    parts += [("styles", "styles")] if style is not None else []
    parts += [(f"worksheets/sheet{at}", "worksheet") for at in range(1, count + 1)]
    inner = "".join(
        f'<Override PartName="/xl/{name}.xml" ContentType="{main}.{kind}+xml"/>'
        for name, kind in parts
    )
    return (
        '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Default Extension="rels" ContentType='
        '"application/vnd.openxmlformats-package.relationships+xml"/>'
        f"{inner}</Types>"
    )


def _relation(key, kind, target):
    return f'<Relationship Id="{key}" Type="{RELATION}/{kind}" Target="{target}"/>'


def _relations(inner):
    return f'<Relationships xmlns="{PACKAGE}">{inner}</Relationships>'
