"""A domain's XML as text, as a tree, and as text again without losing a byte that matters.

ElementTree alone renames every namespace prefix it was not told of, in a table that is global to the
process, drops comments, and turns CDATA into escaped text. Here names keep their prefixes because
the text is read without namespaces: ``qemu:commandline`` is a tag and ``xmlns:qemu`` an attribute
like any other. What other programs keep below ``<metadata>`` is theirs: each child is carried as the
very text it was. The rest is written as libvirt writes it, so that what no rewriter touched comes out
byte for byte as it came in.

Three tags are no names of XML and stand for what is not an element: :data:`OPAQUE` (text kept
whole), :data:`COMMENT` and :data:`INSTRUCTION`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from xml.etree.ElementTree import Element
from xml.parsers import expat

from migrator.errors import Refused

MAX_BYTES = 1024 * 1024
"""Of UTF-8. A large real guest (64 disks, 32 interfaces) has about 60 KiB; libvirt's own RPC takes
4 MiB, but the document travels several times in one request."""
MAX_DEPTH = 256
"""Elements within each other: where libxml2, and with it libvirt, stops reading."""

OPAQUE = "#opaque"
COMMENT = "#comment"
INSTRUCTION = "#instruction"

_NAMESPACE = "#namespace"
_START_TAG = re.compile(rb"""<(?:[^"'>]|"[^"]*"|'[^']*')*>""")
_LIBVIRT_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "'": "&apos;", '"': "&quot;"}
_TEXT = str.maketrans({**_LIBVIRT_ESCAPES, "\r": "&#13;"})
_ATTRIBUTE = str.maketrans({**_LIBVIRT_ESCAPES, "\r": "&#13;", "\n": "&#10;", "\t": "&#9;"})


def parse(text: str) -> Element:
    """The document's ``<domain>`` element.

    :raises Refused: ``domain.xml_invalid`` for text that is not a well-formed domain, is larger or
        deeper than libvirt's would be, or declares a document type: entities of its own could make
        it mean or weigh anything.
    """
    data = _encoded(text)
    reader = _Reader(data)
    try:
        reader.read()
        # the first pass read prefixes as letters; this one insists that each is declared
        expat.ParserCreate("utf-8", " ").Parse(data, True)
    except expat.ExpatError as error:
        raise _invalid(f"it is not well-formed ({error})") from None
    if reader.root.tag != "domain":
        raise _invalid(f"its outermost element is <{reader.root.tag}>, not <domain>")
    return reader.root


def serialise(root: Element) -> str:
    """The tree as text, in libvirt's own way of quoting and escaping."""
    return "".join(_written(root)) + "\n"


def opaque(text: str, namespace: str) -> Element:
    """One metadata element as text, to be put into a tree; ``namespace`` is its own URI."""
    return _special(OPAQUE, text, {_NAMESPACE: namespace})


def namespace_of(element: Element) -> str | None:
    """URI of an opaque element's namespace; None for everything else."""
    return element.get(_NAMESPACE) if element.tag == OPAQUE else None


def insert(parent: Element, position: int, child: Element, depth: int) -> None:
    """Put a child in, indented as libvirt does; ``depth`` is the child's, the domain's being 0."""
    if len(parent) == 0:
        parent.text, child.tail = _indent(depth), _indent(depth - 1)
    elif position == len(parent):
        child.tail, parent[-1].tail = parent[-1].tail, parent.text
    else:
        child.tail = parent.text if position == 0 else parent[position - 1].tail
    parent.insert(position, child)


def remove(parent: Element, child: Element) -> None:
    """Take a child out together with its indentation."""
    position = list(parent).index(child)
    previous = parent[position - 1] if position else None
    before = (parent.text if previous is None else previous.tail) or ""
    after = child.tail or ""
    kept, dropped = (after, before) if position == len(parent) - 1 else (before, after)
    if dropped.strip():
        kept = before + after
    if previous is None:
        parent.text = kept
    else:
        previous.tail = kept
    parent.remove(child)


def _indent(depth: int) -> str:
    return "\n" + "  " * depth


def _invalid(why: str) -> Refused:
    return Refused(
        "domain.xml_invalid",
        f"the domain's XML cannot be used: {why}; compare it with `virsh dumpxml` of the guest and "
        "mend it with `virsh edit`",
    )


def _encoded(text: str) -> bytes:
    try:
        data = text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise _invalid(f"it is not text ({error.reason})") from None
    if len(data) > MAX_BYTES:
        raise _invalid(f"it has {len(data)} bytes, more than the {MAX_BYTES} allowed")
    return data


def _special(tag: str, text: str, attributes: dict[str, str] | None = None) -> Element:
    element = Element(tag, attributes or {})
    element.text = text
    return element


class _Reader:
    """Builds the tree from expat's calls."""

    def __init__(self, data: bytes) -> None:
        self.root = Element("#none")
        self._data = data
        self._open: list[Element] = []
        self._opaque_from = 0
        self._opaque_depth = 0
        self._parser = expat.ParserCreate("utf-8")
        self._parser.ordered_attributes = True
        self._parser.buffer_text = True
        self._parser.StartDoctypeDeclHandler = self._doctype
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        self._parser.CommentHandler = self._comment
        self._parser.ProcessingInstructionHandler = self._instruction

    def read(self) -> None:
        self._parser.Parse(self._data, True)

    def _doctype(self, *declared: Any) -> None:
        raise _invalid("it declares a document type (<!DOCTYPE>), which a domain never needs")

    def _start(self, name: str, listed: list[str]) -> None:
        if len(self._open) + self._opaque_depth >= MAX_DEPTH:
            raise _invalid(f"its elements are nested deeper than {MAX_DEPTH} levels")
        if self._opaque_depth:
            self._opaque_depth += 1
            return
        attributes = dict(zip(listed[::2], listed[1::2], strict=True))
        if [element.tag for element in self._open] == ["domain", "metadata"]:
            self._start_opaque(name, attributes)
            return
        self._begin(Element(name, attributes))

    def _begin(self, element: Element) -> None:
        if self._open:
            self._open[-1].append(element)
        else:
            self.root = element
        self._open.append(element)

    def _start_opaque(self, name: str, attributes: dict[str, str]) -> None:
        self._begin(opaque("", self._namespace(name, attributes)))
        self._opaque_from = self._parser.CurrentByteIndex
        self._opaque_depth = 1

    def _namespace(self, name: str, attributes: dict[str, str]) -> str:
        prefix, colon, _ = name.rpartition(":")
        declaration = f"xmlns:{prefix}" if colon else "xmlns"
        for scope in (attributes, *(element.attrib for element in reversed(self._open))):
            if declaration in scope:
                return scope[declaration]
        return ""

    def _end(self, name: str) -> None:
        if self._opaque_depth:
            self._opaque_depth -= 1
            if self._opaque_depth:
                return
            self._open[-1].text = self._opaque_text()
        self._open.pop()

    def _opaque_text(self) -> str:
        start_tag = _START_TAG.match(self._data, self._opaque_from)
        assert start_tag is not None, "expat has just read this tag"
        if start_tag.group().endswith(b"/>"):
            return start_tag.group().decode()
        end = self._data.index(b">", self._parser.CurrentByteIndex) + 1
        return self._data[self._opaque_from : end].decode()

    def _text(self, text: str) -> None:
        if self._opaque_depth or not self._open:
            return
        into = self._open[-1]
        if len(into):
            into[-1].tail = (into[-1].tail or "") + text
        else:
            into.text = (into.text or "") + text

    def _comment(self, text: str) -> None:
        self._append(_special(COMMENT, text))

    def _instruction(self, target: str, text: str) -> None:
        self._append(_special(INSTRUCTION, f"{target} {text}" if text else target))

    def _append(self, special: Element) -> None:
        if self._open and not self._opaque_depth:
            self._open[-1].append(special)


def _written(element: Element) -> Iterator[str]:
    text = element.text or ""
    if element.tag == OPAQUE:
        yield text
    elif element.tag == COMMENT:
        yield f"<!--{text}-->"
    elif element.tag == INSTRUCTION:
        yield f"<?{text}?>"
    else:
        yield f"<{element.tag}"
        for name, value in element.attrib.items():
            yield f" {name}='{value.translate(_ATTRIBUTE)}'"
        if text or len(element):
            yield f">{text.translate(_TEXT)}"
            for child in element:
                yield from _written(child)
                yield (child.tail or "").translate(_TEXT)
            yield f"</{element.tag}>"
        else:
            yield "/>"
