"""Which elements, attributes and files of a document are which of caniemail's features: by slug, what stands for it."""


def names(text: str) -> frozenset[str]:
    return frozenset(text.split())


ELEMENTS = {
    "html-h1-h6": "h1 h2 h3 h4 h5 h6",
    "html-image-maps": "map area",
    "html-lists": "ul ol dl",
    "html-semantics": "article aside details figcaption figure footer header main mark nav section summary time",
} | {
    f"html-{name}": name
    for name in names(
        """abbr acronym address audio base bdi blockquote body code del dfn dialog div form hr img link marquee meter
        object p picture pre progress rp rt ruby select small span strike strong style svg table textarea video wbr"""
    )
}

#: Of any element, unless `ATTRIBUTES_OF` names some.
ATTRIBUTES = {"css-inert-attribute": "inert", "html-srcset": "srcset sizes", "html-loading-attribute": "loading"} | {
    f"html-{name}": name
    for name in names(
        """align aria-describedby aria-hidden aria-label aria-labelledby aria-live background cellpadding cellspacing
        dir height hidden lang popover required role target valign width"""
    )
}
ATTRIBUTES_OF = {
    "background": names("body table thead tbody tfoot tr td th"),
    "cellpadding": names("table"),
    "cellspacing": names("table"),
    "loading": names("img iframe"),
    "srcset": names("img source"),
    "sizes": names("img source"),
    "required": names("input select textarea"),
    "target": names("a area base form"),
}

INPUTS = {
    "checkbox": "html-input-checkbox",
    "hidden": "html-input-hidden",
    "radio": "html-input-radio",
    "reset": "html-input-reset",
    "submit": "html-input-submit",
    "text": "html-input-text",
}
#: Of an input that has none.
INPUT = "text"
BUTTONS = {"reset": "html-button-reset", "submit": "html-button-submit"}
#: A button that does not say which is one to submit.
BUTTON, OTHER_BUTTON = "submit", "button"

ANCHORS = "html-anchor-links"
MAILTO = "html-mailto-links"
IMAGE_MAPS = "html-image-maps"
COLOR_SCHEME = "html-meta-color-scheme"
DOCTYPE = "html-doctype"
COMMENTS = "html-comments"
AMP = "amp"

BASE64 = "image-base64"
#: By the end of an address's path, and by the name of its media type.
IMAGES = {
    "apng": "image-apng",
    "avif": "image-avif",
    "bmp": "image-bmp",
    "gif": "image-gif",
    "hdr": "image-hdr",
    "heic": "image-heif",
    "heif": "image-heif",
    "ico": "image-ico",
    "jpeg": "image-jpg",
    "jpg": "image-jpg",
    "mp4": "image-mp4",
    "png": "image-png",
    "svg": "image-svg",
    "svg+xml": "image-svg",
    "tif": "image-tiff",
    "tiff": "image-tiff",
    "vnd.microsoft.icon": "image-ico",
    "webp": "image-webp",
    "x-icon": "image-ico",
    "x-ms-bmp": "image-bmp",
}

#: BIMI is a record in the DNS, and no mail shows whether there is one.
NOT_IN_A_DOCUMENT = frozenset({"bimi"})

_OF_THEIR_OWN = frozenset(
    {ANCHORS, MAILTO, IMAGE_MAPS, COLOR_SCHEME, DOCTYPE, COMMENTS, AMP, BASE64}
    | set(INPUTS.values())
    | set(BUTTONS.values())
    | set(IMAGES.values())
)


def is_read(slug: str) -> bool:
    """Whether something here finds that feature."""
    return slug in ELEMENTS or slug in ATTRIBUTES or slug in _OF_THEIR_OWN
