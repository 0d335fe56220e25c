import pytest


@pytest.fixture
def cache_folder(monkeypatch, tmp_path):
    """A cache of converted networks of the test's own, empty at first."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("CS3D_CACHE", str(folder))
    return folder
