"""What the tests of several files share."""

import pytest


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder, which is also the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
