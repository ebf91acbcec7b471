"""Which words of a style sheet are which of caniemail's features: by slug, what stands for it.

A slug whose name is a property's needs no entry (``css-float``); see `by_slug`.
"""

from collections.abc import Iterable
from itertools import product

#: A name that ends in ``*`` stands for all that begin with it.
PROPERTIES = {
    "css-animation": "animation animation-*",
    "css-block-inline-size": "block-size inline-size",
    "css-border": """border border-width border-style border-color
        border-top border-top-width border-top-style border-top-color
        border-right border-right-width border-right-style border-right-color
        border-bottom border-bottom-width border-bottom-style border-bottom-color
        border-left border-left-width border-left-style border-left-color""",
    "css-border-image": "border-image border-image-*",
    "css-border-inline-block": "border-inline border-block",
    "css-border-inline-block-individual": """border-inline-color border-block-color border-inline-style
        border-block-style border-inline-width border-block-width
        border-inline-start border-inline-end border-block-start border-block-end""",
    "css-border-inline-block-longhand": """border-inline-start-color border-inline-start-style border-inline-start-width
        border-inline-end-color border-inline-end-style border-inline-end-width
        border-block-start-color border-block-start-style border-block-start-width
        border-block-end-color border-block-end-style border-block-end-width""",
    "css-border-radius": """border-radius border-top-left-radius border-top-right-radius
        border-bottom-left-radius border-bottom-right-radius""",
    "css-border-radius-logical": """border-start-start-radius border-start-end-radius
        border-end-start-radius border-end-end-radius""",
    "css-column-layout-properties": """columns column-count column-fill column-gap column-rule column-rule-*
        column-span column-width""",
    "css-display": "display",
    "css-gap": "gap column-gap row-gap grid-gap grid-column-gap grid-row-gap",
    "css-grid-template": "grid-template grid-template-areas grid-template-columns grid-template-rows",
    "css-inset": "inset inset-*",
    "css-left-right-top-bottom": "left right top bottom",
    "css-margin": "margin margin-top margin-right margin-bottom margin-left",
    "css-margin-block-start-end": "margin-block-start margin-block-end",
    "css-margin-inline-block": "margin-inline margin-block",
    "css-margin-inline-start-end": "margin-inline-start margin-inline-end",
    "css-mask-image": "mask-image -webkit-mask-image",
    "css-outline": "outline outline-color outline-style outline-width",
    "css-overflow": "overflow overflow-x overflow-y overflow-block overflow-inline",
    "css-padding": "padding padding-top padding-right padding-bottom padding-left",
    "css-padding-block-start-end": "padding-block-start padding-block-end",
    "css-padding-inline-block": "padding-inline padding-block",
    "css-padding-inline-start-end": "padding-inline-start padding-inline-end",
    "css-scroll-snap": "scroll-snap-*",
    "css-text-emphasis": "text-emphasis text-emphasis-color text-emphasis-style",
    "css-text-wrap": "text-wrap text-wrap-mode text-wrap-style",
    "css-transition": "transition transition-*",
}

#: (properties, words of which one must be in the value)
VALUES = {
    "css-display-flex": ("display", "flex inline-flex"),
    "css-display-grid": ("display", "grid inline-grid"),
    "css-display-none": ("display", "none"),
    "css-flex-direction": ("flex-direction flex-flow", "column column-reverse"),
    "css-flex-wrap": ("flex-wrap flex-flow", "wrap wrap-reverse"),
    "css-intrinsic-size": (
        """width height min-width min-height max-width max-height block-size inline-size min-block-size min-inline-size
        max-block-size max-inline-size flex-basis""",
        "fit-content min-content max-content",
    ),
    "css-sytem-ui": ("font font-family", "system-ui ui-serif ui-sans-serif ui-rounded ui-monospace"),  # their spelling
}

#: Words that mean the same in every property's value.
KEYWORDS = {"css-unit-initial": "initial"}

