import pytest

from tests.dashboard import stage
from tests.trainyard.yards import UpCommand

#: A machine with much else to do is slow; nothing here waits for longer than it must.
PATIENCE_MS = 30_000


#: Of the package, not the session: while Playwright is on, no other test of the process can run a loop.
@pytest.fixture(scope="package")
def browser():
    path = stage.chromium()
    if path is None:
        pytest.skip("there is no Chromium here, and it is not root's to install: apt-get install chromium")
    stage.build_if_stale()
    with stage.browsing(path) as browser:
        yield browser


@pytest.fixture(scope="package")
def yard(browser, tmp_path_factory):
    up = UpCommand(tmp_path_factory.mktemp("dashboard") / "yard")
    assert up.url
    yield up
    up.end()


@pytest.fixture(scope="package")
def url(yard):
    return yard.url


@pytest.fixture
def submit(url):
    return lambda body: stage.submit(url, body)


@pytest.fixture
def open_page(browser):
    """Open a page; at the end none of them may have met an error, nor its own content policy."""
    contexts, told = [], []

    def open_page(address, size=stage.WIDE, theme="light"):
        context = browser.new_context(
            viewport=size, color_scheme=theme, permissions=["clipboard-read", "clipboard-write"]
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: told.append(str(error)))
        page.on("console", lambda message: told.append(message.text) if is_fault(message) else None)
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert told == []


def is_fault(message):
    # That an answer is not 2xx the browser tells by itself; the pages are shown them on purpose.
    return message.type == "error" and "Failed to load resource" not in message.text
