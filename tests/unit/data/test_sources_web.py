"""The web source: polite, once, safe from what servers do, and no page is lost for another's sake."""

import gzip
import socket

import brotli
import pytest

from schemas.sources import WebSource
from services.data.sources.rows import sha256
from services.data.sources.source import Refused, RoundContext, SourceFailed
from services.data.sources.web import pages as web
from services.data.sources.web.fetch import Pace, address
from services.data.sources.web.public_addresses import is_public
from tests import web_server
from tests.certificates import Authority
from tests.harvests import Harvest
from tests.web_server import Answer, article, serving


class Clock:
    """Time that passes only where somebody sleeps."""

    def __init__(self):
        self.now = 0.0
        self.slept = []

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(round(seconds, 3))
        self.now += seconds


@pytest.fixture
def site():
    with serving() as served:
        yield served


def source(round_=1, clock=None, **given):
    about = {"name": "rivers", "domain": "prose", "private": True, "timeout_seconds": 5.0, "per_second": 100.0, **given}
    clock = clock or Clock()
    spec = WebSource.model_validate(about)
    return web.Web(spec, RoundContext(round_), Pace(spec.per_second, clock, clock.sleep))


def abouts(harvest):
    return [row.trace.splitlines()[0] for row in harvest.rows]


def test_a_page_becomes_its_main_text_with_where_it_comes_from(site):
    licence = '<link rel="license" href="https://creativecommons.org/licenses/by-sa/4.0/">'
    url = site.page("/mills", article("Mills", licence))
    (row,) = Harvest().go_on(source(pages=[url], licence="unknown", contact="mailto:us@example.org")).rows
    assert row.trace.startswith("Mills\nMills: Rivers carry water")
    assert "imprint" not in row.trace
    assert "home" not in row.trace
    assert (row.uri, row.licence, row.source, row.domain) == (url, "CC-BY-SA-4.0", "rivers", "prose")
    assert row.sha256 == sha256(article("Mills", licence))
    assert row.fetched_at.endswith("+00:00")
    assert len(site.agents) == 1
    assert site.agents.pop().endswith("(source rivers; mailto:us@example.org)")


def test_a_second_round_has_only_what_is_new_or_changed(site):
    pages = [site.page(f"/{i}", article(f"Page {i}")) for i in range(3)]
    harvest = Harvest().go_on(source(pages=pages))
    site.asked.clear()
    harvest.go_on(source(2, pages=pages))
    assert site.asked == ["/robots.txt", "/0?", "/1?", "/2?"]
    site.page("/1", article("Page one"))
    site.page("/2", article("Page 2"), etag=False)
    harvest.go_on(source(3, pages=pages))
    assert abouts(harvest) == ["Page 0", "Page 1", "Page 2", "Page one"]


def rss(*urls):
    items = "".join(f"<item><title>&nbsp;</title><link>{url}</link></item>" for url in urls)
    return f'<?xml version="1.0"?><rss version="2.0"><channel><link>http://x/</link>{items}</channel></rss>'.encode()


def atom(*urls):
    entries = "".join(
        f'<entry><link rel="self" href="/no"/><link href="{url}"/><updated>{when}</updated></entry>'
        for url, when in urls
    )
    return f'<feed xmlns="http://www.w3.org/2005/Atom">{entries}</feed>'.encode()


def sitemap(*urls, root="urlset", entry="url"):
    entries = "".join(f"<{entry}><loc>{url}</loc><lastmod>{when}</lastmod></{entry}>" for url, when in urls)
    return f'<{root} xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{entries}</{root}>'.encode()