FUNCTIONS = {
    "css-conic-gradient": "conic-gradient repeating-conic-gradient",
    "css-function-clamp": "clamp",
    "css-function-light-dark": "light-dark",
    "css-function-max": "max",
    "css-function-min": "min",
    "css-intrinsic-size": "fit-content",
    "css-linear-gradient": "linear-gradient repeating-linear-gradient",
    "css-modern-color": "lch oklch lab oklab",
    "css-radial-gradient": "radial-gradient repeating-radial-gradient",
    "css-rgb": "rgb",
    "css-rgba": "rgba",
    "css-unit-calc": "calc",
    "css-variables": "var",
}

UNITS = {
    f"css-unit-{unit}": unit
    for unit in ("ch", "cm", "em", "ex", "in", "mm", "pc", "pt", "px", "rem", "vh", "vmax", "vmin", "vw")
}
PERCENT = "css-unit-percent"

AT_RULES = {
    "css-at-font-face": "font-face",
    "css-at-import": "import",
    "css-at-keyframes": "keyframes -webkit-keyframes",
    "css-at-media": "media",
    "css-at-supports": "supports",
}

MEDIA_FEATURES = {
    "css-at-media-device-pixel-ratio": """-webkit-device-pixel-ratio -webkit-min-device-pixel-ratio
        -webkit-max-device-pixel-ratio""",
    "css-at-media-hover": "hover any-hover",
    "css-at-media-orientation": "orientation",
    "css-at-media-prefers-color-scheme": "prefers-color-scheme",
    "css-at-media-prefers-reduced-motion": "prefers-reduced-motion",
}

PSEUDO_CLASSES = "css-pseudo-class-"
PSEUDO_ELEMENTS = "css-pseudo-element-"
#: They may have one colon, as in CSS 2.
OLD_PSEUDO_ELEMENTS = frozenset({"before", "after", "first-letter", "first-line"})

COMMENTS = "css-comments"
IMPORTANT = "css-important"
NESTING = "css-nesting"
VARIABLES = "css-variables"

ADJACENT = "css-selector-adjacent-sibling"
ATTRIBUTE = "css-selector-attribute"
CHAINING = "css-selector-chaining"
CHILD = "css-selector-child"
CLASS = "css-selector-class"
DESCENDANT = "css-selector-descendant"
SIBLING = "css-selector-general-sibling"
GROUPING = "css-selector-grouping"
ID = "css-selector-id"
TYPE = "css-selector-type"
UNIVERSAL = "css-selector-universal"

_OF_THEIR_OWN = frozenset(
    {PERCENT, COMMENTS, IMPORTANT, NESTING, VARIABLES, ADJACENT, ATTRIBUTE, CHAINING, CHILD, CLASS, DESCENDANT, SIBLING}
    | {GROUPING, ID, TYPE, UNIVERSAL}
)
#: Slugs that look like a property's and are something else: `inert` is an attribute.
NOT_PROPERTIES = frozenset({"css-inert-attribute"})


def is_read(slug: str, title: str) -> bool:
    """Whether something here finds that feature."""
    return (
        any(slug in table for table in (PROPERTIES, VALUES, KEYWORDS, FUNCTIONS, UNITS, AT_RULES, MEDIA_FEATURES))
        or slug in _OF_THEIR_OWN
        or slug.startswith((PSEUDO_CLASSES, PSEUDO_ELEMENTS))
        or own_property(slug, title) is not None
    )


def own_property(slug: str, title: str) -> str | None:
    """The property that a feature is named for and is all about: that of ``css-float``, or of one that came later."""
    name = slug.removeprefix("css-")
    plain = title.strip().removesuffix(" shorthand").removesuffix(" property").removesuffix(" CSS")
    if name == slug or slug in NOT_PROPERTIES or slug in PROPERTIES or plain != name:
        return None
    return name


def words(texts: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    """By each word, the slugs that have it."""
    found: dict[str, tuple[str, ...]] = {}
    for slug, text in texts:
        for word in text.split():
            found[word] = (*found.get(word, ()), slug)
    return found


def values() -> dict[tuple[str, str], tuple[str, ...]]:
    """By property and word of its value, the slugs of `VALUES`."""
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for slug, (names, allowed) in VALUES.items():
        for pair in product(names.split(), allowed.split()):
            found[pair] = (*found.get(pair, ()), slug)
    return found
