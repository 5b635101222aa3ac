"""Texts of scripts without blanks, of syllables and of letters with marks are counted, filtered and compared."""

# ruff: noqa: RUF001 - punctuation of these scripts

from __future__ import annotations

import pytest

from judgement.fingerprints.tokens import numbers, question_tokens
from schemas.rows import Row
from schemas.sources import FilterRule
from schemas.words import count_words, script_of, split_words, split_words_and_marks
from services.data.collect.near_duplicates import NearDuplicates
from services.data.filters.filter import Dropped, judged
from services.data.filters.quality import QUALITY
from services.data.filters.registry import make_filters
from tasks.scorers.text import length

TEXTS = {
    "zh": "河流把水从山上带到大海，岸边的磨坊几百年来一直在磨谷物。人们沿着河岸建造了许多城镇，因为水可以用"
    "来灌溉田地，也可以用来运输货物。春天的时候，山上的雪融化了，河水上涨，淹没了低洼的土地。夏天的时"
    "候，孩子们在河里游泳，农民们则在田里收割小麦。",
    "ja": "川は山から海へ水を運び、岸辺の水車は何世紀にもわたって穀物をひいてきました。人々は川沿いに多くの"
    "町を作りました。水は畑を潤し、荷物を運ぶために使われたからです。春になると山の雪が解けて川の水が"
    "増え、低い土地は水に沈みました。",
    "th": "แม่น้ำพาน้ำจากภูเขาไปสู่ทะเล และโรงสีริมฝั่งได้บดเมล็ดธัญพืชมาหลายศตวรรษ ผู้คนสร้างเมืองมากมายตา"
    "มริมฝั่งแม่น้ำเพราะน้ำใช้รดไร่นาและขนส่งสินค้าได้ ในฤดูใบไม้ผลิหิมะบนภูเขาละลายและน้ำในแม่น้ำสูง"
    "ขึ้นท่วมพื้นที่ลุ่ม",
    "km": "ទន្លេនាំទឹកពីភ្នំទៅសមុទ្រ ហើយរោងម៉ាស៊ីននៅតាមច្រាំងបានកិនស្រូវអស់រយៈពេលជាច្រើនសតវត្សមកហើយ។ ប្រជាជ"
    "នបានសាងសង់ទីក្រុងជាច្រើននៅតាមដងទន្លេ ពីព្រោះទឹកអាចប្រើសម្រាប់ស្រោចស្រពវាលស្រែ និងដឹកជញ្ជូនទំនិញ។",
    "lo": "ແມ່ນ້ຳນຳນ້ຳຈາກພູເຂົາໄປສູ່ທະເລ ແລະໂຮງສີຕາມແຄມຝັ່ງໄດ້ສີເຂົ້າມາເປັນເວລາຫຼາຍສະຕະວັດ. ປະຊາຊົນໄດ້ສ້າງເ"
    "ມືອງຫຼາຍແຫ່ງຕາມແຄມແມ່ນ້ຳ ເພາະນ້ຳສາມາດໃຊ້ຫົດໄຮ່ນາ ແລະຂົນສົ່ງສິນຄ້າໄດ້.",
    "my": "မြစ်များသည် တောင်များမှ ပင်လယ်သို့ ရေကို သယ်ဆောင်လာပြီး ကမ်းပေါ်ရှိ ကြိတ်စက်များသည် ရာစုနှစ်များ"
    "စွာ ကောက်ပဲသီးနှံများကိုကြိတ်ခဲ့ကြသည်။ လူများသည် မြစ်ကမ်းတစ်လျှောက် မြို့များစွာကို တည်ဆောက်ခဲ့ကြ"
    "သည်။",
    "ko": "강은 산에서 바다로 물을 나르고 강가의 방앗간은 수백 년 동안 곡식을 빻아 왔습니다. 사람들은 강을 "
    "따라 많은 마을을 세웠습니다. 물은 밭을 적시고 짐을 나르는 데 쓰였기 때문입니다. 봄이 되면 산의 눈"
    "이 녹아 강물이 불어나고 낮은 땅이 물에 잠겼습니다.",
    "hi": "नदियाँ पहाड़ों से समुद्र तक पानी ले जाती हैं, और उनके किनारे की चक्कियाँ सदियों से अनाज पीसती आई"
    " हैं। लोगों ने नदियों के किनारे बहुत से नगर बसाए, क्योंकि पानी खेतों को सींचता है और माल ढोने के"
    " काम आता है। वसंत में पहाड़ों की बर्फ पिघलती है और नदी का जल बढ़ता है।",
}
WITHOUT_BLANKS = ("zh", "ja", "th", "km", "lo", "my")


def row(text: str) -> Row:
    return Row("d", 0, 0, "", "", text, text[:60], "s")


