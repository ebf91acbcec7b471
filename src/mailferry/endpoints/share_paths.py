"""Where a share link leads (endpoints/shared/), for every way in that makes them."""

from mailferry.resources.share_links import ShareLink

ROOT = "/share/"


def url(base: str, link: ShareLink) -> str:
    """``base``: how people reach our pages, such as https://mail.example.com."""
    return f"{base.rstrip('/')}{ROOT}{link.secret}"
