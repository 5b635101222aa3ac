"""Every page there is, over the recorded campaign."""

from tests.browser.recorded import CAMPAIGN, RIGHT_ON_DEV, SHIFT, WINNER

PAGES = {
    "campaigns": "/campaigns",
    "campaigns-of-old": f"/campaigns?before={CAMPAIGN}",
    "start": "/campaigns/start",
    "campaign": f"/campaigns/{CAMPAIGN}",
    "rounds": f"/rounds/{CAMPAIGN}",
    "candidate": f"/rounds/{CAMPAIGN}/{WINNER}",
    "right-on-dev": f"/rounds/{CAMPAIGN}/{RIGHT_ON_DEV}",
    "base": f"/rounds/{CAMPAIGN}/base",
    "decisions": f"/audit/{CAMPAIGN}",
    "story": f"/audit/{CAMPAIGN}/{SHIFT}",
    "recomputed": f"/audit/{CAMPAIGN}/{SHIFT}/again",
    "what-if": f"/audit/{CAMPAIGN}/what-if?exponent=6",
    "log": "/log",
    "log-of-type": "/log?type=DriftDetected",
    "event": "/log/37",
    "data": "/data",
    "samples": f"/data/{CAMPAIGN}/1",
    "health": "/health",
    "glossary": "/glossary",
    "login": "/login",
}
"""Name -> address."""