def rule(language: str, **more) -> FilterRule:
    quality = tuple(name for name in QUALITY if name != "c4_badwords" or language in ("zh", "ja", "th", "ko", "hi"))
    return FilterRule(languages=(language,), quality=quality, **more)


@pytest.mark.parametrize("language", TEXTS)
def test_an_ordinary_page_of_any_script_passes_every_filter(language: str) -> None:
    assert judged(make_filters(rule(language, min_words=30)), row(TEXTS[language])) == row(TEXTS[language])


@pytest.mark.parametrize("language", WITHOUT_BLANKS)
@pytest.mark.parametrize(("fewest", "most", "reason"), [(2_000, 9_000, "short"), (5, 40, "long")])
def test_length_counts_characters_where_no_blanks_are(language: str, fewest: int, most: int, reason: str) -> None:
    verdict = judged(make_filters(rule(language, min_words=fewest, max_words=most)), row(TEXTS[language]))
    assert isinstance(verdict, Dropped)
    assert verdict.key == f"length/{reason}"


@pytest.mark.parametrize("language", TEXTS)
def test_a_page_that_repeats_itself_is_dropped(language: str) -> None:
    text = TEXTS[language]
    verdict = judged(make_filters(rule(language)), row(text + text[len(text) // 2 :] * 2))
    assert isinstance(verdict, Dropped)
    assert verdict.filter == "gopher_repetition"


@pytest.mark.parametrize("language", TEXTS)
def test_a_page_with_a_few_other_characters_is_a_near_duplicate_and_another_page_is_not(language: str) -> None:
    text = TEXTS[language]
    half = len(text) // 2
    with NearDuplicates.open(":memory:", 0.8) as near:
        near.add(row(text))
        assert near.earliest_match(row(f"# {text[:-1]}")) == text[:60]
        assert near.earliest_match(row(text[half:] + TEXTS["zh" if language != "zh" else "ja"])) is None


def test_questions_with_other_chinese_numbers_are_different() -> None:
    template = (
        "小明有{}个苹果，他给了朋友一些，然后又从市场上买来了更多的苹果，"
        "最后他把所有的苹果都放进了篮子里。请问篮子里有几个苹果？"
    )
    first, second = (Row("d", 0, 0, template.format(n), "7", "", template.format(n), "s") for n in ("三", "五"))
    assert numbers(first.prompt) != numbers(second.prompt)
    with NearDuplicates.open(":memory:", 0.8) as near:
        near.add(first)
        assert near.earliest_match(second) is None
        assert near.earliest_match(Row("d", 0, 0, f"{first.prompt}！", "7", "", "other", "s")) == first.core


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, world: don't", ["Hello", "world", "don", "t"]),
        ("世界,你好 GPT4", ["世", "界", "你", "好", "GPT4"]),
        ("น้ำใจ", ["น้", "ำ", "ใ", "จ"]),
        ("ទឹក។", ["ទឹ", "ក"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("cafe\u0301 𠀀", ["cafe\u0301", "𠀀"]),
        ("葛\U000e0100城", ["葛\U000e0100", "城"]),
    ],
)
def test_words_of_a_text(text: str, expected: list[str]) -> None:
    assert split_words(text) == expected


@pytest.mark.parametrize(
    ("text", "number"),
    [("a - b...", 3), ("世界,你好 it's", 5), ("คนดี", 3), ("हिन्दी में -", 3), ("", 0), ("世界。。", 2)],
)
def test_words_are_counted_by_blanks_and_by_characters_without_them(text: str, number: int) -> None:
    assert count_words(text) == number


def test_marks_are_separate_and_words_with_signs_inside_are_whole() -> None:
    assert split_words_and_marks("don't, 世界!") == ["don't", ",", "世", "界", "!"]
    assert split_words_and_marks("ความ, 3.14 क्या") == ["ค", "ว", "า", "ม", ",", "3.14", "क्या"]


def test_the_script_is_that_of_most_letters() -> None:
    expected = {"zh": "chinese", "ja": "chinese", "ko": "korean", "hi": "letters"}
    assert {name: script_of(text) for name, text in TEXTS.items()} == {
        name: expected.get(name, "southeast") for name in TEXTS
    }
    assert script_of("A long English text that names 北京 once.") == "letters"
    assert script_of("") == "letters"


@pytest.mark.parametrize("language", WITHOUT_BLANKS)
def test_a_question_of_any_script_has_tokens_in_which_copies_are_sought(language: str) -> None:
    assert len(question_tokens(TEXTS[language])) > 50


def test_an_answer_without_blanks_has_a_length() -> None:
    score = length(most=5)
    assert score([""] * 3, ["河流把水", "河流把水从山上", "河" * 10], answer=[""] * 3) == [1.0, pytest.approx(0.6), 0.0]
