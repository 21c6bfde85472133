"""Files on their way out: streamed in stretches, or by a signed URL."""

import hashlib

import httpx
import pytest

from tests.servers.seaweed import ON_S3, s3_url, seaweed  # noqa: F401

CONTENT = bytes(range(100))
ETAG = f'"{hashlib.sha256(CONTENT).hexdigest()}"'


@pytest.fixture
def path(submit, worker):
    """A job that has left a file."""
    job_id = submit()
    worker.leave(claim := worker.claim(), "weights.h5", CONTENT, "hdf5")
    worker.write("finish", claim, "succeeded")
    return f"/v1/jobs/{job_id}/artifacts/weights.h5"


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [("0-9", 0, 10), ("90-", 90, 100), ("-5", 95, 100), ("99-99", 99, 100), ("50-1000", 50, 100), ("-1000", 0, 100)],
)
def test_a_stretch_of_a_file_can_be_asked_for(asked, start, end, client, path):
    answer = client.get(path, headers={"Range": f"bytes={asked}"})
    assert (answer.status_code, answer.content) == (206, CONTENT[start:end])
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/100"
    assert (answer.headers["content-length"], answer.headers["etag"]) == (str(end - start), ETAG)


@pytest.mark.parametrize(
    "asked",
    ["bytes=-", "bytes=9-1", "bytes=0-1,5-6", "bytes=" + "0-1," * 5_000, "lines=0-1", "bytes=a-b", "bytes=" + "9" * 30],
)
def test_a_range_that_is_none_or_many_gets_the_whole_file(asked, client, path):
    answer = client.get(path, headers={"Range": asked})
    assert (answer.status_code, answer.content) == (200, CONTENT)
    assert answer.headers["accept-ranges"] == "bytes"


@pytest.mark.parametrize("asked", ["100-", "200-300", "-0"])
def test_a_range_after_the_end_is_refused(asked, client, path, problem):
    assert "100 bytes" in problem(client.get(path, headers={"Range": f"bytes={asked}"}), 416)["detail"]


def test_a_broken_off_download_goes_on_only_with_the_same_file(client, path):
    for tag, status in ((ETAG, 206), ('"another"', 200)):
        answer = client.get(path, headers={"Range": "bytes=50-", "If-Range": tag})
        assert answer.status_code == status


@ON_S3
class TestOnS3:
    @pytest.fixture
    def client(self, make_client, s3_url):  # noqa: F811
        return make_client(storage_url=s3_url)

    def test_a_download_is_a_redirect_to_the_storage_that_needs_no_key(self, client, path):
        answer = client.get(path, follow_redirects=False)
        assert (answer.status_code, answer.headers["cache-control"]) == (303, "no-store")

        fetched = httpx.get(answer.headers["location"])

        assert (fetched.status_code, fetched.content) == (200, CONTENT)
        assert fetched.headers["content-disposition"] == 'attachment; filename="weights.h5"'
        assert fetched.headers["content-type"] == "application/x-hdf5"
        assert httpx.get(answer.headers["location"], headers={"Range": "bytes=5-9"}).content == CONTENT[5:10]

    def test_a_file_that_is_known_is_not_sent_anywhere(self, client, path):
        assert client.get(path, headers={"If-None-Match": ETAG}, follow_redirects=False).status_code == 304

    def test_a_file_that_is_lost_is_no_redirect_into_nothing(self, client, wiring, path, problem):
        for found in wiring.blobs.page("projects", "", 100):
            wiring.blobs.delete(found.key)
        problem(client.get(path, follow_redirects=False), 503)

    @pytest.mark.parametrize("change", [("jobs/job_", "jobs/jab_"), ("X-Amz-Expires=300", "X-Amz-Expires=3000")])
    def test_the_url_is_good_for_one_file_and_a_short_time(self, change, client, path):
        url = client.get(path, follow_redirects=False).headers["location"]
        assert change[0] in url
        assert httpx.get(url.replace(*change)).status_code == 403

    def test_a_name_writes_no_header(self, client, submit, worker):
        job_id = submit()
        worker.leave(claim := worker.claim(), 'a"; b=é', CONTENT)
        answer = client.get(f"/v1/jobs/{job_id}/artifacts/a%22%3B%20b=%C3%A9", follow_redirects=False)
        fetched = httpx.get(answer.headers["location"])
        assert fetched.headers["content-disposition"] == 'attachment; filename="a___b__"'
        worker.write("finish", claim, "succeeded")


@ON_S3
class TestBehindTheGateway:
    @pytest.fixture
    def client(self, make_client, s3_url):  # noqa: F811
        return make_client(storage_url=s3_url, storage_presign=False)

    def test_files_are_streamed_where_the_store_is_not_for_clients(self, client, path):
        assert client.get(path, follow_redirects=False).content == CONTENT
        assert client.get(path, headers={"Range": "bytes=5-9"}).content == CONTENT[5:10]
