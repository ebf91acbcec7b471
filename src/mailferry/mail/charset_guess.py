"""A guess at the charset of text that nobody labelled, by which characters its languages use most.

Only charsets that real mail is sent in without a name, and only where the text speaks clearly; the caller has tried
UTF-8 and the escapes of ISO-2022 before.
"""

import re
from collections.abc import Callable

_LEAST = 4  # characters; below that any answer would be chance
_KANA = re.compile(r"[\u3041-\u3096\u30a1-\u30fc]")
_HANGUL = re.compile(r"[\uac00-\ud7a3]")
_HAN = re.compile(r"[\u4e00-\u9fff]")
# The commonest characters of Chinese prose, in both scripts: a text of any length has some of them.
_COMMON_HAN = re.compile("[的一是不了在人有我他这這中大来來上个個国國们們为為子和你地出会會时時要说說就生可以到]")
# Lower case as words are made of it; in the wrong Cyrillic charset the cases or the letters are mixed up.
_CYRILLIC_WORD = re.compile(r"\b[\u0410-\u042f\u0401\u0404\u0406\u0407]?[\u0430-\u045f\u0491]{2,}\b")
_COMMON_CYRILLIC = re.compile("[оеаинтсрвл]")


def guess(octets: bytes) -> str | None:
    """Python's name of the charset, None where the text does not say."""
    best, score = None, 0.5
    for name, judge in _JUDGES.items():
        try:
            text = octets.decode(name)
        except UnicodeDecodeError as error:
            # The piece that is looked at may end inside of a character.
            if error.start < len(octets) - 4:
                continue
            text = octets[: error.start].decode(name)
        odd = [character for character in text if character > "\x7f"]
        if len(odd) >= _LEAST and (found := judge(text, len(odd))) > score:
            best, score = name, found
    return best


def _japanese(text: str, odd: int) -> float:
    kana, han = len(_KANA.findall(text)), len(_HAN.findall(text))
    return (kana + han) / odd if kana > 0.2 * odd else 0.0


def _korean(text: str, odd: int) -> float:
    return len(_HANGUL.findall(text)) / odd


def _chinese(text: str, odd: int) -> float:
    return len(_HAN.findall(text)) / odd * 0.9 if len(_COMMON_HAN.findall(text)) > 0.05 * odd else 0.0


def _cyrillic(text: str, odd: int) -> float:
    words = "".join(_CYRILLIC_WORD.findall(text))
    common = len(_COMMON_CYRILLIC.findall(words))
    return len(words) / odd if common > 0.4 * len(words) else 0.0


_JUDGES: dict[str, Callable[[str, int], float]] = {
    "shift_jis": _japanese,
    "euc_jp": _japanese,
    "cp949": _korean,
    "gb18030": _chinese,
    "big5": _chinese,
    "koi8_u": _cyrillic,
    "cp1251": _cyrillic,
    "iso8859_5": _cyrillic,
    "cp866": _cyrillic,
}
