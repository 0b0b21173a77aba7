"""The report: what stands in it, and how a reader has it in a real Chromium."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from soak import results
from soak.evidence import load_evidence
from soak.results import REPORT, Fault, Panel, Series, Violation
from soak.thresholds import load_thresholds
from soak.verdict import judge
from tests.soak.folders import BEGAN, Course, write

EVIL = "<script>document.title = 'ran'</script> $x^2 & <b>"


def _written(tmp_path: Path) -> Path:
    """The report of a run in which everything has an evil name."""
    from soak.report import write_report  # noqa: PLC0415 - it draws: other tests need not wait for it

    faults = [Fault("redis", "down", BEGAN + 50, BEGAN + 60, BEGAN + 64)]
    violations = [Violation(BEGAN, "foreign_seen", "get", EVIL, EVIL)]
    write(tmp_path, Course(rates={"encode": 20.0}, faults=faults, violations=violations, panels=False))
    line = Series({"route": EVIL}, [(BEGAN + 10.0 * at, float(at)) for at in range(9)])
    answers: list[list[list[Series]]] = [[[line]], [[]]]
    for series in answers:
        panel = Panel(EVIL, EVIL, "timeseries", "bytes", [("up", "{{route}}")], series)
        results.append(tmp_path, results.PANELS, panel)
    evidence = load_evidence(tmp_path)
    write_report(tmp_path, judge(evidence, load_thresholds()), evidence)
    return tmp_path / REPORT


def test_nothing_in_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what is wrong, and names are text in it, never markup, in plots as well."""
    for slow in ("course_pictures", "call_pictures", "resource_pictures"):
        monkeypatch.setattr(f"soak.report.{slow}", lambda _: ())
    text = _written(tmp_path).read_text()
    assert "foreign_seen" in text
    assert text.count("<svg") == 2
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "src=" not in text


@pytest.mark.heavy
def test_in_a_browser(tmp_path: Path) -> None:
    """It shows verdict, checks, pictures and panels, runs nothing, asks for nothing, and suits dark."""
    from playwright.sync_api import expect, sync_playwright  # noqa: PLC0415 - as above

    report_file = _written(tmp_path)
    asked: list[str] = []
    said: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(color_scheme="dark", viewport={"width": 400, "height": 800})
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.goto(report_file.as_uri())
        expect(page.get_by_role("heading", level=1)).to_have_text("Soak: fail")
        expect(page.locator("td.fail + td").first).to_have_text("foreign_seen")
        expect(page.locator("svg")).to_have_count(4 + 1 + 6 + 1 + 2)
        expect(page.locator("svg").first.locator("text").first).to_have_css("fill", "rgb(230, 237, 243)")
        assert page.title() == "Soak: fail"
        assert page.evaluate("document.documentElement.scrollWidth") <= 400
        browser.close()
    assert asked == [report_file.as_uri()]
    assert said == []
