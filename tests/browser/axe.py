"""What axe-core finds on the page."""

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.browser.page import until


def findings(page: Page) -> set[str]:
    """What axe-core finds, however slight."""
    # What slides in has arrived, and colours no longer change.
    until(page, "document.getAnimations().filter(a => a.playState === 'running').length", 0)
    return {
        f"{rule['id']} {' '.join(node['target'])}: {node['html'][:160]} {node['failureSummary']}"
        for rule in Axe().run(page).response["violations"]
        for node in rule["nodes"]
    }
