import pytest

from trainyard import jobfile
from trainyard.errors import BadFile


def test_data_references_are_replaced_wherever_they_stand():
    job = {
        "fit": {"x": ["$data/a", "$data/b"], "y": {"to_categorical": "$data/y", "nb_classes": 3}},
        "evaluate": {"x": {"dataset": "$data", "columns": ["a"]}},
    }

    assert jobfile.wants_data(job)
    assert jobfile.with_data(job, "ds_1") == {
        "fit": {"x": ["ds_1/a", "ds_1/b"], "y": {"to_categorical": "ds_1/y", "nb_classes": 3}},
        "evaluate": {"x": {"dataset": "ds_1", "columns": ["a"]}},
    }


def test_only_references_are_replaced():
    job = {"name": "about $data/x", "labels": {"kind": "$database"}, "seed": 7}

    assert not jobfile.wants_data(job)
    assert jobfile.with_data(job, "ds_1") == job


@pytest.mark.parametrize(("text", "told"), [("{", "is not JSON"), ("[]", "holds a list")])
def test_a_file_that_is_no_job_is_refused(tmp_path, text, told):
    path = tmp_path / "job.json"
    path.write_text(text)

    with pytest.raises(BadFile, match=told):
        jobfile.read(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(BadFile, match=r"nowhere\.json: No such file"):
        jobfile.read(tmp_path / "nowhere.json")
