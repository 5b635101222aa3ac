"""The filters that a campaign's rule asks for, in the order that saves most work: the cheap ones first."""

from __future__ import annotations

from schemas.sources import FilterRule
from services.data.filters.filter import Filter
from services.data.filters.language import Language
from services.data.filters.length import Length
from services.data.filters.pii import DropPersonal, ScrubPersonal
from services.data.filters.quality import QUALITY
from services.data.filters.safety import Safety


def make_filters(rule: FilterRule) -> tuple[Filter, ...]:
    """Filters to give to `judged`. Models and word lists are loaded here, once per call, and nothing from a network.

    Raises `ValueError` for a language that has no word list or model, `ClassifierRefused`, or `PickledWeights`.
    """
    filters: list[Filter] = [Length(rule.min_words, rule.max_words)]
    if rule.languages:
        filters.append(Language(rule.languages))
    filters += [QUALITY[name](rule) for name in rule.quality]
    if rule.safety == "drop":
        filters.append(Safety())
    if rule.classifiers:
        filters += _classifiers(rule)
    if rule.pii != "off":
        filters.append(ScrubPersonal() if rule.pii == "scrub" else DropPersonal())
    return tuple(filters)


def _classifiers(rule: FilterRule) -> list[Filter]:
    from services.data.filters.classifier import Classifier  # noqa: PLC0415 - torch, which no other filter needs

    return [Classifier(one) for one in rule.classifiers]