def test_feeds_are_asked_again_and_their_known_pages_are_not(site):
    for i in range(4):
        site.page(f"/{i}", article(f"Page {i}"))
    feeds = [
        site.page("/rss", rss(site.url + "/0", "mailto:a@b", "/1"), "application/rss+xml"),
        site.page("/atom", atom(("/2", "2024")), "application/atom+xml"),
    ]
    harvest = Harvest().go_on(source(feeds=feeds))
    assert abouts(harvest) == ["Page 0", "Page 1", "Page 2"]
    assert harvest.skipped == {"bad_link": 1}
    site.asked.clear()
    harvest.go_on(source(2, feeds=feeds))
    assert site.asked == ["/robots.txt", "/rss?", "/atom?"]
    site.page("/rss", rss(site.url + "/3", site.url + "/0"))
    site.page("/2", article("Page two"))
    site.page("/atom", atom(("/2", "2025")))
    site.asked.clear()
    harvest.go_on(source(3, feeds=feeds))
    assert site.asked == ["/robots.txt", "/rss?", "/atom?", "/3", "/2?"]
    assert abouts(harvest)[3:] == ["Page 3", "Page two"]


def test_sitemaps_lead_to_sitemaps_and_to_pages_also_packed_or_as_plain_lines(site):
    for i in range(3):
        site.page(f"/{i}", article(f"Page {i}"))
    site.page("/one.xml.gz", gzip.compress(sitemap((site.url + "/0", "2024"), ("/1", "2024"))), "application/gzip")
    site.page("/two.txt", f"{site.url}/2\n".encode(), "text/plain")
    parts = [(site.url + "/one.xml.gz", ""), (site.url + "/two.txt", ""), (site.url + "/map.xml", "")]
    maps = [site.page("/map.xml", sitemap(*parts, root="sitemapindex", entry="sitemap"))]
    harvest = Harvest().go_on(source(sitemaps=maps))
    assert abouts(harvest) == ["Page 0", "Page 1", "Page 2"]
    site.asked.clear()
    assert harvest.go_on(source(2, sitemaps=maps)).skipped == {}
    assert site.asked == ["/robots.txt", "/map.xml", "/one.xml.gz?", "/two.txt?"]


def test_a_round_asks_for_so_many_listings_and_counts_the_others(site, monkeypatch):
    monkeypatch.setattr(web, "LISTINGS", 3)
    for i in range(2):
        site.page(f"/{i}.xml", sitemap((site.page(f"/{i}", article(f"Page {i}")), "")))
    parts = [(f"{site.url}/{i}.xml", "") for i in range(5)]
    maps = [site.page("/map.xml", sitemap(*parts, root="sitemapindex", entry="sitemap"))]
    harvest = Harvest().go_on(source(sitemaps=maps))
    assert (abouts(harvest), harvest.skipped) == (["Page 0", "Page 1"], {"listings": 3})


def test_a_round_fetches_its_share_and_the_next_goes_on(site):
    urls = [site.page(f"/{i}", article(f"Page {i}")) for i in range(5)]
    maps = [site.page("/map.xml", sitemap(*((url, "") for url in urls)))]
    harvest = Harvest()
    for round_ in (1, 2, 3):
        for steps in (1, 2, None):  # killed twice in each round
            harvest.go_on(source(round_, sitemaps=maps, pages_per_round=2), steps)
        assert len(harvest.rows) == min(2 * round_, 5)
    assert abouts(harvest) == [f"Page {i}" for i in range(5)]
    assert [site.asked.count(f"/{i}") for i in range(5)] == [1] * 5


def test_killed_after_any_step_every_page_is_asked_for_once(site):
    urls = [site.page(f"/{i}", article(f"Page {i}")) for i in range(4)]
    urls[2:2] = [site.url + "/gone"]
    harvest = Harvest()
    for _ in range(8):
        harvest.go_on(source(pages=urls), 1)
    assert harvest.steps == 5
    assert abouts(harvest) == [f"Page {i}" for i in range(4)]
    assert harvest.skipped == {"status": 1}
    assert site.asked.count("/gone") == 1


