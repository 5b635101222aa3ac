"""The filters of a campaign's rule, the cheapest first.

`services.data.filters.quality.QUALITY` lists those that a rule names; `services.data.plugins` loads those of other
packages.
"""

from __future__ import annotations

from schemas.sources import FilterRule
from services.data.filters.filter import Filter, TextsOnly
from services.data.filters.language import Language
from services.data.filters.pii import DropPersonal, ScrubPersonal
from services.data.filters.quality import QUALITY, Length
from services.data.filters.safety import Safety
from services.data.plugins import load_plugin


def make_filters(rule: FilterRule) -> tuple[Filter, ...]:
    """Filters for `judged`. Models and word lists are loaded here, once per call, and never from a network.

    Length, language, quality and personal data are judged in plain texts alone, unless `questions` is set.

    Raises `ValueError` for a language without word list or model, `ClassifierRefused`, `PickledWeights`, or
    `PluginInvalid`.
    """
    texts: list[Filter] = [Length(rule.min_words, rule.max_words)]
    if rule.languages:
        texts.append(Language(rule.languages))
    texts += [QUALITY[name](rule) for name in rule.quality]
    personal: list[Filter] = []
    if rule.pii != "off":
        personal.append(ScrubPersonal() if rule.pii == "scrub" else DropPersonal())
    if not rule.questions:
        texts, personal = [TextsOnly(one) for one in texts], [TextsOnly(one) for one in personal]
    filters = texts
    if rule.safety == "drop":
        filters.append(Safety())
    if rule.classifiers:
        from services.data.filters.classifier import Classifier  # noqa: PLC0415 - torch, which no other filter needs

        filters += [Classifier(one) for one in rule.classifiers]
    filters += [load_plugin(one)(one) for one in rule.plugins]
    return (*filters, *personal)
