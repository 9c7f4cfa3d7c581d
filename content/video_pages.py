"""Video pages of other sites, and the URLs of their embeddable players.

A player cannot load such a page (``https://www.youtube.com/watch?v=…``) as a file, and
the page cannot be framed. Plain Python: no Django here.
"""

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

_SITES = {
    "youtube.com": "YouTube",
    "youtube-nocookie.com": "YouTube",
    "youtu.be": "YouTube",
    "vimeo.com": "Vimeo",
    "dailymotion.com": "Dailymotion",
    "dai.ly": "Dailymotion",
    "facebook.com": "Facebook",
    "fb.watch": "Facebook",
    "instagram.com": "Instagram",
    "tiktok.com": "TikTok",
    "x.com": "X",
    "twitter.com": "X",
    "drive.google.com": "Google Drive",
    "docs.google.com": "Google Drive",
}
PLAYED_SITES = ("YouTube", "Vimeo")
_WITHOUT_SCHEME = re.compile(
    r"(?:https?:)?(?://)?(?=(?:[a-z]{1,10}\.)?"
    r"(?:youtube(?:-nocookie)?\.com|youtu\.be|vimeo\.com)/)",
    re.ASCII | re.IGNORECASE,
)
_YOUTUBE_ID = re.compile(r"[A-Za-z0-9_-]{11}\Z")
_LIST_ID = re.compile(r"[A-Za-z0-9_-]{2,64}\Z")
_VIMEO_ID = re.compile(r"\d{1,12}\Z", re.ASCII)
_VIMEO_HASH = re.compile(r"[0-9A-Za-z]{6,20}\Z")
_TIME = re.compile(
    r"(?:(\d{1,3})h)?(?:(\d{1,4})m)?(?:(\d{1,6})s?)?\Z", re.ASCII | re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class VideoPage:
    """A page of ``site``; ``player_url`` is "" if it has no player."""

    site: str
    player_url: str = ""


def complete_address(text: str) -> str:
    """Add ``https://`` to a URL of a site with players, if it has no scheme.

    ``youtu.be/…`` would otherwise be read as a path on this site.
    """
    stripped = text.strip()
    found = _WITHOUT_SCHEME.match(stripped)
    return f"https://{stripped[found.end() :]}" if found else text


def find_video_page(url: str) -> VideoPage | None:
    """Return the page at ``url``; None if its site is not known."""
    try:
        address = urlsplit(complete_address(url))
        host = (address.hostname or "").removesuffix(".")
    except ValueError:
        return None
    if address.scheme not in ("http", "https"):
        return None
    site = _site_of(host)
    match site:
        case None:
            return None
        case "YouTube":
            return VideoPage(site, _youtube_player(host, address))
        case "Vimeo":
            if host == "player.vimeo.com" and not address.path.startswith("/video/"):
                return None  # a file
            return VideoPage(site, _vimeo_player(address))
    return VideoPage(site)


def frame_address(url: str) -> str:
    """Return the URL to show in a frame: the player, if ``url`` is a video's page."""
    page = find_video_page(url)
    return page.player_url if page and page.player_url else complete_address(url)


def may_have_player(text: str) -> bool:
    """Return whether ``text`` may contain a URL with a player (`find_video_page`)."""
    return "youtu" in text or "vimeo" in text


def _site_of(host: str) -> str | None:
    parts = host.split(".")
    for start in range(len(parts) - 1):
        if found := _SITES.get(".".join(parts[start:])):
            return found
    return None


def _youtube_player(host: str, address: SplitResult) -> str:
    query = dict(parse_qsl(address.query))
    match [part for part in address.path.split("/") if part]:
        case [video] if host.endswith("youtu.be"):
            pass
        case ["watch"]:
            video = query.get("v", "")
        case ["embed" | "shorts" | "live" | "v" | "e" | "watch", video]:
            pass
        case ["playlist"]:
            video = "videoseries"
        case _:
            return ""
    options = {}
    start = next(
        (query[key] for key in ("t", "start", "time_continue") if key in query), ""
    )
    start = start or dict(parse_qsl(address.fragment)).get("t", "")
    if seconds := _seconds(start):
        options["start"] = str(seconds)
    if end := _seconds(query.get("end", "")):
        options["end"] = str(end)
    if _LIST_ID.match(query.get("list", "")):
        options["list"] = query["list"]
    if video == "videoseries":
        if "list" not in options:
            return ""
    elif not _YOUTUBE_ID.match(video):
        return ""
    asked = f"?{urlencode(options)}" if options else ""
    return f"https://www.youtube-nocookie.com/embed/{video}{asked}"


def _vimeo_player(address: SplitResult) -> str:
    parts = [part for part in address.path.split("/") if part]
    places = [at for at, part in enumerate(parts) if _VIMEO_ID.match(part)]
    if not places:
        return ""
    # The last number is the video's; earlier ones are of a showcase or an album.
    at = places[-1]
    rest = parts[at + 1 :]
    key = dict(parse_qsl(address.query)).get("h", "") or (rest[0] if rest else "")
    query = f"?h={key}" if _VIMEO_HASH.match(key) else ""
    seconds = _seconds(dict(parse_qsl(address.fragment)).get("t", ""))
    return f"https://player.vimeo.com/video/{parts[at]}{query}" + (
        f"#t={seconds}s" if seconds else ""
    )


def _seconds(text: str) -> int:
    """Convert ``90``, ``90s`` or ``1h2m3s`` to seconds; 0 for anything else."""
    found = _TIME.match(text)
    if not found:
        return 0
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return 3600 * hours + 60 * minutes + seconds