def test_robots_txt_is_obeyed_with_wildcards_and_on_redirects(site):
    ours = b"User-agent: aevolve\nDisallow: /*/secret\nAllow: /a/secret$\nDisallow: /hidden\n"
    rules = b"User-agent: *\nDisallow: /\n\n" + ours
    site.page("/robots.txt", rules, "text/plain")
    urls = [site.page(path, article(path)) for path in ("/open", "/b/secret", "/a/secret", "/hidden/x")]
    site.answers["/hop"] = Answer(status=302, headers={"Location": "/hidden/x"})
    harvest = Harvest().go_on(source(pages=[*urls, site.url + "/hop"]))
    assert abouts(harvest) == ["/open", "/a/secret"]
    assert harvest.skipped == {"robots": 3}
    assert "/hidden/x" not in site.asked


@pytest.mark.parametrize(("status", "rows"), [(404, 1), (403, 1), (500, 0), (429, 0)])
def test_a_site_without_robots_txt_is_open_and_one_that_fails_to_give_it_is_closed(site, status, rows):
    url = site.page("/a", article("A"))
    site.answers["/robots.txt"] = Answer(status=status)
    harvest = Harvest().go_on(source(pages=[url]))
    assert len(harvest.rows) == rows
    assert harvest.skipped == ({} if rows else {"robots_unreachable": 1})


def test_a_host_is_asked_no_faster_than_it_wants(site):
    urls = [site.page(f"/{i}", article(f"Page {i}")) for i in range(3)]
    clock = Clock()
    Harvest().go_on(source(pages=urls, per_second=2.0, clock=clock))
    assert clock.slept == [0.5, 0.5, 0.5]
    site.page("/robots.txt", b"User-agent: *\nCrawl-delay: 7\n")
    clock = Clock()
    Harvest().go_on(source(pages=urls, per_second=2.0, clock=clock))
    assert clock.slept == [0.5, 7.0, 7.0]
    site.page("/robots.txt", b"User-agent: *\nCrawl-delay: 3600\n")
    assert Harvest().go_on(source(pages=urls)).skipped == {"crawl_delay": 3}


@pytest.mark.parametrize("delay", ["inf", "-inf", "nan", "-5", "1e400", "soon", ""])
def test_a_delay_that_is_no_time_is_ignored(site, delay):
    urls = [site.page(f"/{i}", article(f"Page {i}")) for i in range(2)]
    site.page("/robots.txt", f"User-agent: *\nCrawl-delay: {delay}\nRequest-rate: 0/{delay}\n".encode())
    clock = Clock()
    assert len(Harvest().go_on(source(pages=urls, per_second=2.0, clock=clock)).rows) == 2
    assert clock.slept == [0.5, 0.5]


@pytest.mark.parametrize("rule", ["Crawl-delay: 1e9", "Crawl-delay: 61", "Request-rate: 1/99999999d"])
def test_a_delay_that_is_not_worth_waiting_for_is_counted(site, rule):
    page = site.page("/a", article("A"))
    site.page("/robots.txt", f"User-agent: *\n{rule}\n".encode())
    clock = Clock()
    assert Harvest().go_on(source(pages=[page], clock=clock)).skipped == {"crawl_delay": 1}
    assert clock.slept == []


def test_hosts_take_turns_so_that_one_waits_for_another(site):
    with serving() as other:
        there = other.url.replace("127.0.0.1", "localhost")
        for served in (site, other):
            for i in range(2):
                served.page(f"/{i}", article(f"Page {i}"))
        urls = [site.url + "/0", site.url + "/1", there + "/0", there + "/1"]
        harvest = Harvest().go_on(source(pages=urls))
    assert [row.uri for row in harvest.rows] == [urls[0], urls[2], urls[1], urls[3]]


