"""Compiled code lies where nobody else can put any."""

import os

from engine import machine_code


def test_a_folder_that_others_may_write_to_is_not_taken_for_the_cache(monkeypatch, tmp_path):
    monkeypatch.setattr(machine_code.tempfile, "tempdir", str(tmp_path))
    ours = machine_code.cache_folder()
    assert ours.stat().st_mode & 0o077 == 0
    assert machine_code.cache_folder() == ours
    ours.chmod(0o777)
    assert machine_code.cache_folder() != ours
    assert machine_code.cache_folder().stat().st_uid == os.getuid()
