"""The dashboard in a browser, against a whole yard."""

import os
import re
import signal

import httpx
import pytest
from playwright.sync_api import expect

from tests.dashboard import stage
from tests.trainyard.test_yard import command_of
from tests.trainyard.yards import family_of, is_alive, wait_until

pytestmark = pytest.mark.xdist_group("browser")

EDITOR = "Job as JSON"
PATIENCE_MS = 30_000
expect.set_options(timeout=PATIENCE_MS)


def epoch_of(page):
    """The newest epoch on the first chart."""
    return int(page.locator(".chart .at").first.inner_text().split()[-1].replace(",", ""))


def test_a_job_is_written_with_its_faults_at_their_lines_and_sent(url, open_page):
    page = open_page(f"{url}/#/submit")
    editor, send = page.get_by_label(EDITOR), page.get_by_role("button", name="Submit")
    expect(page.get_by_text("Ready to go")).to_be_visible()
    text = editor.input_value()
    line = next(number for number, each in enumerate(text.splitlines(), 1) if '"output_dim": 10' in each)

    editor.fill(text.replace('"output_dim": 10', '"output_dim": -10'))
    fault = page.get_by_label("What is wrong").get_by_role("button")
    expect(fault).to_contain_text(f"line {line}")
    expect(fault).to_contain_text("/model/config/2/config/output_dim")
    expect(page.locator(".gutter .bad")).to_have_text(str(line))
    expect(page.locator(".strip")).to_contain_text("integer")
    expect(send).to_be_disabled()
    fault.click()
    selected = "e => e.value.slice(e.selectionStart, e.selectionEnd)"
    assert '"output_dim": -10' in editor.evaluate(selected)

    editor.fill(text + "}")
    expect(fault).to_contain_text(f"line {len(text.splitlines())}")

    editor.fill(text)
    expect(page.locator(".box .title")).to_have_text(["Dense", "Dropout", "Dense"])
    expect(send).to_be_enabled()
    editor.press("Control+Enter")
    expect(page.get_by_role("heading", name="my first job")).to_be_visible()
    expect(page.locator(".job-head .pill")).to_contain_text("succeeded")
    expect(page.locator(".chart")).to_have_count(2)


def test_a_curve_grows_through_a_restart_of_the_gateway_until_the_job_is_cancelled(url, yard, submit, open_page):
    job_id = submit(stage.job("grows", nb_epoch=100_000))
    page = open_page(f"{url}/#/jobs/{job_id}")
    expect(page.locator(".chart canvas")).to_have_count(2)
    facts = page.locator(".facts")
    expect(facts.get_by_text("Memory")).to_be_visible()
    expect(facts).to_contain_text(re.compile(r"Busy cores\s*\d\.\d\s*cpu"))
    first = epoch_of(page)
    wait_until(lambda: epoch_of(page) > first)
    page.screenshot(path=stage.SCREENSHOTS / "running.png")

    (gateway,) = [pid for pid in family_of(yard.process.pid) if "api.main" in command_of(pid)]
    os.kill(gateway, signal.SIGKILL)
    wait_until(lambda: not is_alive(gateway))
    expect(page.get_by_text("Reconnecting")).to_be_visible()
    expect(page.get_by_text("Reconnecting")).to_have_count(0)
    before = epoch_of(page)
    wait_until(lambda: epoch_of(page) > before)

    page.get_by_role("button", name="Pause").click()
    expect(page.locator(".job-head .pill")).to_contain_text("paused")
    page.get_by_role("button", name="Resume").click()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Cancel for good").click()
    expect(page.locator(".job-head .pill")).to_contain_text("cancelled")
    expect(page.get_by_role("button", name="Pause")).to_have_count(0)
    assert stage.state(url, job_id) == "cancelled"