BAD = {
    "timeout": {
        "hang": Answer(misbehave=web_server.hang),
        "trickle": Answer(misbehave=web_server.trickle),
        "trickle_headers": Answer(misbehave=web_server.trickle_headers),
    },
    "too_long": {
        "endless": Answer(misbehave=web_server.endless),
        "bomb": Answer(web_server.bomb(), headers={"Content-Type": "text/html", "Content-Encoding": "gzip"}),
        "long": Answer(b"<p>" + b"x" * 400_000, headers={"Content-Type": "text/html"}),
    },
    "broken": {
        "cut_off": Answer(misbehave=web_server.cut_off),
        "gibberish": Answer(misbehave=web_server.gibberish),
        "no_gzip": Answer(bytes(range(99)), headers={"Content-Encoding": "gzip"}),
        "half_gzip": Answer(gzip.compress(article("x"))[:-20], headers={"Content-Encoding": "gzip"}),
    },
    "packing": {"compress": Answer(bytes(range(99)), headers={"Content-Encoding": "compress"})},
    "redirects": {"loop": Answer(status=301, headers={"Location": "/loop"})},
    "bad_link": {"file": Answer(status=301, headers={"Location": "file:///etc/passwd"})},
    "status": {"gone": Answer(status=410), "nowhere": Answer(status=302)},
    "server_error": {"crash": Answer(status=500)},
    "busy": {"slow": Answer(status=503, headers={"Retry-After": "5"})},
    "type": {"image": Answer(b"GIF89a", headers={"Content-Type": "image/gif"})},
    "encoding": {"noise": Answer(bytes(range(256)) * 20, headers={"Content-Type": "text/plain; charset=utf-8"})},
    "too_complex": {"tags": Answer(b"<html><body>" + b"<p>" * 100_001, headers={"Content-Type": "text/html"})},
    "no_text": {"empty": Answer(b"<html><body></body></html>", headers={"Content-Type": "text/html"})},
}


def test_a_page_is_unpacked_as_its_first_bytes_say_whatever_was_asked_for(site):
    packed = {"gzip": gzip.compress(article("Mills")), "br": brotli.compress(article("Wheels")), "x": article("Water")}
    pages = [site.page(f"/{coding}", body, headers={"Content-Encoding": coding}) for coding, body in packed.items()]
    harvest = Harvest().go_on(source(pages=pages))
    assert (abouts(harvest), harvest.skipped) == (["Mills", "Wheels", "Water"], {})


@pytest.mark.parametrize(("reason", "name"), [(reason, name) for reason, bad in BAD.items() for name in bad])
def test_a_bad_page_is_counted_and_its_neighbours_are_kept(site, reason, name):
    site.answers[f"/{name}"] = BAD[reason][name]
    before, after = site.page("/before", article("Before")), site.page("/after", article("After"))
    pages = [before, f"{site.url}/{name}", after]
    harvest = Harvest().go_on(source(pages=pages, timeout_seconds=1.0, max_bytes=310_000))
    assert abouts(harvest) == ["Before", "After"]
    assert harvest.skipped == {reason: 1}


def test_a_host_that_keeps_failing_is_left_alone_for_the_round_and_tried_again_in_the_next(site):
    urls = [f"{site.url}/{i}" for i in range(6)]
    for i in range(6):
        site.answers[f"/{i}"] = Answer(status=500)
    maps = [site.page("/map.xml", sitemap(*((url, "") for url in urls)))]
    harvest = Harvest().go_on(source(sitemaps=maps))
    assert harvest.skipped == {"server_error": 3, "host_failing": 3}
    for i in range(6):
        site.page(f"/{i}", article(f"Page {i}"))
    assert len(harvest.go_on(source(2, sitemaps=maps)).rows) == 6


def test_a_page_that_always_fails_is_asked_for_in_three_rounds_and_a_missing_one_in_one(site):
    site.answers["/fails"] = Answer(status=500)
    maps = [site.page("/map.xml", sitemap((site.url + "/fails", ""), (site.url + "/gone", "")))]
    harvest = Harvest()
    for round_ in range(1, 6):
        harvest.go_on(source(round_, sitemaps=maps))
    assert (site.asked.count("/fails"), site.asked.count("/gone")) == (3, 1)


