"""Who is let in, and that nobody sees another's things."""

import pytest

from api.access import is_loopback
from api.main import refusal
from core.keys import Keys
from core.settings import Settings
from tests.api.conftest import npz, softmax_model

X = npz(x=[[1.0]])


@pytest.fixture
def make_key(wiring):
    def make_key(project):
        with wiring.sessions.begin() as session:
            return {"Authorization": f"Bearer {Keys(session).create('k', project)[1]}"}

    return make_key


def test_without_any_key_this_machine_is_let_in(client):
    assert client.get("/v1/jobs").status_code == 200


def test_once_there_is_a_key_everybody_needs_one(client, make_key, problem):
    key = make_key("default")
    body = problem(client.get("/v1/jobs"), 401)
    assert "trainyard keys create" in body["detail"]
    assert client.get("/v1/jobs").headers["www-authenticate"] == "Bearer"
    assert client.get("/v1/jobs", headers=key).status_code == 200


@pytest.mark.parametrize("header", ["Bearer ty_wrong", "Bearer ", "Basic dTpw", "ty_x", "Bearer ty_\u00e9".encode()])
def test_a_wrong_key_is_refused_even_where_none_is_needed(header, client, problem):
    problem(client.get("/v1/jobs", headers={"Authorization": header}), 401)


def test_a_revoked_key_opens_nothing(client, wiring, make_key, problem):
    key = make_key("a")
    with wiring.sessions.begin() as session:
        Keys(session).revoke(Keys(session).all()[0].id)
    problem(client.get("/v1/jobs", headers=key), 401)


def test_health_needs_no_key_and_says_nothing(client, make_key):
    make_key("a")
    assert client.get("/healthz").json() == {"status": "ok"}


@pytest.mark.parametrize("address", ["http://10.0.0.5:8000", "http://yard.example.org", "http://0.0.0.0:80"])
def test_without_keys_nobody_from_outside_is_let_in(address, make_client, problem):
    client = make_client(base_url=address)
    # The address is the socket's own, which no header can change.
    problem(client.get("/v1/jobs", headers={"Host": "127.0.0.1"}), 401)


def test_a_gateway_told_to_listen_outside_needs_keys_from_everybody(make_client, problem):
    problem(make_client(host="0.0.0.0").get("/v1/jobs"), 401)


@pytest.mark.parametrize(
    "headers", [{"Host": "evil.example.org"}, {"Sec-Fetch-Site": "cross-site"}, {"Host": "169.254.1.1:8000"}]
)
def test_a_web_page_elsewhere_cannot_use_this_machine_s_browser(headers, client, problem):
    problem(client.post("/v1/datasets", files={"file": ("x.npz", X)}, headers=headers), 403)
    assert client.get("/v1/datasets").json()["items"] == []


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("[::1]", True), ("localhost", True),
     ("0.0.0.0", False), ("::", False), ("10.0.0.1", False), ("example.org", False), ("", False)],
)  # fmt: skip
def test_loopback_is_told_from_the_rest(host, local):
    assert is_loopback(host) is local


def test_a_gateway_refuses_to_start_outside_without_a_key(wiring, tmp_path, make_key):
    outside = Settings(_env_file=None, data_dir=tmp_path, host="0.0.0.0")
    assert refusal(wiring.settings) is None
    assert "trainyard keys create" in refusal(outside)
    make_key("a")
    assert refusal(outside) is None


def test_one_project_cannot_see_use_or_touch_another_s_things(client, make_key, problem):
    mine, yours = make_key("a"), make_key("b")

    def post(path, key, **named):
        return client.post(path, headers=key, **named)

    dataset = post("/v1/datasets", mine, files={"file": ("x.npz", npz(x=[[1.0] * 4]))}).json()["id"]
    model = post("/v1/models", mine, json=softmax_model()).json()["id"]
    weights = post("/v1/weights", mine, files={"file": ("w.h5", b"\x89HDF\r\n\x1a\n00")}).json()["id"]
    body = {"model": softmax_model(), "predict": {"x": f"{dataset}/x"}}
    job = post("/v1/jobs", mine, json=body).json()["id"]

    for path in (f"datasets/{dataset}", f"models/{model}", f"weights/{weights}", f"jobs/{job}",
                 f"jobs/{job}/events", f"jobs/{job}/metrics", f"jobs/{job}/artifacts/model.json"):  # fmt: skip
        foreign = problem(client.get(f"/v1/{path}", headers=yours), 404)
        assert foreign["type"] == "/problems/not-found"
    problem(client.delete(f"/v1/datasets/{dataset}", headers=yours), 404)
    for act in ("cancel", "pause", "resume", "stop"):
        problem(post(f"/v1/jobs/{job}/{act}", yours), 404)
    for name in ("datasets", "models", "jobs"):
        assert client.get(f"/v1/{name}", headers=yours).json()["items"] == []

    problem(post("/v1/predictions", yours, json={"job": job, "x": [[1]]}), 404, "/job")
    problem(post("/v1/jobs", yours, json=body), 422)
    problem(post("/v1/jobs", yours, json=body | {"model": {"id": model}}), 422, "/model/id")
    inline = body | {"predict": {"x": [[1, 2, 3, 4]]}}
    problem(post("/v1/jobs", yours, json=inline | {"weights": {"id": weights}}), 422, "/weights/id")
    problem(post("/v1/jobs", yours, json=inline | {"weights": {"job": job}}), 422, "/weights/job")

    assert client.get(f"/v1/jobs/{job}", headers=mine).json()["state"] == "queued"


def test_a_missing_thing_and_another_s_thing_look_the_same(client, make_key, problem):
    mine, yours = make_key("a"), make_key("b")
    model = client.post("/v1/models", headers=mine, json=softmax_model()).json()["id"]
    foreign = problem(client.get(f"/v1/models/{model}", headers=yours), 404)
    missing = problem(client.get("/v1/models/mdl_nope", headers=yours), 404)
    assert foreign["detail"].replace(model, "mdl_nope") == missing["detail"]


def test_two_projects_may_use_the_same_key_for_different_requests(client, make_key):
    for key in (make_key("a"), make_key("b")):
        answer = client.post("/v1/models", headers=key | {"Idempotency-Key": "k"}, json=softmax_model())
        assert (answer.status_code, answer.headers.get("idempotency-replayed")) == (201, None)
