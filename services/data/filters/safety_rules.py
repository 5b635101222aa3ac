"""The lexicon of the safety filter: means of harm by category, and the words that turn naming one into helping."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """One kind of unsafe sentence."""

    category: str
    reason: str
    means: re.Pattern[str]
    """The means of harm."""
    intent: re.Pattern[str]
    """What must stand in the same sentence."""
    always: bool = False
    """Whether the means alone is enough."""


def _any(*words: str) -> re.Pattern[str]:
    return re.compile(r"\b(?:" + "|".join(words) + r")\b")


HOW = _any(
    r"how (?:to|do|can|could|would|should|does)", r"steps? (?:to|for|by step)", r"step[- ]by[- ]step", r"instructions?",
    r"recipes?", r"guides?", r"tutorials?", r"teach (?:me|you)", r"show (?:me|you)", r"tell (?:me|you) how",
    r"explain how", r"(?:first|then|next|finally|now)[,]? (?:you )?(?:mix|add|heat|dissolve|combine|pour|pack|attach|drill|solder|extract|distil+|run|send|build)",
    r"you(?:'ll| will)? need", r"(?:mix|combine|dissolve|react|heat) (?:the|your|it|one|two|equal|some|\d)", r"ingredients?",
    r"here(?:'s| is) how", r"easiest way", r"best way", r"(?:without|avoid) (?:being |getting )?(?:caught|detect\w*|traced?)",
    r"(?:make|build|cook|brew|synthesi[sz]e|prepare|assemble|produce) (?:a|an|the|your|some|homemade|it)?",
)  # fmt: skip
"""Asking for a way, or telling it."""

URGE = _any(
    r"should (?:all )?(?:be )?(?:die|killed|shot|hanged|hang|exterminated|gassed|burn(?:ed)?|wiped out|beaten)",
    r"deserves? to (?:die|be (?:killed|shot|hanged|beaten))", r"(?:let us|let's|we must|we should|we need to|go and|go) (?:kill|exterminate|attack|shoot|lynch|wipe out|burn|beat)",
    r"(?:kill|exterminate|gas|lynch|shoot|hang) (?:all|every|them all|those)", r"are (?:vermin|subhuman|cockroaches|parasites|animals)",
)  # fmt: skip

PROTECTIVE = _any(
    r"prevent\w*", r"protect\w*", r"defend\w*", r"avoid (?!(?:being|getting|detection))\w+", r"warn\w*", r"illegal", r"arrest\w*", r"convicted", r"sentenced",
    r"police", r"prosecut\w*", r"histor\w*", r"treat(?:ment|ed|ing)?", r"therap\w*", r"hotline", r"help ?line", r"support for",
    r"survivors?", r"never (?:try|mix|make)", r"do not", r"don't", r"must not", r"dangers? of", r"risks? of", r"symptoms?", r"antidotes?",
    r"ban(?:ned|s|ning)?", r"treaty", r"convention", r"novel", r"film", r"movie", r"museum", r"researchers? (?:found|report)",
    r"detect(?:ion|ing|or)s? (?:of|for|systems?)", r"disarm\w*", r"defus\w*",
)  # fmt: skip
"""Words of warning, law, medicine and story, in whose company a means of harm is not taught."""

EXPLOSIVES = _any(
    r"(?:pipe|car|nail|fertili[sz]er|homemade|dirty|petrol|pressure cooker) bombs?", r"bombs?", r"explosives?", r"ied", r"detonators?", r"tatp", r"petn", r"rdx",
    r"c-?4 charge", r"molotov(?: cocktails?)?", r"napalm", r"thermite", r"black ?powder", r"ammonium nitrate", r"blasting caps?", r"grenades?", r"gunpowder",
)  # fmt: skip
POISONS = _any(
    r"sarin", r"vx(?: gas)?", r"nerve (?:gas|agents?)", r"mustard gas", r"ricin", r"anthrax", r"botulinum(?: toxin)?", r"chlorine gas", r"cyanide", r"novichok",
    r"smallpox", r"weaponi[sz]ed? \w+", r"phosgene", r"poison(?:ous)? gas", r"(?:lethal|deadly|undetectable) poisons?", r"bioweapons?", r"enriched uranium",
)  # fmt: skip
GUNS = _any(r"ghost guns?", r"untraceable (?:guns?|firearms?|weapons?)", r"silencers?", r"suppressors?", r"auto sears?", r"glock switch(?:es)?", r"convert (?:\w+ ){0,4}full(?:y)?[- ]auto(?:matic)?")
DRUGS = _any(r"crystal meth", r"meth(?:amphetamine)?s?", r"crack cocaine", r"cocaine", r"heroin", r"fentanyl", r"lsd", r"mdma", r"ghb", r"krokodil", r"pcp")
CYBER = _any(
    r"ransomware", r"keyloggers?", r"botnets?", r"malware", r"rootkits?", r"computer virus(?:es)?", r"phishing (?:pages?|sites?|emails?|kits?|mails?)", r"ddos(?: attacks?)?",
    r"(?:steal|crack|hack into|harvest) (?:\w+ ){0,3}(?:passwords?|accounts?|credentials|wi-?fi|cards?|cookies|e-?mails?)", r"(?:clone|skim) (?:\w+ ){0,2}cards?", r"sql injection attack",
)  # fmt: skip
SELF_HARM = _any(
    r"kill (?:yourself|myself|urself)", r"suicide", r"end (?:your|my) (?:own )?life", r"hang (?:yourself|myself)", r"cut(?:ting)? (?:yourself|myself|your wrists|my wrists)",
    r"overdose", r"self[- ]harm", r"starve (?:yourself|myself)", r"slit (?:your|my) wrists",
)  # fmt: skip
VIOLENCE = _any(
    r"(?:kill|murder|poison|stab|strangle|kidnap|torture|behead) (?:\w+ ){0,3}(?:person|people|someone|somebody|wife|husband|neighbou?r|boss|girlfriend|boyfriend|ex|man|woman|child|children|victims?|crowd)",
    r"(?:hide|dispose of|get rid of|dissolve) (?:a |the |his |her )?(?:dead )?(?:body|corpse)", r"mass shooting", r"school shooting", r"hitman", r"contract kill(?:er|ing)",
    r"(?:spike|drug) (?:\w+ ){0,3}drinks?", r"date[- ]rape(?: drugs?)?",
)  # fmt: skip
TRAFFIC = _any(r"(?:launder|wash) (?:\w+ ){0,3}money", r"money laundering", r"counterfeit (?:money|bills|notes|currency|passports?|ids?)", r"fake (?:passports?|ids?)", r"traffic (?:women|girls|children|people)", r"smuggle (?:\w+ ){0,3}(?:people|guns|drugs|children)")
MINORS = re.compile(
    r"\b(?:child|kid|minor|underage|preteen|toddler|\d{1,2}[- ]year[- ]old (?:girl|boy))\w*\b[^.!?\n]{0,60}\b(?:porn\w*|nudes?|naked|sex(?:ual(?:ly)?)?|erotic\w*|undress\w*|fuck\w*)\b"
    r"|\b(?:porn\w*|nudes?|erotic\w*|sexy?|naked)\b[^.!?\n]{0,40}\b(?:child(?:ren)?|kids?|minors?|underage|preteens?|toddlers?|(?:1[0-7]|[1-9])[- ]year[- ]olds?)\b"
)
PEOPLE = _any(
    r"(?:all |those |the )?(?:jews?|muslims?|christians?|immigrants?|migrants?|refugees?|gays?|lesbians?|trans(?:gender)? people|blacks?|black people|whites?|white people|asians?|arabs?|roma|gypsies|women|foreigners|disabled people)",
)  # fmt: skip
ENCOURAGE = re.compile(
    HOW.pattern + r"|\b(?:you should|just|go|do it|nobody would miss you|better off dead|painless(?:ly)?|lethal dose|enough pills)\b"
)

RULES = (
    Rule("sexual_minors", "sexual content about minors", MINORS, MINORS),
    Rule("hate", "a call for violence against a group", PEOPLE, URGE),
    Rule("explosives", "how to make explosives", EXPLOSIVES, HOW),
    Rule("mass_harm", "how to make poisons or agents of mass harm", POISONS, HOW),
    Rule("weapons", "how to make hidden or automatic weapons", GUNS, HOW),
    Rule("drugs", "how to make hard drugs", DRUGS, HOW),
    Rule("cybercrime", "how to attack computers or steal accounts", CYBER, HOW),
    Rule("self_harm", "how to harm oneself, or urging to", SELF_HARM, ENCOURAGE),
    Rule("violence", "how to hurt somebody", VIOLENCE, HOW),
    Rule("crime", "how to launder, forge or traffic", TRAFFIC, HOW),
)
"""Rules in the order of their gravity: the first that is broken is the verdict."""

SUSPECT = re.compile("|".join(f"(?:{rule.means.pattern})" for rule in RULES))
"""Without it no rule can be broken."""
