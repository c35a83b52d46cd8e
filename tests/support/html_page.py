"""What a browser finds in a page: elements with their attributes and text, tables, and what could load or run."""

from html.parser import HTMLParser

VOID = {"meta", "img", "br", "link", "input"}
ACTIVE = {"script", "iframe", "object", "embed", "form", "base", "link", "svg", "math", "style"}


class Element:
    """An element with everything inside it."""

    def __init__(self, tag, attributes):
        self.tag, self.attributes = tag, attributes
        self.content = []

    @property
    def text(self):
        """Text of the element, white space collapsed as browsers do."""
        parts = (part if isinstance(part, str) else part.text for part in self.content)
        return " ".join("".join(parts).split())

    def all(self, tag, **attributes):
        """Elements below this one, in order."""
        attributes = {name.rstrip("_"): value for name, value in attributes.items()}
        for part in self.content:
            if isinstance(part, Element):
                if part.tag == tag and attributes.items() <= part.attributes.items():
                    yield part
                yield from part.all(tag, **attributes)

    def one(self, tag, **attributes):
        """The only such element."""
        (element,) = self.all(tag, **attributes)
        return element

    def texts(self, tag, **attributes):
        """Texts of all such elements."""
        return [element.text for element in self.all(tag, **attributes)]

    def rows(self):
        """Cells of each row of a table."""
        return [[cell.text for cell in row.content if isinstance(cell, Element)] for row in self.all("tr")]


class _Builder(HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.root = Element("", {})
        self.open = [self.root]

    def handle_starttag(self, tag, attrs):
        element = Element(tag, dict(attrs))
        self.open[-1].content.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag):
        assert self.open[-1].tag == tag, f"</{tag}> closes <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data):
        self.open[-1].content.append(data)


def parse(page):
    """The page as a tree; fails where elements are not closed in order."""
    builder = _Builder()
    builder.feed(page)
    builder.close()
    assert builder.open == [builder.root], f"<{builder.open[-1].tag}> is not closed"
    return builder.root


def assert_harmless(page):
    """Nothing of the page loads or runs anything: no active elements, no handlers, no addresses but data and files."""
    root = parse(page)
    policy = root.one("meta", **{"http-equiv": "Content-Security-Policy"}).attributes["content"]
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    assert root.one("meta", name="viewport").attributes["content"].startswith("width=device-width")
    assert len(list(root.one("head").all("style"))) == 1
    for tag in ACTIVE - {"style"}:
        assert not list(root.all(tag)), tag
    assert not list(root.one("body").all("style"))
    for element in _elements(root):
        for name, value in element.attributes.items():
            assert not name.startswith("on"), (element.tag, name)
            assert name != "style", (element.tag, value)
            if name == "src":
                assert value.startswith("data:image/"), value
            if name == "href":
                assert ":" not in value, value
    return root


def _elements(element):
    for part in element.content:
        if isinstance(part, Element):
            yield part
            yield from _elements(part)
