"""Words for body parts and views in the languages and spellings of real headers."""

from __future__ import annotations

import re

import pytest

from hilum.film.bodywords import folded, is_lateral, names_chest, other_part

CHEST = """
CHEST|Chest PA|CHESTPA|THORAX|Thorax a.p.|RX TORAX|TORAX AP|Tórax|TÓRAX PA Y LAT|T?RAX|T�RAX|T_RAX
T RAX|TRAX|TÃ³rax|TÃ“RAX|T├ôRAX|PECHO|Pecho AP|PEITO|PETTO|TORACE|Torace in due proiezioni
CAGE THORACIQUE|POUMONS|Poumon|POITRINE|BRUST|Brustkorb|LUNGE|Lunge p.a.|RIPPEN|BORSTKAS|X-THORAX
LONGEN|KLATKA PIERSIOWA|RTG klatki piersiowej|RTG KLP|PŁUCA|P?UCA|PLUCA|HRUDNÍK|HRUDN?K|PLÍCE
AKCİĞER|GÖĞÜS|GÃ–ÄžÃœS|G???S|Toraks|TORAKS PA|BRÖSTKORG|Hjärta lungor|Lungor|BRYSTKASSE|RINTAKEHÄ
Keuhkot|MELLKAS|Tüdő|CUTIE TORACICA|PLĂMÂNI|Грудная клетка|ОРГАНЫ ГРУДНОЙ КЛЕТКИ|ОГК|Лёгкие
GRUDNAYA KLETKA|Organy grudnoj kletki|LEGKIE|胸部|胸部正位|胸片|肺|흉부|가슴|TORSO|THX|CXR
CXR PORTABLE|HEART|RIBS|CHEST_ABDOMEN|MEDIASTINUM|PULMONES|Hemithorax|CHEST, RIBS|ΘΩΡΑΚΑΣ|الصدر
"""

OTHER = {
    "HAND": "HAND|Mano|MAIN|HÅND|Ręka|кисть|LEFT HAND|MÃO|手部",
    "KNEE": "KNEE|RODILLA|JOELHO|Genou|GINOCCHIO|Knie|KOLANO|KOLENO|DIZ|R KNEE"
    "|KNÄ|KNÆ|POLVI|TÉRD|GENUNCHI|КОЛЕНО|膝关节|무릎",
    "FOOT": "FOOT|PIE|PIED|Piede|FUSS|Fuß|VOET|STOPA|стопа",
    "PELVIS": "PELVIS|Becken|BASSIN|Bacino|MIEDNICA|ТАЗ|骨盆",
    "ABDOMEN": "ABDOMEN|Bauch|ADDOME|BRZUCH|KARIN|живот|腹部",
    "SKULL": "SKULL|Cráneo|SCHÄDEL|CZASZKA|череп",
    "SPINE": "SPINE|THORACIC SPINE|T SPINE|Dorsal spine|BRUSTWIRBELSÄULE|BWS|COLUMNA TORÁCICA"
    "|COLUNA TORACICA|RACHIS DORSAL|COLONNA DORSALE|Kręgosłup piersiowy|HRUDNÍ PÁTEŘ"
    "|TORAKAL VERTEBRA|грудной отдел позвоночника|胸椎|흉추|THORACOLUMBAR",
    "LUMBAR": "LUMBAR|LWS|腰椎",
    "SHOULDER": "SHOULDER|HOMBRO|Épaule|SPALLA|SCHULTER|плечо",
    "HIP": "HIP|CADERA|Hüfte|HANCHE",
    "HEAD": "HEAD|Kopf|TÊTE",
    "STERNUM": "STERNUM|Esternón",
}
UNKNOWN = [
    "",
    "XYZ",
    "SECRET^PATIENT",
    "BP",
    "PORTABLE",
    "UNKNOWN",
    "1234",
    "ROENTGEN",
    "?????",
    "G - S",
    "BEHANDLUNG",
    "ÅÄÖ",
]


def words(text: str) -> list[str]:
    return [word for word in re.split(r"[|\n]", text) if word]


@pytest.mark.parametrize("word", words(CHEST))
def test_words_for_the_chest(word: str) -> None:
    assert names_chest([word])


@pytest.mark.parametrize(("part", "word"), [(part, word) for part, text in OTHER.items() for word in words(text)])
def test_words_for_other_parts(part: str, word: str) -> None:
    assert not names_chest([word])
    assert other_part([word], free_text=False) == part


@pytest.mark.parametrize("word", UNKNOWN)
def test_words_that_say_nothing(word: str) -> None:
    assert not names_chest([word])
    assert other_part([word], free_text=False) is None


@pytest.mark.parametrize(
    "text",
    [
        *(
            "head injury",
            "ANCA vasculitis",
            "Main campus",
            "Dr Crane",
            "Ospedale Sacro Cuore",
            "Метастазы?",
            "Гемостаз",
        ),
        *("Rx au pied du lit", "portable, hand-held"),
    ],
)
def test_free_text_names_no_part_by_the_way(text: str) -> None:
    assert other_part([text], free_text=True) is None


def test_a_russian_word_is_known_by_its_beginning() -> None:
    assert other_part(["Кости таза"], free_text=True) == "PELVIS"
    assert other_part(["тазобедренный сустав"], free_text=True) == "HIP"
    assert other_part(["стопы"], free_text=True) == "FOOT"


def test_one_spelling_of_several_is_enough() -> None:
    assert names_chest(["ÐÐ°Ñ", "Грудная клетка"])
    assert not names_chest([])
    assert other_part([], free_text=True) is None


@pytest.mark.parametrize(
    "text",
    ["LAT", "Chest LAT", "Thorax lat.", "CHEST LATERAL", "Torax perfil", "Thorax seitlich", "胸部侧位", "W034 L LAT"],
)
def test_lateral_views(text: str) -> None:
    assert is_lateral([text])


@pytest.mark.parametrize(
    "text", ["PA", "CHEST PA/LAT", "PA and lateral", "CHEST 2 VIEWS LAT", "LATERALITY", "", "PLATE", "正侧位"]
)
def test_views_that_are_not_lateral_alone(text: str) -> None:
    assert not is_lateral([text])


def test_folding() -> None:
    assert folded(" Łódź_Øre  Straße, É.2 ") == "LODZ ORE STRASSE E.2"
    assert folded("흉부") == "흉부"
    assert folded("Лёгкие") == "ЛЕГКИЕ"
