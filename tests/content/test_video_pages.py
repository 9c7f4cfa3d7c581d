"""Which URLs are video pages, and what an iframe shows of them."""

import pytest

from content.video_pages import complete_address, find_video_page, frame_address

ID = "dQw4w9WgXcQ"
PLAYER = f"https://www.youtube-nocookie.com/embed/{ID}"
VIMEO = "https://player.vimeo.com/video/76979871"


@pytest.mark.parametrize(
    ("url", "player"),
    [
        (f"https://www.youtube.com/watch?v={ID}", PLAYER),
        (f"https://www.youtube.com/watch?app=desktop&v={ID}&feature=share", PLAYER),
        (f"https://youtube.com/watch/{ID}", PLAYER),
        (f"https://m.youtube.com/watch?v={ID}", PLAYER),
        (f"https://music.youtube.com/watch?v={ID}", PLAYER),
        (f"http://www.youtube.com/watch?v={ID}", PLAYER),
        (f"//www.youtube.com/embed/{ID}", PLAYER),
        (f"www.youtube.com/watch?v={ID}", PLAYER),
        (f"youtu.be/{ID}", PLAYER),
        (f" https://youtu.be/{ID} ", PLAYER),
        (f"https://youtu.be/{ID}?si=AbC_dEf", PLAYER),
        (f"https://youtu.be/{ID}?t=90", f"{PLAYER}?start=90"),
        (f"https://www.youtube.com/watch?v={ID}&t=90s", f"{PLAYER}?start=90"),
        (f"https://www.youtube.com/watch?v={ID}&t=1h2m3s", f"{PLAYER}?start=3723"),
        (f"https://www.youtube.com/watch?v={ID}#t=1m", f"{PLAYER}?start=60"),
        (
            f"https://www.youtube.com/embed/{ID}?start=5&end=9&autoplay=1",
            f"{PLAYER}?start=5&end=9",
        ),
        (f"https://www.youtube.com/watch?v={ID}&t=soon", PLAYER),
        (f"https://www.youtube.com/shorts/{ID}", PLAYER),
        (f"https://www.youtube.com/live/{ID}?feature=share", PLAYER),
        (f"https://www.youtube.com/v/{ID}", PLAYER),
        (f"https://www.youtube-nocookie.com/embed/{ID}", PLAYER),
        (
            f"https://www.youtube.com/watch?v={ID}&list=PLabc_-123&index=2",
            f"{PLAYER}?list=PLabc_-123",
        ),
        (
            "https://www.youtube.com/playlist?list=PLabc123",
            "https://www.youtube-nocookie.com/embed/videoseries?list=PLabc123",
        ),
        (
            "https://www.youtube.com/embed/videoseries?list=PLabc123",
            "https://www.youtube-nocookie.com/embed/videoseries?list=PLabc123",
        ),
        ("https://vimeo.com/76979871", VIMEO),
        ("vimeo.com/76979871", VIMEO),
        ("https://vimeo.com/76979871/a1b2c3d4e5", f"{VIMEO}?h=a1b2c3d4e5"),
        ("https://player.vimeo.com/video/76979871?h=a1b2c3d4", f"{VIMEO}?h=a1b2c3d4"),
        ("https://vimeo.com/76979871#t=90s", f"{VIMEO}#t=90s"),
        ("https://vimeo.com/channels/staffpicks/76979871", VIMEO),
        ("https://vimeo.com/showcase/12345/video/76979871", VIMEO),
    ],
)
def test_a_video_s_page_has_a_player(url, player):
    page = find_video_page(url)
    assert page is not None
    assert page.player_url == player
    assert frame_address(url) == player
    again = find_video_page(player)
    assert again is not None
    assert again.player_url == player


@pytest.mark.parametrize(
    "url",
    [
        "https://www.youtube.com/",
        "https://www.youtube.com/@school",
        "https://www.youtube.com/channel/UC123",
        "https://www.youtube.com/results?search_query=x",
        "https://www.youtube.com/watch",
        "https://www.youtube.com/watch?v=short",
        "https://www.youtube.com/watch?v=dQw4w9WgXcQ%22%3E",
        "https://youtu.be/",
        "https://www.youtube.com/playlist",
        "https://vimeo.com/school",
        "https://www.dailymotion.com/video/x7tgad0",
        "https://drive.google.com/file/d/1a/view",
        "https://fb.watch/abc/",
    ],
)
def test_a_page_without_a_video_that_can_be_played_has_none(url):
    page = find_video_page(url)
    assert page is not None
    assert page.player_url == ""
    assert frame_address(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "https://videos.example/a.mp4",
        "https://notyoutube.com/watch?v=dQw4w9WgXcQ",
        "https://youtube.com.evil.example/watch?v=dQw4w9WgXcQ",
        "https://evil.example/?u=https://youtu.be/dQw4w9WgXcQ",
        "https://player.vimeo.com/external/76979871.hd.mp4?s=abc",
        "grade-5/youtube.com/intro.mp4",
        "youtube.mp4",
        "javascript://youtube.com/%0aalert(1)",
        "ftp://youtu.be/dQw4w9WgXcQ",
        "https://[::1",
        "",
    ],
)
def test_another_address_is_no_page_with_a_video(url):
    assert find_video_page(url) is None
    assert complete_address(url) == url