def test_a_training_is_stopped_after_its_epoch_and_its_weights_are_there(url, submit, open_page):
    job_id = submit(stage.job("enough", nb_epoch=100_000))
    page = open_page(f"{url}/#/jobs/{job_id}")
    stop = page.get_by_role("button", name="Stop")
    expect(stop).to_have_attribute("title", re.compile("weights stay"))
    stop.click()
    expect(page.locator(".job-head .pill")).to_contain_text("succeeded")
    expect(stop).to_have_count(0)
    page.get_by_role("tab", name="Files").click()
    expect(page.get_by_role("link", name="weights.h5")).to_be_visible()
    page.get_by_role("tab", name="Events").click()
    expect(page.get_by_text("asked to end after the epoch")).to_be_visible()


def test_two_jobs_are_compared_on_one_chart(url, submit, open_page):
    for name, lr in (("slow", 0.01), ("fast", 0.5)):
        submit(stage.job(name, lr=lr, labels={"sweep": "lr"}))
    page = open_page(f"{url}/#/?label=sweep:lr")
    expect(page.locator(".jobs tbody tr")).to_have_count(2)
    expect(page.locator(".jobs .succeeded")).to_have_count(2)

    for name in ("slow", "fast"):
        page.get_by_label(f"Compare {name}").check()
    page.get_by_role("link", name="Compare", exact=True).click()

    expect(page.locator(".legend .entry")).to_have_count(4)
    expect(page.get_by_role("region", name="Results").get_by_role("link")).to_have_text(["slow", "fast"])
    differs = page.get_by_role("region", name="What differs").get_by_role("row")
    expect(differs).to_have_count(2)
    expect(differs.last).to_contain_text("/compile/optimizer/config/lr")
    page.get_by_text("acc", exact=True).first.click()
    expect(page.locator(".chart h3")).to_have_text("acc")
    page.get_by_label("Log scale").check()
    expect(page.locator(".chart canvas")).to_have_count(1)
    page.screenshot(path=stage.SCREENSHOTS / "compare.png", full_page=True)


def test_a_model_is_drawn_with_its_branches_and_shapes(url, submit, open_page):
    page = open_page(f"{url}/#/jobs/{submit(stage.branched())}/model")

    expect(page.locator(".frame text")).to_have_text(["left", "Sequential inside", "right"])
    expect(page.locator(".box .title")).to_have_text(["Dense", "Dense", "Dense", "Merge", "Dense"])
    expect(page.locator(".box .note")).to_have_text(["6", "6", "6", "12", "3"])
    left, right = (page.locator(".frame rect").nth(index).bounding_box() for index in (0, 2))
    assert left["x"] + left["width"] < right["x"], "branches stand side by side"
    assert page.get_by_role("region", name="Layers").get_by_role("row").count() == 7
    page.screenshot(path=stage.SCREENSHOTS / "model.png", full_page=True)


def test_a_job_tells_its_story_its_attempts_its_files_and_its_definition(url, submit, open_page):
    page = open_page(f"{url}/#/jobs/{submit(stage.job('told'))}")
    expect(page.locator(".job-head .pill")).to_contain_text("succeeded")

    page.get_by_role("tab", name="Curves").press("ArrowLeft")
    expect(page.get_by_role("tab", name="Definition")).to_be_focused()
    expect(page.get_by_label("definition of the job", exact=True)).to_contain_text('"nb_epoch": 3')
    page.get_by_role("tab", name="Events").click()
    expect(page.locator(".story li").first).to_contain_text("running → succeeded")
    page.get_by_label("Epochs too (3)").check()
    expect(page.locator(".story .epoch")).to_have_count(3)
    page.get_by_role("tab", name="Attempts").click()
    expect(page.get_by_role("region", name="Attempts").get_by_role("row")).to_have_count(2)
    page.get_by_role("tab", name="Files").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="weights.h5").click()
    assert download.value.path().read_bytes()[:4] == b"\x89HDF"
    expect(page.get_by_text("Made by")).to_be_visible()


def test_a_file_is_uploaded_and_named_where_the_cursor_is(url, open_page, tmp_path):
    path = tmp_path / "points.csv"
    path.write_text("a,b\n1,2\n3,4\n")
    page = open_page(f"{url}/#/submit")
    page.get_by_label("Upload a file").set_input_files(path)
    expect(page.get_by_text("points.csv has arrived")).to_be_visible()

    page.get_by_label(EDITOR).fill("")
    page.get_by_role("button", name="a 2").click()
    expect(page.get_by_label(EDITOR)).to_have_value(re.compile(r'^"ds_\w+/a"$'))


