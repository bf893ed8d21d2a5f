"""Words for body parts and views in DICOM headers, in many languages, abbreviated and damaged.

Words are compared in capitals without accents and punctuation. Words in which an export has replaced an accented letter
by a question mark or by other characters are found too (``T?RAX``, ``TÃ³RAX``). Only words that clearly name another
body part count as one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

__all__ = ["folded", "is_lateral", "names_chest", "other_part"]

_WITHOUT_DECOMPOSITION = str.maketrans({"Ł": "L", "Ø": "O", "Æ": "AE", "Œ": "OE", "Đ": "D", "Ð": "D", "Þ": "TH"})

_CHEST_STEMS = (  # anywhere in a text
    *("CHEST", "THORAX", "THORAK", "THORAC", "TORAX", "TORAC", "TORAKS", "TORAKAL", "MEDIASTIN", "PULMO", "POUMON"),
    *("POLMON", "BRUSTKORB", "BRUSTRAUM", "POITRINE", "GRUDNAY", "GRUDNOI", "GRUDNOY", "GRUDNOJ", "HRUDNIK"),
    *("BORSTKAS", "BROSTKORG", "BRYSTKASS", "RINTAKEHA", "KEUHKO", "MELLKAS", "AKCIGER", "GOGUS", "RINDKERE", "KRUTIN"),
    *("胸部", "胸片", "胸腔", "胸廓", "胸郭", "胸像", "胸正", "胸后前", "胸後前", "肺", "흉부", "흉곽", "가슴"),
    *("ГРУДН", "ГРУДЬ", "ГРУДЕИ", "ЛЕГКИ", "ОГК", "ТОРАКС", "ΘΩΡΑΚ", "ΠΝΕΥΜΟΝ", "صدر", "חזה", "ทรวงอก", "ปอด"),
)
_CHEST_BEGINNINGS = ("LUNG", "PLUC", "LEGKI", "LYOGKI", "LJOGKI", "KLATK", "PLAMAN", "RIPPE", "ZEBR", "ZEBER")
_CHEST_WORDS = (  # as a word of its own
    *("THX", "CXR", "CHX", "TORSO", "TRAX", "TORX", "TOR", "THOR", "RIB", "RIBS", "T RAX", "HEART", "HERZ", "COEUR"),
    *("CORAZON", "CORACAO", "CUORE", "HART", "HJARTA", "HJERTE", "SERCE", "SRDCE", "KALP", "PECHO", "PEITO", "PETTO"),
    *("PEITORAL", "BRUST", "BORST", "BROST", "BRYST", "RINTA", "RINNA", "HRUD", "HRUDI", "KLP", "PIEPT", "TUDO"),
    *("TUDOK", "LONGEN", "NGUC", "PHOI", "DADA", "COSTILLA", "COSTILLAS", "COSTELA", "COSTELAS", "COSTE", "COTES"),
    *("PARRILLA", "RIBBEN", "REVBEN", "RIBBEIN", "GRUDI", "PRSA", "PRSNI", "PLIC", "PLICE", "PLICNI", "胸", "폐"),
)
_ACCENTED = (  # also found if the accented letter is damaged
    *("TÓRAX", "CAJA TORÁCICA", "CAIXA TORÁCICA", "GÖĞÜS", "AKCİĞER", "PŁUCA", "PLÍCE", "HRUDNÍK", "RINTAKEHÄ"),
    *("BRÖST", "HJÄRTA", "CORAÇÃO", "CORAZÓN", "PLĂMÂN", "ŻEBRA"),
)
_SPINE = r"(?:SPINE|SPINAL|VERTEBR\w*|WIRBEL\w*|WERVEL\w*|RYGG\w*|OMURGA\w*|PATERE?|GERINC\w*|POZVONO\w*|SELKA\w*)"
_SPINE_BEFORE = r"(?:SPINE|COLUMNA|COLUNA|COLONNA|COLOANA|RACHIS|KREGOSLUP\w*|OMURGA\w*|VERTEBR\w*|PATERE?)"
_OF_CHEST = r"(?:D?THORA\w*|D?TORA\w*|DORS\w*|PIERSIOW\w*|HRUDN\w*|GRUDN\w*|BRUST\w*|BORST\w*|BROST\w*|BRYST\w*)"
_SPINE_OF_CHEST = re.compile(
    rf"\b{_OF_CHEST} (?:OTDEL\w* )?{_SPINE}|\b{_SPINE_BEFORE} (?:VERTEBRAL\w* )?(?:ODC\w* )?{_OF_CHEST}"
    r"|\bBRUSTWIRBEL\w*|\bBORSTWERVEL\w*|\bTHORA\w*OLUMB\w*|\bTORA\w*OLUMB\w*|\bDORSO ?LUMB\w*|\bTH? ?SPINE\b|\bBWS\b"
    r"|胸椎|흉추|ГРУДН\w* (?:ОТДЕЛ\w* )?ПОЗВОН\w*|ПОЗВОНОЧ\w* ГРУДН\w*"
)

_OTHER_PARTS = {  # {name in messages: words that clearly name it, also in free text}
    "ABDOMEN": "ABDOMEN ABDOME ZHIVOT ADDOME BAUCH BRZUCH BRZUSZNA BRICHO BRICHA VATSA БРЮШНАЯ БРЮШНОИ ЖИВОТ 腹部 복부",
    "ANKLE": "ANKLE ANKLES TOBILLO TORNOZELO CAVIGLIA SPRUNGGELENK ENKEL KOTNIK NILKKA AYAKBILEGI"
    " ГОЛЕНОСТОП 踝关节 발목",
    "CALCANEUS": "CALCANEUS CALCANEO CALCANEUM KALKANEUS",
    "COCCYX": "COCCYX COXIS STEISSBEIN",
    "CSPINE": "CSPINE 颈椎 頚椎 경추",
    "ELBOW": "ELBOW ELBOWS CODO COTOVELO COUDE GOMITO ELLBOGEN ELLENBOGEN LOKIEC LOKET ALBUE ARMBAGE DIRSEK"
    " ЛОКТЕВОИ 肘关节",
    "EXTREMITY": "EXTREMITY EXTREMITIES EXTREMIDAD EXTREMITE EXTREMITAET EXTREMITAT KONCZYNA KONCETINA",
    "FEMUR": "FEMUR FEMURS MUSLO COXA CUISSE OBERSCHENKEL UDOWA BEDRO REISI COMBCSONT БЕДРО БЕДРЕННАЯ 股骨 大腿 대퇴골",
    "FIBULA": "FIBULA FIBULAS PERONE WADENBEIN",
    "FINGER": "FINGER FINGERS DEDO DEDOS DOIGT DOIGTS PALEC SORMI PARMAK ПАЛЕЦ 手指 손가락",
    "FOOT": "FOOT FEET PIED PIEDS PIEDE VOET STOPA CHODIDLO JALKATERA LABFEJ AYAK СТОПА СТОПЫ 足部 足関節",
    "FOREARM": "FOREARM FOREARMS ANTEBRAZO ANTEBRACO AVANT-BRAS AVAMBRACCIO UNTERARM ONDERARM PRZEDRAMIE"
    " ПРЕДПЛЕЧЬЕ 前臂",
    "HAND": "HAND HANDS MANO MANOS RUKA REKA DLON КИСТЬ КИСТИ 手部 手正位",
    "HIP": "HIP HIPS CADERA QUADRIL HANCHE HUFTE HUEFTE BIODRO KYCEL LONKKA CSIPO ТАЗОБЕДРЕННЫИ 髋关节 股関節 고관절",
    "HUMERUS": "HUMERUS HUMERO OBERARM HUMERAL ПЛЕЧЕВАЯ 肱骨 상완골",
    "KNEE": "KNEE KNEES RODILLA RODILLAS JOELHO GENOU GENOUX GINOCCHIO KNIE KNIEGELENK KOLANO KOLENO KNAE KNE POLVI"
    " GENUNCHI КОЛЕНО КОЛЕННЫИ 膝关节 膝関節 膝 무릎",
    "LEG": "LEG LEGS PIERNA PERNA JAMBE GAMBA UNTERSCHENKEL GOLEN PODUDZIE BEREC SAARI ГОЛЕНЬ 小腿 下肢 下腿",
    "LSPINE": "LSPINE",
    "LUMBAR": "LUMBAR LUMBALE LOMBAIRE LOMBAR LOMBARE LENDENWIRBEL LENDENWIRBELSAULE LWS LUMBOSACRAL"
    " ПОЯСНИЧНЫИ 腰椎 요추",
    "MANDIBLE": "MANDIBLE MANDIBULA MANDIBULE MANDIBOLA UNTERKIEFER ZUCHWA",
    "PATELLA": "PATELLA PATELLAS ROTULA ROTULE KNIESCHEIBE RZEPKA",
    "PELVIS": "PELVIS BASSIN BACINO PELVE BECKEN BEKKEN MIEDNICA PANEV BACKEN LANTIO MEDENCE PELVIEN ТАЗ 骨盆 골반",
    "SACRUM": "SACRUM KREUZBEIN",
    "SHOULDER": "SHOULDER SHOULDERS HOMBRO OMBRO EPAULE SPALLA SCHULTER SCHOUDER RAMENO SKULDER OLKAPAA OMUZ"
    " ПЛЕЧО ПЛЕЧЕВОИ 肩关节 肩関節 肩 어깨",
    "SKULL": "SKULL CRANEO CRANIO SCHADEL SCHAEDEL SCHEDEL CZASZKA LEBKA SKALLE KALLO KOPONYA KAFATASI"
    " ЧЕРЕП 颅骨 頭部 두개골",
    "SPINE": "SPINE SPINES COLUMNA COLUNA COLONNA COLOANA RACHIS WIRBELSAULE WIRBELSAEULE WERVELKOLOM"
    " KREGOSLUP KREGOSLUPA OMURGA ПОЗВОНОЧНИК 脊柱 척추 CERVICALE",
    "THUMB": "THUMB THUMBS PULGAR POUCE POLLICE DAUMEN KCIUK",
    "TIBIA": "TIBIA TIBIAS SCHIENBEIN PISZCZEL 胫骨 경골",
    "TOE": "TOE TOES ORTEIL ZEHE ZEHEN",
    "TSPINE": "TSPINE",
    "ULNA": "ULNA ULNAS CUBITO",
    "WRIST": "WRIST WRISTS MUNECA PUNHO POIGNET POLSO HANDGELENK POLS NADGARSTEK ZAPESTI HANDLED RANNE CSUKLO"
    " ЛУЧЕЗАПЯСТНЫИ 腕关节 手关节 손목",
}
_OTHER_PARTS_ALONE = {  # words with other meanings, or as in "head injury": not used in free text
    "ABDOMEN": "BUK HAS KARIN VENTRE",
    "ARM": "ARM ARMS BRAZO BRACO BRAS BRACCIO",
    "BLADDER": "BLADDER VEJIGA VESSIE BLASE",
    "BRAIN": "BRAIN CEREBRO CERVEAU GEHIRN HERSENEN MOZG ГОЛОВНОИ",
    "BREAST": "BREAST BREASTS MAMA MAMMA MAMOGRAFIA SEIN SEINS MAMMELLA 乳腺 유방",
    "CERVICAL": "CERVICAL CERVICALES HWS CERVIX",
    "CLAVICLE": "CLAVICLE CLAVICLES CLAVICULA CLAVICULE CLAVICOLA SCHLUSSELBEIN OBOJCZYK КЛЮЧИЦА 锁骨 쇄골",
    "FACE": "FACE CARA VISAGE GESICHT",
    "FOOT": "PIE PIES PE FUSS FOD FOT NOHA",
    "HAND": "MAIN MAINS MAO KASI KEZ MANA",
    "HEAD": "HEAD CABEZA CABECA TETE TESTA KOPF HOOFD GLOWA HLAVA HODE HOVED HUVUD PAA FEJ GOLOVA ГОЛОВА 头部 머리",
    "HEEL": "HEEL HEELS TALON FERSE PIETA",
    "HUMERUS": "UPPERARM",
    "JAW": "JAW KIEFER",
    "HIP": "ANCA KALCA HOFT SOLD",
    "KIDNEY": "KIDNEY KIDNEYS RINON REIN NIERE NERKA",
    "KNEE": "TERD DIZ KNA KOLENNYI KOLENNYJ",
    "LEG": "BEIN BEEN PIERNAS NOGA PICIOR",
    "MAXILLA": "MAXILLA MAXILAR MAXILLAIRE",
    "NECK": "NECK CUELLO COU COLLO HALS NEK SZYJA KRK ШЕЯ 颈部",
    "RADIUS": "RADIUS RADIO",
    "SACRUM": "SACRO",
    "SCAPULA": "SCAPULA OMOPLATO OMOPLATE SCHULTERBLATT LOPATKA",
    "SHOULDER": "BARK VALL UMAR PLECHO",
    "SINUS": "SINUS SINUSES NNH SENOS",
    "SKULL": "CRANE CHEREP",
    "STERNUM": "STERNUM ESTERNON BRUSTBEIN MOSTEK",
    "TEETH": "TEETH TOOTH DIENTES DENTES DENTS DENTI ZAHN ZAHNE TANDEN ZEBY ЗУБ ЗУБЫ 牙齿 치아",
}
_NO_PART = re.compile(r"\bPIED DU LIT\b|\bHAND HELD\b")  # a film taken at the bedside
_LATERAL = (
    "LAT LATERAL LATERALE LATERALES LATERALIS LATERAAL LATERALT LLAT RLAT PROFIL PERFIL SEITLICH BOCZNE"
    " BOCZNY BOCZNA BOCNI БОКОВАЯ БОКОВОИ 侧位 側面 側位 측면"
)
_FRONTAL = (
    "PA AP FRONTAL FRONTALE FRONT FACE POSTEROANTERIOR ANTEROPOSTERIOR PAAP APPA PALAT DV VD BOTH TWO 2V 2VIEW 2VIEWS"
    " VIEWS 正位 正侧位 正側位 正面 ПРЯМАЯ"
)


def folded(text: str) -> str:
    """Return a text in capitals, without accents and punctuation, words separated by single spaces.

    Example:
        >>> folded("Radiografía_de  tórax (PA)")
        'RADIOGRAFIA DE TORAX PA'
    """
    plain = unicodedata.normalize("NFKD", text.upper().translate(_WITHOUT_DECOMPOSITION))
    plain = unicodedata.normalize("NFC", "".join(letter for letter in plain if not unicodedata.combining(letter)))
    return " ".join(re.sub(r"[^\w.]+|_", " ", plain).split())


def names_chest(spellings: Iterable[str]) -> bool:
    """Return whether a text, in any of its readings, names the chest or an organ in it."""
    return any(
        _CHEST.search(_SPINE_OF_CHEST.sub(" ", folded(text))) or _DAMAGED.search(text.upper()) for text in spellings
    )


def other_part(spellings: Iterable[str], *, free_text: bool) -> str | None:
    """Return the English name of another body part that a text clearly names, else None.

    Args:
        spellings: The possible readings of the text.
        free_text: Whether the text is free text, in which fewer words are reliable.
    """
    for text in spellings:
        plain = _NO_PART.sub(" ", folded(text))
        for pattern in (_OTHER,) if free_text else (_OTHER, _OTHER_ALONE):
            if found := pattern.search(plain):
                return _NAMES[found[0]]
        if _SPINE_OF_CHEST.search(plain):
            return "SPINE"
    return None


def is_lateral(spellings: Iterable[str]) -> bool:
    """Return whether a text names a lateral view and no frontal view."""
    return any(_LATERAL_WORD.search(folded(text)) and not _FRONTAL_WORD.search(folded(text)) for text in spellings)


def _words(words: Sequence[str]) -> re.Pattern[str]:
    """Return a pattern of whole Latin words, beginnings of Cyrillic words, and words of other scripts anywhere."""
    latin = "|".join(word for word in words if word.isascii())
    other = "|".join(rf"\b{word}" if "\u0400" <= word[0] <= "\u04ff" else word for word in words if not word.isascii())
    return re.compile(rf"\b(?:{latin})\b" + (f"|{other}" if other else ""))


def _damaged(word: str) -> str:
    return "".join(
        re.escape(letter) if letter.isascii() else rf"(?:{folded(letter) or letter}|[^A-Z0-9 ]{{1,4}})"
        for letter in word
    )


_CHEST = re.compile(
    "|".join(map(folded, _CHEST_STEMS))
    + rf"|\b(?:{'|'.join(_CHEST_BEGINNINGS)})|\b(?:{'|'.join(word for word in _CHEST_WORDS)})(?:\b|(?<=[胸폐]))"
)
_DAMAGED = re.compile(rf"(?<![A-Z])(?:{'|'.join(map(_damaged, _ACCENTED))})")
_NAMES = {
    word: part
    for words in (_OTHER_PARTS_ALONE, _OTHER_PARTS)
    for part, names in words.items()
    for word in (folded(name) for name in names.split())
}
_OTHER, _OTHER_ALONE = (
    _words([folded(word) for names in words.values() for word in names.split()])
    for words in (_OTHER_PARTS, _OTHER_PARTS_ALONE)
)
_LATERAL_WORD, _FRONTAL_WORD = (_words([folded(word) for word in words.split()]) for words in (_LATERAL, _FRONTAL))
