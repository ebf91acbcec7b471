"""The HTML of a mail as checks see it."""

from mailferry.sandbox.checks import page


def test_a_parameter_is_no_character_reference() -> None:
    (link,) = page.read('<a href="https://x.test/?a=1&copy=2&amp;b=3">&copy</a>').root.find("a")
    assert link.attributes["href"] == "https://x.test/?a=1&copy=2&b=3"
    assert link.text() == "©"


def test_a_number_that_python_would_not_read_stands_for_no_character() -> None:
    for number in ("9" * 5000, "0" * 5000):
        read = page.read(f'<title>&#{number};</title><p title="&#{number};">&#{number};</p>')
        (title,), (paragraph,) = read.root.find("title"), read.root.find("p")
        assert (title.text(), paragraph.attributes["title"], paragraph.text()) == ("\ufffd", "\ufffd", "\ufffd")