def test_a_job_is_cloned_and_edited(url, submit, open_page):
    page = open_page(f"{url}/#/submit?clone={submit(stage.job('original', labels={'team': 'a'}))}")
    editor = page.get_by_label(EDITOR)
    expect(editor).to_have_value(re.compile('"name": "original"'))
    editor.fill(editor.input_value().replace('"original"', '"copy"'))
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_role("heading", name="copy")).to_be_visible()
    expect(page.locator(".job-head .labels")).to_have_text("team:a")


def test_the_address_of_jobs_without_one_is_that_of_the_list(url, submit, open_page):
    submit(stage.job("one of all"))
    page = open_page(f"{url}/#/jobs")
    expect(page.get_by_role("heading", name="Jobs")).to_be_visible()
    expect(page.get_by_role("link", name="one of all").first).to_be_visible()


def test_the_list_is_narrowed_by_state_label_and_text(url, submit, open_page):
    names = [submit(stage.job(f"needle {number}", labels={"hay": "stack"})) for number in range(2)]
    page = open_page(url)
    page.get_by_label("Search").fill("needle 1")
    rows = page.locator(".jobs tbody tr")
    expect(rows).to_have_count(1)
    assert rows.get_attribute("data-job") == names[1]
    rows.get_by_role("link", name="hay:stack").click()
    expect(page.get_by_label("No longer only hay:stack")).to_be_visible()
    expect(rows).to_have_count(2)
    page.get_by_text("Failed", exact=True).click()
    expect(page.get_by_text("No job is like that")).to_be_visible()
    page.get_by_role("link", name="Show all jobs").click()
    expect(rows.first).to_be_visible()
    expect(page.get_by_label("Search")).to_have_value("")


def test_the_api_tells_of_itself_and_nothing_comes_from_elsewhere(url, open_page):
    page = open_page(f"{url}/docs")
    expect(page.locator(".opblock-summary-path").first).to_be_visible()
    expect(page.locator("#operations-jobs-submit_job, [id^=operations-jobs]").first).to_be_visible()

    asked = page.evaluate("performance.getEntriesByType('resource').map(each => each.name)")
    assert asked
    assert all(each.startswith((url, "data:")) for each in asked)


def test_a_session_is_shown_by_its_steps_and_without_a_share_of_what_nobody_knows(url, submit, open_page):
    body = {key: value for key, value in stage.job("step by step").items() if key != "fit"}
    job_id = submit(body | {"session": {}})
    step = {"evaluate": {"x": {"random": [8, 8]}, "y": stage.one_hot(8, 3, 2)}}
    httpx.post(f"{url}/v1/jobs/{job_id}/steps", json={"first": 1, "steps": [step, step]}, timeout=60)
    for address in (f"{url}/#/jobs/{job_id}", f"{url}/#/"):
        page = open_page(address)
        row = page.locator(".job-head" if "jobs" in address else "tr", has_text="step by step")
        expect(row).to_contain_text("session · 2 steps")
        expect(row.get_by_role("progressbar")).to_have_count(0)
        expect(row).not_to_contain_text("%")
    page = open_page(f"{url}/#/jobs/{job_id}")
    expect(page.get_by_text("Curves begin with the first update")).to_be_visible()
    update = {"train": step["evaluate"]}
    httpx.post(f"{url}/v1/jobs/{job_id}/steps", json={"first": 3, "steps": [update] * 5 + [step]}, timeout=60)
    expect(page.locator(".chart .at").first).to_have_text("step 7")
    expect(page.locator(".chart h3")).to_have_text(["loss", "acc"])
    page.get_by_text("The same as a table").click()
    expect(page.get_by_role("region", name="History").get_by_role("rowheader")).to_have_text(["3", "4", "5", "6", "7"])
    page.screenshot(path=stage.SCREENSHOTS / "session.png")
    httpx.post(f"{url}/v1/jobs/{job_id}/cancel", timeout=60)
