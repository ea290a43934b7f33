"""Language codes: ISO 639-1 (en) or 639-3 (eng), perhaps with a script or region (zh-Hant); their English names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any

from translate.config.files import has_both_sides, unpacked_name

CODE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
# The two-letter code if there is one, the three-letter codes, and the name.
TABLE = """
af afr Afrikaans; am amh Amharic; ar ara Arabic; as asm Assamese; az aze Azerbaijani; ba bak Bashkir; be bel Belarusian;
bg bul Bulgarian; bn ben Bengali; bo bod tib Tibetan; br bre Breton; bs bos Bosnian; ca cat Catalan; ce che Chechen;
co cos Corsican; cs ces cze Czech; cv chv Chuvash; cy cym wel Welsh; da dan Danish; de deu ger German; dv div Dhivehi;
dz dzo Dzongkha; ee ewe Ewe; el ell gre Greek; en eng English; eo epo Esperanto; es spa Spanish; et est Estonian;
eu eus baq Basque; fa fas per pes Persian; ff ful Fulah; fi fin Finnish; fj fij Fijian; fo fao Faroese;
fr fra fre French; fy fry Western Frisian; ga gle Irish; gd gla Scottish Gaelic; gl glg Galician; gn grn Guarani;
gu guj Gujarati; ha hau Hausa; he heb Hebrew; hi hin Hindi; hr hrv Croatian; ht hat Haitian Creole; hu hun Hungarian;
hy hye arm Armenian; ia ina Interlingua; id ind Indonesian; ig ibo Igbo; is isl ice Icelandic; it ita Italian;
iu iku Inuktitut; ja jpn Japanese; jv jav Javanese; ka kat geo Georgian; ki kik Kikuyu; kk kaz Kazakh;
kl kal Greenlandic; km khm Khmer; kn kan Kannada; ko kor Korean; ku kur Kurdish; kw cor Cornish; ky kir Kyrgyz;
la lat Latin; lb ltz Luxembourgish; lg lug Ganda; li lim Limburgish; ln lin Lingala; lo lao Lao; lt lit Lithuanian;
lv lav Latvian; mg mlg Malagasy; mi mri mao Maori; mk mkd mac Macedonian; ml mal Malayalam; mn mon Mongolian;
mr mar Marathi; ms msa may Malay; mt mlt Maltese; my mya bur Burmese; nb nob Norwegian Bokmål; ne nep Nepali;
nl nld dut Dutch; nn nno Norwegian Nynorsk; no nor Norwegian; nv nav Navajo; ny nya Nyanja; oc oci Occitan;
om orm Oromo; or ori Odia; os oss Ossetic; pa pan Punjabi; pl pol Polish; ps pus Pashto; pt por Portuguese;
qu que Quechua; rm roh Romansh; rn run Rundi; ro ron rum Romanian; ru rus Russian; rw kin Kinyarwanda; sa san Sanskrit;
sc srd Sardinian; sd snd Sindhi; se sme Northern Sami; sg sag Sango; si sin Sinhala; sk slk slo Slovak;
sl slv Slovenian; sm smo Samoan; sn sna Shona; so som Somali; sq sqi alb Albanian; sr srp Serbian; ss ssw Swati;
st sot Southern Sotho; su sun Sundanese; sv swe Swedish; sw swa Swahili; ta tam Tamil; te tel Telugu; tg tgk Tajik;
th tha Thai; ti tir Tigrinya; tk tuk Turkmen; tl tgl Tagalog; tn tsn Tswana; to ton Tongan; tr tur Turkish;
ts tso Tsonga; tt tat Tatar; tw twi Twi; ug uig Uyghur; uk ukr Ukrainian; ur urd Urdu; uz uzb Uzbek; ve ven Venda;
vi vie Vietnamese; wa wln Walloon; wo wol Wolof; xh xho Xhosa; yi yid Yiddish; yo yor Yoruba; zh zho chi cmn Chinese;
zu zul Zulu; ast Asturian; ceb Cebuano; chr Cherokee; ckb Central Kurdish; crh Crimean Tatar; dsb Lower Sorbian;
fil Filipino; fur Friulian; grc Ancient Greek; gsw Swiss German; haw Hawaiian; hmn Hmong; hsb Upper Sorbian;
ilo Iloko; kab Kabyle; lus Mizo; nds Low German; nso Northern Sotho; pap Papiamento; quc K'iche'; scn Sicilian;
tpi Tok Pisin; tlh Klingon; tzm Tamazight; vec Venetian; war Waray; yue Cantonese
"""


def _names() -> Iterator[tuple[str, str]]:
    for entry in TABLE.replace("\n", " ").split(";"):
        words = entry.split()
        codes = [word for word in words if word.islower()]
        yield from ((code, " ".join(words[len(codes) :])) for code in codes)


NAMES = dict(_names())


def is_language(code: str) -> bool:
    """Return whether the code has the form of a language code; any language is allowed, known or not."""
    return CODE.fullmatch(code) is not None


def language_of_file(path: str) -> str:
    """Return the language that a file's ending names, such as en for `train.en` or `train.en.gz`, or ""."""
    _, dot, ending = unpacked_name(PurePath(path)).rpartition(".")
    return ending if dot and _is_known(ending) else ""


def with_languages_of_files(settings: dict[str, Any]) -> dict[str, Any]:
    """Return [data] settings in which files name each language that is not given.

    The ending of the first training file names it, or the column if the file holds both sides.
    """
    for side in "src", "tgt":
        files, code = settings.get(f"train_{side}"), settings.get(f"{side}_lang", "")
        path = files[0] if isinstance(files, list | tuple) and files else files
        if isinstance(path, str) and code == "":
            column = settings.get(f"{side}_column")
            found = column if has_both_sides(path) and _is_known(column) else language_of_file(path)
            settings = {**settings, f"{side}_lang": found} if found else settings
    return settings


def _is_known(code: object) -> bool:
    return isinstance(code, str) and is_language(code) and code.partition("-")[0] in NAMES


def language_name(code: str) -> str:
    """Return the English name of a language, with its script or region if the code has one."""
    base, dash, variant = code.partition("-")
    name = NAMES.get(base, code)
    return f"{name} ({variant})" if dash and base in NAMES else name