def test_a_broken_listing_is_counted_and_the_others_are_read(site):
    good = site.page("/good", rss(site.page("/a", article("A"))))
    page, gone = site.page("/html", article("no feed")), site.url + "/gone"
    bomb = site.page("/bomb", gzip.compress(b"<rss>" + b" " * 3_000_000), "application/gzip")
    entities = b'<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><rss><channel><item><link>&x;</link></item></channel></rss>'
    harvest = Harvest().go_on(source(feeds=[page, gone, bomb, site.page("/xxe", entities), good], max_bytes=100_000))
    assert abouts(harvest) == ["A"]
    assert harvest.skipped == {"listing_no_listing": 1, "listing_status": 1, "listing_too_long": 1, "bad_link": 1}


def test_addresses_of_this_network_are_refused_whatever_leads_to_them(site, monkeypatch):
    """The site plays the internet: it alone counts as public."""
    port = int(site.url.rpartition(":")[2])
    secret = site.page("/secret", article("Secret"))
    names = {"public.example": "93.184.216.34", "sly.example": "127.0.0.1", "wrapped.example": "::ffff:10.0.0.1"}
    real = socket.getaddrinfo

    def lookup(host, port_, *args, **kwargs):
        return (
            [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (names[host], port_))] if host in names else real(host, port_)
        )

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    urls = [secret, f"http://localhost:{port}/secret", f"http://sly.example:{port}/secret"]
    urls += [
        "http://wrapped.example/",
        f"http://0x7f.1:{port}/secret",
        f"http://[::1]:{port}/",
        "http://169.254.169.254/",
    ]
    harvest = Harvest().go_on(source(pages=urls, private=False))
    assert harvest.skipped == {"private": len(urls)}
    assert site.asked == []


def test_a_redirect_to_a_private_address_is_refused(site, monkeypatch):
    from services.data.sources.web import public_addresses as guard

    here = site.url.rpartition("/")[2].partition(":")[0]
    monkeypatch.setattr(guard, "is_public", lambda ip: ip == here)  # the site is the internet
    with serving("127.0.0.2") as inside:
        site.answers["/hop"] = Answer(status=302, headers={"Location": inside.page("/secret", article("Secret"))})
        pages = [site.url + "/hop", site.page("/a", article("A"))]
        harvest = Harvest().go_on(source(pages=pages, private=False))
    assert abouts(harvest) == ["A"]
    assert harvest.skipped == {"private": 1}
    assert inside.asked == []


def test_an_encrypted_site_is_read_only_if_its_certificate_is_trusted_and_its_own(tmp_path, monkeypatch):
    authority = Authority(tmp_path, "authority")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    ours, others = authority.issue("ours", "127.0.0.1"), authority.issue("others", "example.org")
    strange = Authority(tmp_path, "stranger").issue("strange", "127.0.0.1")
    harvest = Harvest()
    for i, certificate in enumerate((ours, others, strange)):
        with serving(certificate=certificate) as site:
            harvest.go_on(source(pages=[site.page("/a", article(f"Page {i}"))]))
    assert (abouts(harvest), harvest.skipped) == (["Page 0"], {"robots_unreachable": 2})


@pytest.mark.parametrize(
    ("ip", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("240.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("ff02::1", False),
        ("::ffff:127.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::5db8:d822", True),
        ("2002:7f00:1::", False),
    ],
)
def test_which_addresses_are_public(ip, public):
    assert is_public(ip) == public


@pytest.mark.parametrize(
    "link",
    [
        "",
        "mailto:a@b",
        "javascript:alert(1)",
        "http://",
        "http://u:p@host/",
        "http://[::1",
        "ftp://a/b",
        "http://a:65536/",
        "http://a/" + "b" * 2048,
    ],
)
def test_what_is_no_address_of_the_web_is_refused(link):
    with pytest.raises(Refused, match="bad_link"):
        address(link)


def test_a_campaign_file_with_no_address_fails_with_the_field(site):
    with pytest.raises(SourceFailed, match="rivers: feeds: 'http://a:99999999/' is no web address; correct it"):
        Harvest().go_on(source(pages=[site.page("/a", article("A"))], feeds=["http://a:99999999/"]))


def test_an_address_is_spelt_one_way():
    assert address("../ü?q=1#there", "HTTP://Example.ORG:80/a/b/") == "http://example.org/a/%C3%BC?q=1"
